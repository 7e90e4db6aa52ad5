package logship

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/roles/logship/hold"
	"github.com/sidecar-kit/sidecar/roles/logship/outputs"
)

// places says where logship keeps what it has to know after a kill, and refuses what would make it read what it writes.
func (c *Config) places(p *plan) error {
	p.state = c.State
	if p.state == "" {
		p.state = filepath.Join(p.inputs[0].source.Folders()[0], hold.Folder, "state")
	}
	p.dead = c.DeadLetter
	if p.dead == "" {
		p.dead = filepath.Join(p.state, "dead-letters.ndjson")
	}
	p.spool = c.Spool
	if p.spool == "" {
		p.spool = filepath.Join(p.state, "spool")
	}
	var errs []error
	for _, in := range p.inputs {
		errs = append(errs, p.apart(in))
	}
	return errors.Join(errs...)
}

// apart says that an input and what logship writes have nothing to do with each other.
func (p *plan) apart(in input) error {
	name := in.source.Name
	if in.source.Matches(filepath.Join(p.state, "journal")) && !strings.Contains(p.state+"/", "/"+hold.Folder+"/") {
		return fmt.Errorf("input %s would read logship's own files in %s: choose another --state, or exclude it", name, p.state)
	}
	for _, folder := range in.source.Folders() {
		if strings.HasPrefix(folder+"/", strings.TrimSuffix(p.state, "/")+"/") {
			return fmt.Errorf("input %s has its files in --state %s, where nothing is read: choose another --state, such as a folder below it", name, p.state)
		}
	}
	var errs []error
	write := func(path, what string) {
		if path != "" && in.source.Matches(path) && !strings.Contains(path, "/"+hold.Folder+"/") {
			errs = append(errs, fmt.Errorf("input %s would read %s, %s, which logship writes: choose another place, or exclude it", name, path, what))
		}
	}
	write(p.dead, "the dead letters")
	for i := range p.outputs {
		o := &p.outputs[i]
		write(o.DeadLetter, "the dead letters of output "+o.Name)
		write(o.File(), "the file of output "+o.Name)
	}
	return errors.Join(errs...)
}

// try makes everything that needs neither network nor disk, to find what is wrong before anything is stopped for it. The lookup is that
// of environment variables with secrets.
func (p *plan) try(lookup func(string) (string, bool)) error {
	var errs []error
	for _, spec := range p.outputs {
		sink, err := spec.New(outputs.Env{Log: zerolog.Nop(), Lookup: lookup, Stdout: io.Discard})
		if errs = append(errs, err); err == nil {
			errs = append(errs, sink.Close())
		}
	}
	return errors.Join(errs...)
}
