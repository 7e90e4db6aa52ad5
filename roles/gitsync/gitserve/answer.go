package gitserve

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sidecar-kit/sidecar/internal/order"
	"github.com/sidecar-kit/sidecar/roles/gitsync/remote/packout"
)

type ref struct {
	name   string
	hash   Hash
	peeled Hash
	target string
}

// refs lists HEAD first, then the rest by name; an unborn HEAD has the zero hash.
func (r *Repo) refs() []ref {
	r.mu.Lock()
	defer r.mu.Unlock()
	it, err := r.st.IterReferences()
	if err != nil {
		return nil
	}
	var out []ref
	_ = it.ForEach(func(p *plumbing.Reference) error {
		e := ref{name: p.Name().String(), hash: p.Hash()}
		if p.Type() == plumbing.SymbolicReference {
			e.target, e.hash = p.Target().String(), r.resolve(p.Target())
		}
		if strings.HasPrefix(e.name, "refs/tags/") {
			e.peeled, _ = packout.Peel(r.st, e.hash)
		}
		out = append(out, e)
		return nil
	})
	order.Sort(out, func(a, b ref) int { return strings.Compare(a.name, b.name) })
	return out
}

func (s *Server) lsRefs(w *counted, lines []string) {
	var prefixes []string
	for _, l := range lines {
		if p, ok := strings.CutPrefix(l, "ref-prefix "); ok {
			prefixes = append(prefixes, p)
		}
	}
	peel, symrefs, unborn := slices.Contains(lines, "peel"), slices.Contains(lines, "symrefs"), slices.Contains(lines, "unborn")
	var b strings.Builder
	for _, r := range s.repo.refs() {
		if len(prefixes) > 0 && !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(r.name, p) }) {
			continue
		}
		line := r.hash.String()
		if r.hash.IsZero() {
			if !unborn {
				continue
			}
			line = "unborn"
		}
		line += " " + r.name
		if symrefs && r.target != "" {
			line += " symref-target:" + r.target
		}
		if peel && !r.peeled.IsZero() {
			line += " peeled:" + r.peeled.String()
		}
		b.WriteString(pkt("%s\n", line))
	}
	w.text(b.String() + flush)
}

type fetchArgs struct {
	packout.Request
	done bool
}

func parseFetch(lines []string) fetchArgs {
	var a fetchArgs
	for _, l := range lines {
		key, value, _ := strings.Cut(l, " ")
		value, _, _ = strings.Cut(value, " ") // old wants carry capabilities
		h := plumbing.NewHash(value)
		switch key {
		case "want":
			a.Wants = append(a.Wants, h)
			a.Thin = a.Thin || strings.Contains(l, " thin-pack")
		case "have":
			a.Haves = append(a.Haves, h)
		case "shallow":
			a.Shallow = append(a.Shallow, h)
		case "deepen":
			a.Depth, _ = strconv.Atoi(value)
		case "filter":
			a.Filter = value
		case "thin-pack":
			a.Thin = true
		case "done":
			a.done = true
		}
	}
	return a
}

func (s *Server) fetch(ctx context.Context, w *counted, a fetchArgs, opts Options) {
	plan, err := packout.Select(ctx, s.repo, a.Request)
	if err != nil {
		w.text(pkt("ERR %s", refusal(a, err)))
		return
	}
	if !a.done {
		common := s.common(a.Haves)
		w.text(pkt("acknowledgments\n"))
		for _, h := range common {
			w.text(pkt("ACK %s\n", h))
		}
		if len(common) == 0 {
			w.text(pkt("NAK\n") + flush)
			return
		}
		w.text(pkt("ready\n") + delim)
	}
	if a.Depth > 0 {
		w.text(pkt("shallow-info\n") + shallowLines(plan) + delim)
	}
	w.text(pkt("packfile\n"))
	s.sendPack(ctx, w, plan, opts)
}

// refusal uses git's words for a want that is not here.
func refusal(a fetchArgs, err error) string {
	for _, h := range a.Wants {
		if strings.Contains(err.Error(), h.String()) {
			return "upload-pack: not our ref " + h.String()
		}
	}
	return "upload-pack: " + err.Error()
}

func (s *Server) common(haves []Hash) []Hash {
	var out []Hash
	for _, h := range haves {
		if _, err := s.repo.EncodedObject(plumbing.CommitObject, h); err == nil {
			out = append(out, h)
		}
	}
	return out
}

