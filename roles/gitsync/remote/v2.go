package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The deepest depth, which git itself sends for "everything" to complete a truncated history.
const infiniteDepth = 1<<31 - 1

// appendCommand starts a version 2 request.
func (a *advert) appendCommand(b []byte, cfg Config, command string) []byte {
	b = appendPacket(b, "command=", command, "\n")
	if _, ok := a.caps["agent"]; ok {
		b = appendPacket(b, "agent=", strings.ReplaceAll(cfg.UserAgent, " ", "-"), "\n")
	}
	if _, ok := a.caps["object-format"]; ok {
		b = appendPacket(b, "object-format=sha1\n")
	}
	return appendDelim(b)
}

func (a *advert) lsRefsRequest(cfg Config, prefixes []string) []byte {
	b := a.appendCommand(make([]byte, 0, 256), cfg, "ls-refs")
	b = appendPacket(b, "peel\n")
	b = appendPacket(b, "symrefs\n")
	for _, p := range prefixes {
		b = appendPacket(b, "ref-prefix ", p, "\n")
	}
	return appendFlush(b)
}

// readRefs reads the answer to ls-refs.
func readRefs(cfg Config, p *packetReader, prefixes []string) ([]Ref, error) {
	var refs []Ref
	for {
		kind, line, err := p.line()
		if err != nil {
			return nil, fmt.Errorf("read refs: %w", unexpected(err))
		}
		if kind != packetData {
			if kind == packetDelim {
				return nil, fmt.Errorf("%w: unexpected mark among the refs", ErrProtocol)
			}
			return refs, nil
		}
		ref, ok, err := parseRef(cfg, line)
		if err != nil {
			return nil, err
		}
		// A prefix is a hint: a server may send more than was asked for.
		if !ok || !wanted(ref.Name, prefixes) {
			continue
		}
		if len(refs) >= cfg.Limits.Refs {
			return nil, fmt.Errorf("%w: more than %d refs", ErrLimit, cfg.Limits.Refs)
		}
		refs = append(refs, ref)
	}
}

// parseRef reads one line of ls-refs. Unborn refs have no object and are skipped.
func parseRef(cfg Config, line []byte) (Ref, bool, error) {
	if bytes.HasPrefix(line, []byte("ERR ")) {
		return Ref{}, false, cfg.serverError(string(line[4:]))
	}
	oid, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok {
		return Ref{}, false, fmt.Errorf("%w: %q is not a ref line", ErrProtocol, cfg.quote(string(line)))
	}
	if string(oid) == "unborn" {
		return Ref{}, false, nil
	}
	h, err := parseHash(oid)
	if err != nil {
		return Ref{}, false, err
	}
	name, rest, _ := bytes.Cut(rest, []byte{' '})
	if err := checkRefName(cfg, name); err != nil {
		return Ref{}, false, err
	}
	ref := Ref{Name: string(name), Hash: h}
	for len(rest) > 0 {
		var attr []byte
		attr, rest, _ = bytes.Cut(rest, []byte{' '})
		if v, ok := bytes.CutPrefix(attr, []byte("peeled:")); ok {
			if ref.Peeled, err = parseHash(v); err != nil {
				return Ref{}, false, err
			}
		} else if v, ok := bytes.CutPrefix(attr, []byte("symref-target:")); ok {
			if err := checkRefName(cfg, v); err != nil {
				return Ref{}, false, err
			}
			ref.Target = string(v)
		}
	}
	return ref, true, nil
}

