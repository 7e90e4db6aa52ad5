package remote

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Servers without protocol version 2 list everything at once and take wants on the same connection.

// oldRequest writes wants and haves for protocol versions 0 and 1, in one round.
func (a *advert) oldRequest(cfg Config, req FetchRequest) ([]byte, error) {
	if err := a.checkFeatures(req); err != nil {
		return nil, err
	}
	b := make([]byte, 0, 512)
	for i, h := range req.Wants {
		if i == 0 {
			b = appendPacket(b, "want ", h.String(), a.oldFeatures(cfg, req), "\n")
			continue
		}
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
	b = appendFlush(b)
	for _, h := range req.Haves {
		b = appendPacket(b, "have ", h.String(), "\n")
	}
	return appendPacket(b, "done\n"), nil
}

// oldFeatures picks what we want from what the server offers. Azure DevOps insists on multi_ack.
func (a *advert) oldFeatures(cfg Config, req FetchRequest) string {
	var b strings.Builder
	add := func(names ...string) {
		for _, n := range names {
			if a.can(n) {
				b.WriteString(" " + n)
				return
			}
		}
	}
	add("multi_ack_detailed", "multi_ack")
	add("thin-pack")
	add("side-band-64k", "side-band")
	add("ofs-delta")
	add("no-progress")
	if req.Filter != "" {
		add("filter")
	}
	if a.can("agent") {
		b.WriteString(" agent=" + strings.ReplaceAll(cfg.UserAgent, " ", "-"))
	}
	return b.String()
}

// readOldAnswer reads up to the first byte of the pack; raw tells that no sideband follows.
func readOldAnswer(cfg Config, p *packetReader, a *advert, req FetchRequest) (resp *FetchResponse, raw bool, err error) {
	resp = &FetchResponse{}
	if req.deepen() > 0 {
		if err := readOldShallow(cfg, p, resp); err != nil {
			return nil, false, err
		}
	}
	for range 2*len(req.Haves) + 16 {
		kind, line, err := p.line()
		if err != nil {
			return nil, false, fmt.Errorf("read answer to fetch: %w", unexpected(err))
		}
		if kind != packetData {
			return nil, false, fmt.Errorf("%w: unexpected mark in the answer to fetch", ErrProtocol)
		}
		switch {
		case bytes.HasPrefix(line, []byte("ERR ")):
			return nil, false, cfg.serverError(string(line[4:]))
		case string(line) == "NAK", len(line) == 44 && bytes.HasPrefix(line, []byte("ACK ")):
			// Without a word behind it this is the last one, because "done" was sent at once.
			return resp, !a.can("side-band-64k") && !a.can("side-band"), nil
		case !bytes.HasPrefix(line, []byte("ACK ")):
			return nil, false, fmt.Errorf("%w: %q instead of an acknowledgment", ErrProtocol, cfg.quote(string(line)))
		}
	}
	return nil, false, fmt.Errorf("%w: more acknowledgments than haves", ErrLimit)
}

func readOldShallow(cfg Config, p *packetReader, resp *FetchResponse) error {
	for range cfg.Limits.Refs {
		kind, line, err := p.line()
		if err != nil {
			return fmt.Errorf("read shallow information: %w", unexpected(err))
		}
		if kind != packetData {
			return nil
		}
		if err := resp.addShallow(cfg, line); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: more than %d shallow lines", ErrLimit, cfg.Limits.Refs)
}
