package logship

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sidecar-kit/sidecar/internal/exit"
	"github.com/sidecar-kit/sidecar/internal/suggest"
	"github.com/sidecar-kit/sidecar/roles/logship/content"
	"github.com/sidecar-kit/sidecar/roles/logship/multiline"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// trial is the command `logship test`.
type trial struct {
	cfg       *Config
	in, input string
}

// run prints the document of every event, or why it would not be sent.
func (t *trial) run(_ context.Context, stdout io.Writer, _ []string) error {
	p, err := t.cfg.plan()
	if err != nil {
		return err
	}
	if t.in == "" {
		return exit.Usagef("--in: want a FILE with lines to decode, or - for the standard input")
	}
	in, err := t.choose(p)
	if err != nil {
		return err
	}
	file := os.Stdin
	if t.in != "-" {
		if file, err = os.Open(t.in); err != nil {
			return exit.Usagef("--in: %w", err)
		}
		defer file.Close()
	}
	out := bufio.NewWriter(stdout)
	defer out.Flush()
	info := &record.File{Path: t.in, Input: in.source.Name, Gen: 1}
	prog, err := in.content.New(content.Env{})
	if err != nil {
		return exit.Usagef("input %s: %w", in.source.Name, err)
	}
	return decode(out, file, info, prog, in.source.MaxLine)
}

func (t *trial) choose(p *plan) (*input, error) {
	var names []string
	for i := range p.inputs {
		if name := p.inputs[i].source.Name; t.input == "" || t.input == name {
			return &p.inputs[i], nil
		}
		names = append(names, p.inputs[i].source.Name)
	}
	return nil, exit.Usagef("--input %s: there is none of that name%s", t.input, suggest.DidYouMean("", t.input, names))
}

// decode writes what the lines of a reader become.
func decode(out *bufio.Writer, in io.Reader, info *record.File, prog *content.Program, longest int) error {
	lines := bufio.NewReaderSize(in, 64<<10)
	joiner := prog.Joiner()
	var rec record.Record
	var doc []byte
	give := func(ev multiline.Event) error {
		rec.Reset()
		rec.File, rec.Offset, rec.Size, rec.Read, rec.Message, rec.Flags = info, ev.Off, ev.Next-ev.Off, time.Now().UnixNano(), ev.Text, ev.Flags
		prog.Apply(&rec)
		if rec.Drop != "" {
			_, err := fmt.Fprintf(out, "# dropped: %s: %.200q\n", rec.Drop, ev.Text)
			return err
		}
		doc = append(record.AppendJSON(doc[:0], &rec), '\n')
		_, err := out.Write(doc)
		return err
	}
	off := int64(0)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			next := off + int64(len(line))
			text := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
			ev := multiline.Event{Text: text, Off: off, Next: next}
			if len(text) > longest {
				ev.Text, ev.Flags = text[:longest], record.Cut
			}
			events := []multiline.Event{ev}
			if joiner != nil {
				events = joiner.Add(ev.Text, off, next, ev.Flags)
			}
			for _, ev := range events {
				if err := give(ev); err != nil {
					return err
				}
			}
			off = next
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if joiner == nil {
		return nil
	}
	for _, ev := range joiner.Flush() {
		if err := give(ev); err != nil {
			return err
		}
	}
	return nil
}