func wanted(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return len(prefixes) == 0
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fetchRequest writes a fetch that needs one round: everything we have is named at once, and "done".
func (a *advert) fetchRequest(cfg Config, req FetchRequest) ([]byte, error) {
	if err := a.checkFeatures(req); err != nil {
		return nil, err
	}
	b := a.appendCommand(make([]byte, 0, 512), cfg, "fetch")
	b = appendPacket(b, "thin-pack\n")
	b = appendPacket(b, "no-progress\n")
	b = appendPacket(b, "ofs-delta\n")
	for _, h := range req.Wants {
		b = appendPacket(b, "want ", h.String(), "\n")
	}
	for _, h := range req.Shallow {
		b = appendPacket(b, "shallow ", h.String(), "\n")
	}
	if n := req.deepen(); n > 0 {
		b = appendPacket(b, "deepen ", strconv.Itoa(n), "\n")
	}
	if req.Filter != "" {
		b = appendPacket(b, "filter ", req.Filter, "\n")
	}
	for _, h := range req.Haves {
		b = appendPacket(b, "have ", h.String(), "\n")
	}
	b = appendPacket(b, "done\n")
	return appendFlush(b), nil
}

func (r FetchRequest) deepen() int {
	if r.Depth == 0 && len(r.Shallow) > 0 {
		return infiniteDepth
	}
	return r.Depth
}

func (a *advert) checkFeatures(req FetchRequest) error {
	if (req.deepen() > 0 || len(req.Shallow) > 0) && !a.can("shallow") {
		return fmt.Errorf("%w: the server cannot send a truncated history: use --depth=0", ErrUnsupported)
	}
	if req.Filter != "" && !a.can("filter") {
		return fmt.Errorf("%w: the server knows no filters: run without --filter=%s", ErrUnsupported, req.Filter)
	}
	if strings.ContainsAny(req.Filter, "\n\x00") {
		return fmt.Errorf("%w: --filter holds control characters", ErrConfig)
	}
	return nil
}

// readSections reads the answer to a version 2 fetch up to the first byte of the pack.
func readSections(cfg Config, p *packetReader) (*FetchResponse, error) {
	resp := &FetchResponse{}
	for {
		kind, line, err := p.line()
		if err != nil {
			return nil, fmt.Errorf("read answer to fetch: %w", unexpected(err))
		}
		if kind != packetData {
			return nil, fmt.Errorf("%w: the answer to fetch ends without a pack", ErrProtocol)
		}
		section := string(line)
		switch {
		case section == "packfile":
			return resp, nil
		case section == "shallow-info", section == "acknowledgments", section == "wanted-refs":
			if err := readSection(cfg, p, resp, section); err != nil {
				return nil, err
			}
		case section == "packfile-uris":
			return nil, fmt.Errorf("%w: the server sends the pack by other addresses, which were not asked for", ErrUnsupported)
		case strings.HasPrefix(section, "ERR "):
			return nil, cfg.serverError(section[4:])
		default:
			return nil, fmt.Errorf("%w: unknown section %q", ErrProtocol, cfg.quote(section))
		}
	}
}

// readSection reads the lines of one section up to its delimiter.
func readSection(cfg Config, p *packetReader, resp *FetchResponse, section string) error {
	for range cfg.Limits.Refs {
		kind, line, err := p.line()
		if err != nil {
			return fmt.Errorf("read %s: %w", section, unexpected(err))
		}
		switch kind {
		case packetDelim:
			return nil
		case packetData:
			if section == "shallow-info" {
				err = resp.addShallow(cfg, line)
			}
			if err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: the answer to fetch ends in %s: no pack", ErrProtocol, section)
		}
	}
	return fmt.Errorf("%w: more than %d lines of %s", ErrLimit, cfg.Limits.Refs, section)
}

func (resp *FetchResponse) addShallow(cfg Config, line []byte) error {
	word, oid, _ := bytes.Cut(line, []byte{' '})
	if string(word) == "ERR" {
		return cfg.serverError(string(oid))
	}
	h, err := parseHash(oid)
	if err != nil {
		return err
	}
	switch string(word) {
	case "shallow":
		resp.Shallow = append(resp.Shallow, h)
	case "unshallow":
		resp.Unshallow = append(resp.Unshallow, h)
	default:
		return fmt.Errorf("%w: %q is not shallow information", ErrProtocol, cfg.quote(string(line)))
	}
	return nil
}
