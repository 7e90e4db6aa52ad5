// Package content makes of a line what is sent: it joins lines, decodes them, and transforms what was found. A document depends only on the
// bytes, the configuration and the time at which the line was read first, so that a replay gives the same document; rate limits and files of
// added values that change are the exceptions.
package content

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/logship/decode"
	"github.com/sidecar-kit/sidecar/roles/logship/multiline"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
	"github.com/sidecar-kit/sidecar/roles/logship/transform"
)

// Config is what is done with the lines of an input.
type Config struct {
	decode    decode.Config
	multiline multiline.Config
	transform transform.Config
	base64    bool
}

// Keys are the keys of an input that Parse reads.
func Keys() []string { return append(decode.Keys(), "multiline", "invalid", "transforms") }

// Parse reads a mapping of Keys. Everything that is wrong is said at once.
func Parse(v draft.Value) (Config, error) {
	var c Config
	err := v.Each(Keys(), c.Key)
	return c, err
}

// Key reads one of the Keys into c, for those who read a mapping that holds other keys, too.
func (c *Config) Key(key string, v draft.Value) error {
	var err error
	switch key {
	case "multiline":
		c.multiline, err = multiline.Parse(v)
	case "transforms":
		c.transform, err = transform.Parse(v)
	case "invalid":
		var word string
		err = v.OneOf(&word, "replace", "base64")
		c.base64 = word == "base64"
	default:
		err = c.decode.Parse(key, v)
	}
	return err
}

// Env is where values come from. The zero value is the environment of the process and its files.
type Env struct {
	Getenv   func(name string) (value string, ok bool)
	ReadFile func(name string) ([]byte, error) // at most MiB of a file, if it is regular
	Stats    *Stats                            // nil: nobody counts
}

// Stats counts what happened to records. It may be shared by programs.
type Stats struct {
	Failed   atomic.Int64 // lines that the decoder did not understand; they are sent as they are
	BadTime  atomic.Int64 // records whose time could not be read, or was not believed
	Lossy    atomic.Int64 // records that were no valid text, where invalid is base64
	Moved    atomic.Int64 // keys of applications that are ours and went under the prefix
	Redacted atomic.Int64 // texts that were taken away
	Filtered atomic.Int64 // records that filter and only left out
	Sampled  atomic.Int64 // records that sample left out
	Limited  atomic.Int64 // records that limit left out
}

// Program is what is done with the lines of one input for one output. It is used by one goroutine.
type Program struct {
	config  Config
	chain   *decode.Chain
	changes *transform.Program
	stats   *Stats
	files   string // what is known of the files of added values
	problem error  // what was wrong with them at the start, until it was said
	moved   int64
	hidden  int64
	buffer  []byte
}

// New makes a program. An error says which variable is missing. Files that cannot be read are none: Refresh tells of them.
func (c Config) New(env Env) (*Program, error) {
	if env.Getenv == nil {
		env.Getenv = os.LookupEnv
	}
	if env.ReadFile == nil {
		env.ReadFile = readFile
	}
	if env.Stats == nil {
		env.Stats = &Stats{}
	}
	chain, err := c.decode.New(append(c.transform.Taken(), "message_base64"))
	if err != nil {
		return nil, err
	}
	changes, err := c.transform.New(transform.Env{Getenv: env.Getenv, ReadFile: env.ReadFile})
	if err != nil {
		return nil, err
	}
	p := &Program{config: c, chain: chain, changes: changes, stats: env.Stats}
	p.files = p.look()
	p.problem = p.changes.Refresh()
	return p, nil
}

// readFile reads up to a MiB of a regular file: a pipe would stop everything.
func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: it is no regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	return b, errors.Join(err, f.Close())
}

// look describes the files of added values.
func (p *Program) look() string {
	text := ""
	for _, name := range p.config.transform.Files() {
		info, err := os.Stat(name)
		if err != nil {
			text += name + " -\n"
			continue
		}
		text += fmt.Sprintln(name, info.ModTime().UnixNano(), info.Size())
	}
	return text
}

// Refresh reads the files of added values again if they have changed. Call it now and then, between records, by the goroutine that uses p.
// changed tells if they had; the error says which could not be read, once, and the fields of others are in force all the same.
func (p *Program) Refresh() (changed bool, err error) {
	files := p.look()
	err, p.problem = p.problem, nil
	if files == p.files {
		return false, err
	}
	p.files = files
	return true, p.changes.Refresh()
}

// Joiner joins the lines of one file; nil when there is no multiline.
func (p *Program) Joiner() *multiline.Joiner { return p.config.multiline.New() }

// Replay says whether what follows was sent before: rate limits let it pass.
func (p *Program) Replay(on bool) { p.changes.Replay(on) }

// Apply decodes the message of r and transforms what was found. r has File, Offset, Size, Read, Flags and Message set. When it is not to be
// sent, Drop says why: filter, sample or limit. It never fails: a line that is not understood is the message. What r points to is valid until
// the next call and the end of the block.
func (p *Program) Apply(r *record.Record) {
	p.changes.Begin(r)
	switch p.chain.Decode(r) {
	case decode.Good:
	case decode.Failed:
		p.stats.Failed.Add(1)
	case decode.BadTime:
		p.stats.BadTime.Add(1)
	}
	p.changes.Apply(r)
	if p.config.base64 && r.Kind == record.Text && !utf8.Valid(r.Message) {
		p.keepBytes(r)
	}
	p.count(r.Drop)
}

func (p *Program) count(drop string) {
	if n := p.chain.Moved(); n != p.moved {
		p.stats.Moved.Add(n - p.moved)
		p.moved = n
	}
	if n := p.changes.Redacted(); n != p.hidden {
		p.stats.Redacted.Add(n - p.hidden)
		p.hidden = n
	}
	switch drop {
	case "":
	case "filter":
		p.stats.Filtered.Add(1)
	case "sample":
		p.stats.Sampled.Add(1)
	case "limit":
		p.stats.Limited.Add(1)
	}
}

// keepBytes adds the bytes of a message that is no text in base64, beside what can be shown of it.
func (p *Program) keepBytes(r *record.Record) {
	p.stats.Lossy.Add(1)
	p.buffer = base64.StdEncoding.AppendEncode(p.buffer[:0], r.Message)
	r.Fields = append(r.Fields, record.Field{Key: "message_base64", Value: p.buffer, Kind: record.Escaped, Plain: true})
}
