package logship

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/roles/logship/dead"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/outputs"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// resend is the command `logship replay`.
type resend struct {
	cfg   *Config
	list  bool
	tally struct{ sent, refused, kept int }
}

// run sends the letters of every file again. What is refused again, or cannot be sent, is a letter as before.
func (r *resend) run(ctx context.Context, stdout io.Writer, _ []string) error {
	p, err := r.cfg.plan()
	if err != nil {
		return err
	}
	log := zerolog.New(os.Stderr).With().Timestamp().Str("role", "logship").Logger()
	files := map[string]bool{p.dead: true}
	for _, spec := range p.outputs {
		if spec.DeadLetter != "" {
			files[spec.DeadLetter] = true
		}
	}
	for path := range files {
		if err := r.file(ctx, stdout, log, p, dead.New(path, p.deadMax)); err != nil {
			return err
		}
	}
	if r.list {
		return nil
	}
	if _, err := fmt.Fprintf(stdout, "sent %d, refused again %d, not sent %d\n", r.tally.sent, r.tally.refused, r.tally.kept); err != nil {
		return err
	}
	if left := r.tally.refused + r.tally.kept; left > 0 {
		return fmt.Errorf("%d dead letters are left in %s", left, p.dead)
	}
	return nil
}

func (r *resend) file(ctx context.Context, stdout io.Writer, log zerolog.Logger, p *plan, f *dead.File) error {
	if _, err := os.Stat(f.Path()); os.IsNotExist(err) && !r.unfinished(f) {
		if r.list {
			return nil
		}
		_, err := fmt.Fprintf(stdout, "there are no dead letters in %s\n", f.Path()) // which may have another name than was meant
		return err
	}
	if r.list {
		return show(stdout, f.Path())
	}
	taken, err := f.Take()
	if err != nil {
		return err
	}
	batches := map[string][]dead.Letter{}
	flush := func(name string) error {
		err := r.send(ctx, log, p, name, batches[name], f)
		batches[name] = nil
		return err
	}
	bad := taken.Each(func(l dead.Letter) error {
		batches[l.Output] = append(batches[l.Output], l)
		if len(batches[l.Output]) >= 500 {
			return flush(l.Output)
		}
		return nil
	})
	for name := range batches {
		if err := flush(name); err != nil {
			return err
		}
	}
	if bad != nil {
		return fmt.Errorf("%w\nhint: the files stay as FILE.replay-*; letters that were sent will be known again by their ids", bad)
	}
	return taken.Remove()
}

// unfinished says whether an interrupted replay has left letters.
func (r *resend) unfinished(f *dead.File) bool {
	old := []string{f.Path() + ".1"}
	for _, name := range append(old, f.Unfinished()...) {
		if _, err := os.Stat(name); err == nil {
			return true
		}
	}
	return false
}

func show(stdout io.Writer, path string) error {
	for _, name := range []string{path + ".1", path} {
		data, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := stdout.Write(data); err != nil {
			return err
		}
	}
	return nil
}

// send sends letters of one output as one batch, and writes those again that are not taken.
func (r *resend) send(ctx context.Context, log zerolog.Logger, p *plan, name string, letters []dead.Letter, f *dead.File) error {
	if len(letters) == 0 {
		return nil
	}
	left, err := r.try(ctx, log, p, name, letters)
	if err != nil {
		log.Error().AnErr("err", err).Str("output", name).Int("letters", len(letters)).Msg("they are kept")
		r.tally.kept += len(letters)
		return f.Append(letters...)
	}
	r.tally.sent += len(letters) - len(left)
	r.tally.refused += len(left)
	if len(left) == 0 {
		return nil
	}
	return f.Append(left...)
}

