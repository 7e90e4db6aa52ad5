package adapter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/exit"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/source"
	"github.com/sidecar-kit/sidecar/roles/adapter/view"
)

// trial is the command test: a file in place of what a source says.
type trial struct {
	cfg                              *Config
	in, source, view, accept, expect string
}

func (t *trial) run(_ context.Context, stdout io.Writer, _ []string) error {
	p, err := t.cfg.plan()
	if err != nil {
		return exit.Usagef("%w", err)
	}
	if t.in == "" {
		return exit.Usagef("--in: want the file that the source answers with; - is the standard input")
	}
	s, err := p.source(t.source)
	if err != nil {
		return err
	}
	v, err := p.view(t.view, s.name)
	if err != nil {
		return err
	}
	body, err := readIn(t.in)
	if err != nil {
		return exit.Usagef("--in: %w", err)
	}
	page, drops, err := s.decode(source.Body{Data: body})
	if err != nil {
		return fmt.Errorf("%s: %w", t.in, err)
	}
	result, more, err := v.write(t.accept, []view.Named{{Source: s.name, Page: &page}})
	if err != nil {
		return err
	}
	drops.Add(more)
	if n := drops.Sum(); n > 0 {
		fmt.Fprintf(os.Stderr, "%d samples are left out: %s\n", n, reasons(drops))
	}
	if t.expect == "" {
		_, err := stdout.Write(result)
		return err
	}
	want, err := os.ReadFile(t.expect)
	if err != nil {
		return exit.Usagef("--expect: %w", err)
	}
	if !bytes.Equal(result, want) {
		return fmt.Errorf("the result is not what %s has:\n%s", t.expect, difference(want, result))
	}
	_, err = fmt.Fprintln(stdout, "ok")
	return err
}

func readIn(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(os.Stdin, source.DefaultMaxSize))
	}
	return os.ReadFile(name)
}

func reasons(d model.Drops) string {
	var all []string
	for r := range model.Reasons {
		if d[r] > 0 {
			all = append(all, fmt.Sprintf("%d %s", d[r], r))
		}
	}
	return strings.Join(all, ", ")
}

// difference is the first line that differs, and those around it.
func difference(want, got []byte) string {
	a, b := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
	for i := range max(len(a), len(b)) {
		x, y := "(end)", "(end)"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return fmt.Sprintf("line %d\n- %s\n+ %s", i+1, x, y)
		}
	}
	return ""
}

// source is the source of that name, or the first.
func (p *plan) source(name string) (*sourcePlan, error) {
	if len(p.sources) == 0 {
		return nil, exit.Usagef("no source is configured")
	}
	if name == "" {
		return &p.sources[0], nil
	}
	i := slices.IndexFunc(p.sources, func(s sourcePlan) bool { return s.name == name })
	if i < 0 {
		return nil, exit.Usagef("--source: no source has the name %s", name)
	}
	return &p.sources[i], nil
}

// view is the view at that path, or the first that has something of the source.
func (p *plan) view(path, source string) (*viewPlan, error) {
	for i := range p.views {
		v := &p.views[i]
		if path == "" && (source == "" || slices.Contains(v.from, source)) || path != "" && v.path == path {
			return v, nil
		}
	}
	if path == "" {
		return nil, exit.Usagef("no view is configured")
	}
	return nil, exit.Usagef("--view: no view has the path %s", path)
}

// decode reads one answer as the source would.
func (s *sourcePlan) decode(b source.Body) (model.Page, model.Drops, error) {
	if s.push != nil {
		f, err := newFeed(*s)
		if err != nil {
			return model.Page{}, model.Drops{}, err
		}
		decode, err := pushDecoder(*s)
		if err == nil && decode == nil {
			f.table.Lines(b.Data)
		} else if err == nil {
			_, err = f.table.Write(b.Data, decode)
		}
		r := f.fetch(context.Background())
		if err = errors.Join(err, r.Err); err != nil {
			return model.Page{}, model.Drops{}, err
		}
		return *r.Page, f.dropped(), nil
	}
	page, drops, err := s.read.decoder(s.limits)(b)
	if err == nil {
		var more model.Drops
		more, err = s.program.Apply(&page)
		drops.Add(more)
	}
	return page, drops, err
}

// write is the page that a view makes.
func (v *viewPlan) write(accept string, pages []view.Named) ([]byte, model.Drops, error) {
	page, drops, err := merging(v)(pages)
	if err == nil {
		var more model.Drops
		more, err = v.program.Apply(&page)
		drops.Add(more)
	}
	if err != nil {
		return nil, drops, err
	}
	choose, err := chooser(v)
	if err != nil {
		return nil, drops, err
	}
	b, err := choose(accept).Encode(&page)
	drops.Add(b.Drops)
	return bytes.Join(b.Pieces, nil), drops, err
}

// render is the command render: everything is asked once.
type render struct {
	cfg          *Config
	view, accept string
}

func (r *render) run(ctx context.Context, stdout io.Writer, _ []string) error {
	p, err := r.cfg.plan()
	if err != nil {
		return exit.Usagef("%w", err)
	}
	v, err := p.view(r.view, "")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	var pages []view.Named
	var errs []error
	for _, name := range v.from {
		s, err := p.source(name)
		if err != nil {
			return err
		}
		if s.push != nil {
			errs = append(errs, fmt.Errorf("source %s: it is sent to, there is nothing to ask", name))
			continue
		}
		f, err := newFeed(*s)
		if err != nil {
			return err
		}
		got := f.fetch(ctx)
		if got.Err != nil {
			errs = append(errs, fmt.Errorf("source %s: %w", name, got.Err))
			continue
		}
		own := *got.Page
		own.Families = slices.Clone(own.Families)
		pages = append(pages, view.Named{Source: name, Page: &own})
		if n := f.dropped(); n.Sum() > 0 {
			fmt.Fprintf(os.Stderr, "source %s: %d samples are left out: %s\n", name, n.Sum(), reasons(n))
		}
		fmt.Fprintf(os.Stderr, "source %s: %d samples in %s\n", name, own.Len(), got.Took.Round(10*time.Microsecond))
	}
	result, _, err := v.write(r.accept, pages)
	if err == nil {
		_, err = stdout.Write(result)
	}
	return errors.Join(append(errs, err)...)
}
