package remote

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"net/url"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// fileRemedy is the hint for a server that refuses.
const fileRemedy = "give credentials with --token-file or --basic-file"

// Info is what became known of a file that was fetched.
type Info struct {
	Size     int64
	Modified time.Time // zero when the server does not say
	Sum      item.Sum
}

// File fetches what an http or https address names. Where want is set the content has that digest, or there is an error.
// A transfer that was taken up in the middle and has the wrong digest is tried once more from its start.
func (c *Client) File(ctx context.Context, address string, want *item.Sum, to Sink) (Info, error) {
	res, err := c.fileResource(address)
	if err != nil {
		return Info{}, err
	}
	d := &digested{Sink: to}
	for again := false; ; again = true {
		t := &transfer{c: c, res: res, to: d, pinned: want != nil, limit: c.o.MaxBytes, over: "--max-bytes", whole: again}
		if err := t.run(ctx); err != nil {
			return Info{}, fmt.Errorf("download %s: %w", res.shown, err)
		}
		info := Info{Size: t.off, Modified: t.modified, Sum: d.sum()}
		switch {
		case want == nil || *want == info.Sum:
			return info, nil
		case t.resumed && !again:
			c.o.Log.Warn().Str("source", res.shown).Msg("the parts do not make what was pinned, fetching it once more in one piece")
			continue
		}
		return info, fmt.Errorf("download %s: the content has %s, and --expect says %s\nhint: the content is not what was pinned; nothing was changed",
			res.shown, info.Sum, want)
	}
}

// fileResource reads the credentials that go with an address.
func (c *Client) fileResource(address string) (*resource, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, errors.New("download: want an address such as https://host/path")
	}
	res := &resource{shown: ShowAddress(address), remedy: fileRemedy}
	header, err := c.credentials(u.User)
	if err != nil {
		return nil, err
	}
	if header != "" && u.Scheme != "https" {
		return nil, fmt.Errorf("download %s: credentials are sent by https only", res.shown)
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	res.url, res.auth = u, static(header)
	return res, nil
}

// credentials is the header for web servers. Files are read each time: they may be renewed.
func (c *Client) credentials(user *url.Userinfo) (string, error) {
	switch {
	case c.o.TokenFile != "":
		token, err := line("--token-file", c.o.TokenFile)
		return "Bearer " + token, err
	case c.o.BasicFile != "":
		pair, err := line("--basic-file", c.o.BasicFile)
		if err == nil && !strings.Contains(pair, ":") {
			err = fmt.Errorf("--basic-file %s: want user:password", c.o.BasicFile)
		}
		return basic(pair), err
	case user != nil:
		password, _ := user.Password()
		return basic(user.Username() + ":" + password), nil
	}
	return "", nil
}

func basic(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }

// line reads a secret that is one line.
func line(flag, path string) (string, error) {
	v, err := secret.File(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	text := strings.TrimSpace(v.Reveal())
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%s %s: want one line of text", flag, path)
	}
	return text, nil
}

// ShowAddress is an address without anything in it that may be secret: user, password, query.
func ShowAddress(address string) string {
	address, _, _ = strings.Cut(address, "#")
	plain, _, query := strings.Cut(secret.Redact(address), "?")
	if query {
		plain += "?" + secret.Mask
	}
	return plain
}

// digested is a sink that digests what goes into another one.
type digested struct {
	Sink
	hash hash.Hash
}

func (d *digested) Begin(size int64) error {
	d.hash = sha256.New()
	return d.Sink.Begin(size)
}

func (d *digested) Write(p []byte) (int, error) {
	n, err := d.Sink.Write(p)
	d.hash.Write(p[:n])
	return n, err
}

func (d *digested) sum() (s item.Sum) {
	d.hash.Sum(s[:0])
	return s
}