// try sends letters, and returns those that were refused. An error says that none was taken.
func (r *resend) try(ctx context.Context, log zerolog.Logger, p *plan, name string, letters []dead.Letter) ([]dead.Letter, error) {
	var spec *outputs.Spec
	for i := range p.outputs {
		if p.outputs[i].Name == name {
			spec = &p.outputs[i]
		}
	}
	if spec == nil {
		return nil, fmt.Errorf("no output has the name %s any more; there are %s", name, strings.Join(p.names(), ", "))
	}
	sink, err := spec.New(outputs.Env{Log: log, UserAgent: "sidecar-logship", Lookup: os.LookupEnv, Stdout: io.Discard})
	if err != nil {
		return nil, err
	}
	defer sink.Close()
	b := &out.Batch{ID: fmt.Sprintf("replay-%x", time.Now().UnixNano())}
	var left []dead.Letter
	var index []int // of letters, by item
	for i, l := range letters {
		rec, err := revive(l)
		if err == nil {
			err = appendTo(b, sink, rec)
		}
		if err != nil {
			l.Reason = err.Error()
			left = append(left, l)
			continue
		}
		index = append(index, i)
	}
	if len(b.Items) == 0 {
		return left, nil
	}
	again, cancel := context.WithTimeout(ctx, spec.Timeout)
	defer cancel()
	if err := sink.Send(again, b); err != nil {
		return nil, err
	}
	for i, it := range b.Items {
		if it.Verdict != out.Done {
			l := letters[index[i]]
			l.Reason, l.Time = it.Reason, time.Now().UTC()
			left = append(left, l)
		}
	}
	return left, nil
}

func appendTo(b *out.Batch, sink out.Sink, rec *record.Record) error {
	start := len(b.Body)
	group, err := sink.Append(b, rec)
	if err != nil {
		b.Body = b.Body[:start]
		return err
	}
	b.Items = append(b.Items, out.Item{
		Start: int32(start), End: int32(len(b.Body)), Group: group, File: rec.File, Offset: rec.Offset, Size: rec.Size, Stamp: rec.Stamp(),
	})
	return nil
}

// revive makes a record of a letter again: the same event with the same id.
func revive(l dead.Letter) (*record.Record, error) {
	if l.Document == nil {
		return nil, fmt.Errorf("%s at %d: the letter has no document", l.Path, l.Offset)
	}
	rec := &record.Record{
		File: &record.File{Path: l.Path, Input: l.Input, Gen: l.Gen}, Offset: l.Offset, Size: l.Size, Time: l.Stamp, Read: l.Stamp,
	}
	dec := json.NewDecoder(bytes.NewReader(l.Document))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		name, ok := key.(string)
		if !ok {
			return nil, fmt.Errorf("%s at %d: the document is no object", l.Path, l.Offset)
		}
		place(rec, name, value)
	}
	return rec, nil
}

// place puts a member of a document where it was in the record.
func place(rec *record.Record, name string, value json.RawMessage) {
	f := record.Field{Key: name, Value: value, Kind: record.Literal}
	switch value[0] {
	case '"':
		f.Value, f.Kind = value[1:len(value)-1], record.Escaped
	case '{', '[':
		f.Kind = record.Nested
	}
	switch name {
	case "@timestamp":
		return
	case "message":
		rec.Message, rec.Kind = f.Value, f.Kind
		return
	case "log":
		var log struct {
			Level string   `json:"level"`
			Flags []string `json:"flags"`
		}
		if json.Unmarshal(value, &log) == nil {
			rec.Level = levelOf(log.Level)
			rec.Flags = flagsOf(log.Flags)
		}
		return
	}
	rec.Fields = append(rec.Fields, f)
}

func levelOf(word string) record.Level {
	for l := record.Trace; l <= record.Emergency; l++ {
		if l.String() == word {
			return l
		}
	}
	return record.Unknown
}

func flagsOf(words []string) (f record.Flags) {
	for i, word := range []string{"partial", "more", "rest", "cut", "multiline", "lossy"} {
		if slices.Contains(words, word) {
			f |= 1 << i
		}
	}
	return f
}