func shallowLines(p *packout.Plan) string {
	var b strings.Builder
	for _, h := range p.Shallow {
		b.WriteString(pkt("shallow %s", h))
	}
	for _, h := range p.Unshallow {
		b.WriteString(pkt("unshallow %s", h))
	}
	return b.String()
}

func (s *Server) sendPack(ctx context.Context, w *counted, plan *packout.Plan, opts Options) {
	band := &sideband{w: w}
	if opts.Progress != "" {
		_ = band.message(2, []byte(opts.Progress))
	}
	if opts.PackError != "" {
		_ = band.message(3, []byte(opts.PackError))
		return
	}
	out := &faulty{w: band, s: s, opts: opts, httpw: w.w}
	s.count(func(st *Stats) { st.Objects = len(plan.Objects) })
	var err error
	if opts.RawPack != nil {
		_, err = io.Copy(out, bytes.NewReader(opts.RawPack))
	} else {
		err = plan.Write(ctx, out, s.repo, &s.repo.cache)
	}
	if err != nil {
		_ = band.message(3, []byte(err.Error()))
		return
	}
	if band.Flush() == nil {
		w.text(flush)
	}
}

// faulty plants faults into a pack on its way out.
type faulty struct {
	w     *sideband
	s     *Server
	opts  Options
	httpw http.ResponseWriter
	sent  int64
}

func (f *faulty) Write(b []byte) (int, error) {
	n := len(b)
	if at := f.opts.CorruptAt - 1 - f.sent; f.opts.CorruptAt > 0 && at >= 0 && at < int64(n) {
		b = bytes.Clone(b)
		b[at] ^= 0xff
	}
	cut := f.opts.CutAfter > 0 && f.sent+int64(n) >= f.opts.CutAfter
	if cut {
		b = b[:f.opts.CutAfter-f.sent]
	}
	if _, err := f.w.Write(b); err != nil {
		return 0, err
	}
	f.sent += int64(len(b))
	f.s.count(func(st *Stats) { st.PackBytes += int64(len(b)) })
	if cut {
		_ = f.w.Flush()
		_ = http.NewResponseController(f.httpw).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, nil
}

const oldFeatures = "multi_ack_detailed multi_ack thin-pack side-band side-band-64k ofs-delta shallow no-progress agent=gitserve"

// oldAdvert lists everything, as protocol version 0 does.
func (s *Server) oldAdvert(w *counted, opts Options) {
	features := oldFeatures
	if !opts.NoFilter {
		features += " filter allow-reachable-sha1-in-want"
	}
	if opts.ObjectFormat != "" {
		features += " object-format=" + opts.ObjectFormat
	}
	refs := slices.DeleteFunc(s.repo.refs(), func(r ref) bool { return r.hash.IsZero() })
	for _, r := range refs {
		if r.name == "HEAD" && r.target != "" {
			features += " symref=HEAD:" + r.target
		}
	}
	if len(refs) == 0 {
		refs = []ref{{name: "capabilities^{}"}}
	}
	var b strings.Builder
	for i, r := range refs {
		tail := ""
		if i == 0 {
			tail = "\x00" + features
		}
		b.WriteString(pkt("%s %s%s\n", r.hash, r.name, tail))
		if !r.peeled.IsZero() {
			b.WriteString(pkt("%s %s^{}\n", r.peeled, r.name))
		}
	}
	w.text(b.String() + flush)
}

func (s *Server) oldFetch(ctx context.Context, w *counted, a fetchArgs, opts Options) {
	plan, err := packout.Select(ctx, s.repo, a.Request)
	if err != nil {
		w.text(pkt("ERR %s", refusal(a, err)))
		return
	}
	if a.Depth > 0 {
		w.text(shallowLines(plan) + flush)
	}
	common := s.common(a.Haves)
	for _, h := range common {
		w.text(pkt("ACK %s common\n", h))
	}
	if !a.done || len(common) == 0 {
		w.text(pkt("NAK\n"))
	} else {
		w.text(pkt("ACK %s\n", common[len(common)-1]))
	}
	if a.done {
		s.sendPack(ctx, w, plan, opts)
	}
}

// URL returns the address of the repository under a server's base address.
func URL(base string) string { return fmt.Sprintf("%s/repo.git", strings.TrimRight(base, "/")) }
