package blackbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
)

// step is one part of a conversation.
type step struct {
	expect      *regexp.Regexp
	bytes, send string
	labels      []string // names and values by turns
	startTLS    bool
}

func (l *look) probeTCP(ctx context.Context) error {
	host, port, err := net.SplitHostPort(l.target)
	if err != nil {
		return errors.New("the target is no HOST:PORT")
	}
	addr, err := l.find(ctx, host, port, "")
	if err != nil {
		return err
	}
	conn, err := l.dial(ctx, "tcp", addr, port)
	if err != nil {
		return err
	}
	return l.talkOver(ctx, conn, host)
}

// probeUnix is the same over a socket. The target is its path.
func (l *look) probeUnix(ctx context.Context) error {
	path := strings.TrimPrefix(l.target, "unix://")
	if err := l.list.Socket(path); err != nil {
		return err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	if end, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(end); err != nil {
			return errors.Join(err, conn.Close())
		}
	}
	return l.talkOver(ctx, conn, "localhost")
}

// talkOver has the conversation of the module with a host, and closes the connection.
func (l *look) talkOver(ctx context.Context, conn net.Conn, host string) error {
	defer func() { _ = conn.Close() }()
	l.report.set("probe_failed_due_to_regex", "Indicates if probe failed due to regex", 0)
	l.report.set("probe_failed_due_to_bytes", "Indicates if probe failed due to bytes", 0)
	if l.host != "" {
		host = l.host
	}
	t := &talk{look: l, conn: conn, host: host}
	if l.useTLS {
		if err := t.secure(ctx); err != nil {
			return err
		}
	}
	t.lines()
	for i := range l.talk {
		if err := t.step(ctx, &l.talk[i]); err != nil {
			return fmt.Errorf("query_response %d: %w", i+1, err)
		}
	}
	return nil
}

// talk is a conversation.
type talk struct {
	look *look
	conn net.Conn
	scan *bufio.Scanner
	host string
}

// lines begins to read lines.
func (t *talk) lines() { t.scan = bufio.NewScanner(t.conn) }

func (t *talk) secure(ctx context.Context) error {
	c, err := t.look.tls.shake(ctx, t.conn, t.host, true)
	if err != nil {
		return err
	}
	t.conn = c
	s := c.ConnectionState()
	t.look.report.secured(&s, true, false)
	return nil
}

func (t *talk) step(ctx context.Context, s *step) error {
	send := s.send
	if s.expect != nil {
		line, match, err := t.expect(s)
		if err != nil {
			return err
		}
		send = string(s.expect.ExpandString(nil, send, line, match))
		if len(s.labels) > 0 {
			labels := append([]string(nil), s.labels...)
			for i := 1; i < len(labels); i += 2 {
				labels[i] = string(s.expect.ExpandString(nil, labels[i], line, match))
			}
			t.look.report.set("probe_expect_info", "Explicit content matched", 1, labels...)
		}
	}
	if s.bytes != "" {
		data := make([]byte, len(s.bytes))
		if _, err := io.ReadFull(t.conn, data); err != nil {
			return err
		}
		wrong := 0.
		if string(data) != s.bytes {
			wrong = 1
		}
		t.look.report.set("probe_failed_due_to_bytes", "", wrong)
		if wrong > 0 {
			return errors.New("other bytes came than are expected")
		}
	}
	if send != "" {
		if _, err := io.WriteString(t.conn, send+"\n"); err != nil {
			return err
		}
	}
	if !s.startTLS {
		return nil
	}
	err := t.secure(ctx)
	t.lines()
	return err
}

// expect reads lines until one matches.
func (t *talk) expect(s *step) (string, []int, error) {
	for t.scan.Scan() {
		line := t.scan.Text()
		if match := s.expect.FindStringSubmatchIndex(line); match != nil {
			t.look.report.set("probe_failed_due_to_regex", "", 0)
			return line, match, nil
		}
	}
	if err := t.scan.Err(); err != nil {
		return "", nil, err
	}
	t.look.report.set("probe_failed_due_to_regex", "", 1)
	return "", nil, fmt.Errorf("no line matches %q", s.expect)
}
