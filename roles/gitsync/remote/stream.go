package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// session is one run of git-upload-pack at the server, over ssh or git://.
//
// One command runs per session, on a connection that is kept where the transport allows it: an upload-pack
// that is asked twice answers the second time from the refs it cached for the first, and a poll would not see
// a push.
type session struct {
	r     io.Reader
	w     io.Writer
	close func() error
	// explain may replace an error of the conversation by what the server said beside it.
	explain func(error) error
}

// streamRemote speaks with a server over a two-way stream.
type streamRemote struct {
	cfg   Config
	loc   location
	open  func(ctx context.Context) (*session, error)
	close func() error
}

func (s *streamRemote) Close() error { return s.close() }

// start opens a session that ends with ctx, and reads how the server introduces itself.
func (s *streamRemote) start(ctx context.Context, cancel context.CancelCauseFunc) (*session, *advert, *packetReader, error) {
	sess, err := s.open(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	var once sync.Once
	closeNow := sess.close
	sess.close = func() (err error) {
		once.Do(func() { err = closeNow() })
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = sess.close() })
	closeOnce := sess.close
	sess.close = func() error { stop(); return closeOnce() }
	p := newPacketReader(newStallReader(ctx, cancel, sess.r, s.cfg.Timeouts.Response), firstBuffer)
	a, err := readAdvert(s.cfg, p)
	if err != nil {
		err = sess.explain(err)
		_ = sess.close()
		return nil, nil, nil, err
	}
	return sess, a, p, nil
}

func (s *streamRemote) List(ctx context.Context, prefixes []string) ([]Ref, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	refs, err := s.list(ctx, cancel, prefixes)
	if err != nil {
		return nil, explain("list refs", s.loc, err)
	}
	return refs, nil
}

func (s *streamRemote) list(ctx context.Context, cancel context.CancelCauseFunc, prefixes []string) ([]Ref, error) {
	sess, a, p, err := s.start(ctx, cancel)
	if err != nil {
		return nil, err
	}
	defer sess.close() //nolint:errcheck // the answer is complete
	if a.version != 2 {
		_, _ = sess.w.Write(appendFlush(nil)) // says goodbye
		return selectRefs(a.refs, prefixes), nil
	}
	if _, err := sess.w.Write(a.lsRefsRequest(s.cfg, prefixes)); err != nil {
		return nil, sess.explain(fmt.Errorf("%w: %w", ErrUnreachable, err))
	}
	refs, err := readRefs(s.cfg, p, prefixes)
	if err != nil {
		return nil, sess.explain(err)
	}
	_, _ = sess.w.Write(appendFlush(nil))
	return refs, nil
}

func (s *streamRemote) Fetch(ctx context.Context, req FetchRequest) (*FetchResponse, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	resp, err := s.fetch(ctx, cancel, req)
	if err != nil {
		cancel(nil)
		return nil, explain("fetch", s.loc, err)
	}
	return resp, nil
}

func (s *streamRemote) fetch(ctx context.Context, cancel context.CancelCauseFunc, req FetchRequest) (*FetchResponse, error) {
	sess, a, p, err := s.start(ctx, cancel)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*FetchResponse, error) {
		err = sess.explain(err)
		_ = sess.close()
		return nil, err
	}
	var body []byte
	if a.version == 2 {
		body, err = a.fetchRequest(s.cfg, req)
	} else {
		body, err = a.oldRequest(s.cfg, req)
	}
	if err != nil {
		_ = sess.close()
		return nil, err
	}
	if _, err := sess.w.Write(body); err != nil {
		return fail(fmt.Errorf("%w: %w", ErrUnreachable, err))
	}
	var out *FetchResponse
	raw := false
	if a.version == 2 {
		out, err = readSections(s.cfg, p)
	} else {
		out, raw, err = readOldAnswer(s.cfg, p, a, req)
	}
	if err != nil {
		return fail(err)
	}
	pack := &packReader{cfg: s.cfg, p: p, raw: raw}
	pack.closed = func() error {
		if errors.Is(pack.err, io.EOF) && a.version == 2 {
			_, _ = sess.w.Write(appendFlush(nil))
		}
		err := sess.close()
		cancel(nil)
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
			err = nil // the server closed first
		}
		return err
	}
	out.Pack = pack
	return out, nil
}

const gitPort = "9418"

// openGit speaks the git:// protocol: no encryption and no authentication.
func openGit(cfg Config, loc location) (Remote, error) {
	addr := loc.host
	if _, _, err := net.SplitHostPort(addr); err != nil {
		addr = net.JoinHostPort(strings.Trim(addr, "[]"), gitPort)
	}
	hello := appendPacket(nil, "git-upload-pack ", loc.path, "\x00host=", loc.host, "\x00\x00version=2\x00")
	open := func(ctx context.Context) (*session, error) {
		d := net.Dialer{Timeout: cfg.Timeouts.Dial}
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, transportError(ctx, err)
		}
		if _, err := conn.Write(hello); err != nil {
			_ = conn.Close()
			return nil, transportError(ctx, err)
		}
		same := func(err error) error { return err }
		return &session{r: conn, w: conn, close: conn.Close, explain: same}, nil
	}
	return &streamRemote{cfg: cfg, loc: loc, open: open, close: func() error { return nil }}, nil
}

// capped keeps the beginning of what is written to it.
type capped struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (c *capped) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if room := errorTextCap + 1 - c.buf.Len(); room > 0 {
		c.buf.Write(b[:min(room, len(b))])
	}
	return len(b), nil
}

func (c *capped) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}

// How long the rest of a failed session may take to tell why it failed.
const lastWords = 2 * time.Second
