// Package redis asks a redis server what it says of itself.
//
// It promises: an answer is bounded; passwords are in no error.
package redis

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/adapter/server"
)

const (
	port      = "6379"
	mostBytes = 1 << 20
)

// Options say which server is asked, as whom, and what it has to be.
type Options struct {
	server.Options
	Role   string        // master or replica, "" for either
	MaxLag time.Duration // of a replica, 0: any
}

// Keys are the keys that Parse reads.
func Keys() []string {
	return []string{"address", "user", "password-file", "tls", "role", "max-lag"}
}

// Parse reads those keys. The error has all complaints.
func Parse(v draft.Value) (Options, error) {
	var o Options
	rest := v
	var err error
	if v.Shape == draft.Map {
		rest.Pairs = nil
		err = v.Each(Keys(), func(key string, v draft.Value) error {
			switch key {
			case "role":
				return v.OneOf(&o.Role, "master", "replica")
			case "max-lag":
				return v.Duration(&o.MaxLag, time.Second, 24*time.Hour)
			}
			rest.Pairs = append(rest.Pairs, draft.Pair{Key: key, Place: v.Place, Value: v})
			return nil
		})
	}
	s, more := server.Parse(rest, port)
	o.Options = s
	return o, errors.Join(err, more)
}

type conn struct {
	*server.Conn
	r *bufio.Reader
}

// Ask opens a connection, says PING and INFO, and closes it. The answer is a JSON object of the fields of INFO, numbers as numbers, and what
// stands as a=1,b=2 as objects. An error is also a server that is not what it has to be.
func (o *Options) Ask(ctx context.Context) ([]byte, error) {
	info, err := o.Info(ctx)
	if err != nil {
		return nil, err
	}
	fields := parseInfo(info)
	if err := o.judge(fields); err != nil {
		return nil, err
	}
	return document(fields), nil
}

// Info opens a connection, says PING and INFO, and closes it. It returns what INFO says, as it is.
func (o *Options) Info(ctx context.Context) (string, error) {
	r, err := o.Resolved(nil)
	if err != nil {
		return "", err
	}
	raw, err := r.Dial(ctx)
	if err != nil {
		return "", server.Reason(ctx, err)
	}
	defer func() { _ = raw.Close() }()
	if r.Secure {
		if err := raw.Encrypt(ctx, r); err != nil {
			return "", server.Reason(ctx, err)
		}
	}
	c := &conn{raw, bufio.NewReader(io.LimitReader(raw, mostBytes))}
	info, err := c.ask(r)
	return info, server.Reason(ctx, err)
}

func (c *conn) ask(o *server.Options) (string, error) {
	if p := o.Password(); p != "" {
		words := []string{"AUTH", p}
		if o.User != "" {
			words = []string{"AUTH", o.User, p}
		}
		if _, err := c.do(words...); err != nil {
			return "", err
		}
	}
	if answer, err := c.do("PING"); err != nil || answer != "PONG" {
		if err == nil {
			err = errors.New("PING is not answered by PONG")
		}
		return "", err
	}
	return c.do("INFO")
}

// do sends a command and reads its answer.
func (c *conn) do(words ...string) (string, error) {
	var b []byte
	b = fmt.Appendf(b, "*%d\r\n", len(words))
	for _, w := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := c.Write(b); err != nil {
		return "", err
	}
	return readAnswer(c.r)
}

var errMalformed = errors.New("the server's answer is not that of redis")

func readAnswer(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the server closed the connection")
		}
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errMalformed
	}
	switch line[0] {
	case '+':
		return line[1:], nil
	case '-':
		return "", errors.New(secret.Printable(line[1:]))
	case '$':
		size, err := strconv.Atoi(line[1:])
		if err != nil || size < 0 || size > mostBytes {
			return "", errMalformed
		}
		data := make([]byte, size+2)
		if _, err := io.ReadFull(r, data); err != nil {
			return "", errors.New("the server's answer broke off, or has more than a MiB")
		}
		return string(data[:size]), nil
	}
	return "", errMalformed
}

// parseInfo reads lines of NAME:VALUE.
func parseInfo(text string) (fields [][2]string) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		if ok && !strings.HasPrefix(line, "#") && name != "" {
			fields = append(fields, [2]string{name, value})
		}
	}
	return fields
}

func field(fields [][2]string, name string) string {
	for _, f := range fields {
		if f[0] == name {
			return f[1]
		}
	}
	return ""
}

// judge is whether the server is what it has to be.
func (o *Options) judge(fields [][2]string) error {
	if field(fields, "loading") == "1" {
		return errors.New("it loads its data")
	}
	role := field(fields, "role")
	if role == "slave" {
		role = "replica"
	}
	if o.Role != "" && role != o.Role {
		return fmt.Errorf("it is a %s; want a %s", secret.Printable(role), o.Role)
	}
	if o.MaxLag == 0 || role != "replica" {
		return nil
	}
	if status := field(fields, "master_link_status"); status != "up" {
		return fmt.Errorf("its link to the master is %s", secret.Printable(status))
	}
	seconds, err := strconv.Atoi(field(fields, "master_last_io_seconds_ago"))
	if err != nil || seconds < 0 {
		return errors.New("it does not say when it heard of the master")
	}
	if lag := time.Duration(seconds) * time.Second; lag > o.MaxLag {
		return fmt.Errorf("it heard of the master %s ago, max-lag is %s", lag, o.MaxLag)
	}
	return nil
}

func document(fields [][2]string) []byte {
	out := []byte{'{'}
	for i, f := range fields {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendText(out, f[0]), ':')
		if !strings.Contains(f[1], "=") {
			out = appendValue(out, f[1])
			continue
		}
		out = append(out, '{')
		for j, part := range strings.Split(f[1], ",") {
			if j > 0 {
				out = append(out, ',')
			}
			name, value, _ := strings.Cut(part, "=")
			out = appendValue(append(appendText(out, name), ':'), value)
		}
		out = append(out, '}')
	}
	return append(out, '}')
}

func appendText(dst []byte, s string) []byte {
	b, _ := json.Marshal(s) // a string
	return append(dst, b...)
}

func appendValue(dst []byte, s string) []byte {
	if s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') && json.Valid([]byte(s)) {
		return append(dst, s...)
	}
	return appendText(dst, s)
}
