package h2

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/tlsconf"
	"github.com/sidecar-kit/sidecar/internal/tlsconf/tlstest"
	"github.com/sidecar-kit/sidecar/roles/proxy/web"
)

// Frame types, flags and errors of RFC 9113, for clients that do not behave.
const (
	typeData, typeHeaders, typePriority, typeReset, typeSettings, typePing, typeGoAway, typeWindow, typeContinuation = 0, 1, 2, 3, 4, 6, 7, 8, 9

	flagEnd, flagAck, flagHeaders = 1, 1, 4
)

// frames is a client that sends what it is told.
type frames struct {
	t    testing.TB
	conn net.Conn
}

type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

// send writes a frame; an error is returned, since servers hang up on such clients.
func (f frames) send(kind, flags byte, stream uint32, payload []byte) error {
	head := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(head[5:], stream)
	_, err := f.conn.Write(append(head, payload...))
	return err
}

func (f frames) read() (frame, error) {
	head := make([]byte, 9)
	if _, err := io.ReadFull(f.conn, head); err != nil {
		return frame{}, err
	}
	payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err := io.ReadFull(f.conn, payload)
	return frame{head[3], head[4], binary.BigEndian.Uint32(head[5:]), payload}, err
}

// until reads frames until one of a kind on a stream comes. It answers pings and settings.
func (f frames) until(kind byte, stream uint32) (frame, error) {
	for {
		got, err := f.read()
		if err != nil || got.kind == kind && got.stream == stream && (kind != typeSettings || got.flags&flagAck == 0) {
			return got, err
		}
		if got.kind == typePing && got.flags&flagAck == 0 {
			_ = f.send(typePing, flagAck, 0, got.payload)
		}
	}
}

// block encodes fields as hpack literals that are neither indexed nor compressed.
func block(fields ...string) []byte {
	var b []byte
	text := func(s string) {
		if len(s) < 127 {
			b = append(b, byte(len(s)))
		} else {
			b = append(b, 127)
			n := len(s) - 127
			for ; n >= 128; n >>= 7 {
				b = append(b, byte(n)|0x80)
			}
			b = append(b, byte(n))
		}
		b = append(b, s...)
	}
	for i := 0; i < len(fields); i += 2 {
		b = append(b, 0)
		text(fields[i])
		text(fields[i+1])
	}
	return b
}

func get(more ...string) []byte {
	return block(append([]string{":method", "GET", ":scheme", "https", ":authority", "a.example", ":path", "/"}, more...)...)
}

// front is a running server.
type front struct {
	*Server
	t      *testing.T
	addr   string
	roots  *tlstest.Cert
	errors chan string
}

// serve starts a server behind TLS that is ended with the test, and checks that nothing is left of it.
func serve(t *testing.T, c Config) *front {
	t.Helper()
	f := &front{t: t, roots: tlstest.NewCA(t, "root"), errors: make(chan string, 10000)}
	c.Error = func(kind string) {
		select {
		case f.errors <- kind:
		default:
		}
	}
	var err error
	if f.Server, err = New(c); err != nil {
		t.Fatal(err)
	}
	conf, err := tlsconf.NewServer(tlsconf.ServerOptions{Certs: []string{f.roots.Issue(tlstest.Want{}).Files()}, ALPN: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	f.addr = listen(t, func(c net.Conn) {
		secure := tls.Server(c, conf.Config())
		if secure.Handshake() != nil {
			_ = c.Close()
			return
		}
		state := secure.ConnectionState()
		f.ServeConn(t.Context(), secure, web.Peer{TLS: &state, Remote: netip.MustParseAddrPort(c.RemoteAddr().String())})
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		_ = f.Shutdown(ctx)
		if n := f.Conns(); n != 0 {
			t.Errorf("%d connections are left after Shutdown", n)
		}
	})
	return f
}

// listen accepts connections until the test ends, and then waits for them.
func listen(t *testing.T, fn func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				work.Go(func() { fn(c) })
			}
		}
	})
	t.Cleanup(work.Wait)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// client returns a client of the standard library.
func (f *front) client() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	tr := &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{RootCAs: f.roots.Pool()}, DisableCompression: true}
	f.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func (f *front) url(path string) string {
	return "https://localhost" + f.addr[strings.LastIndexByte(f.addr, ':'):] + path
}

// counted waits until a kind of error was counted.
func (f *front) counted(kind string) {
	f.t.Helper()
	for {
		select {
		case got := <-f.errors:
			if got == kind {
				return
			}
		case <-time.After(time.Minute):
			f.t.Fatalf("no error %q was counted", kind)
		}
	}
}

// frames connects and exchanges settings.
func (f *front) frames() frames {
	f.t.Helper()
	c, err := tls.Dial("tcp", f.addr, &tls.Config{RootCAs: f.roots.Pool(), ServerName: "localhost", NextProtos: []string{"h2"}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.NetConn().Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	fr := frames{f.t, c}
	if _, err := io.WriteString(c, Preface); err != nil {
		f.t.Fatal(err)
	}
	fr.must(fr.send(typeSettings, 0, 0, nil))
	_, err = fr.until(typeSettings, 0)
	fr.must(err)
	fr.must(fr.send(typeSettings, flagAck, 0, nil))
	return fr
}

func (f frames) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// flood sends until the server says goodbye or hangs up, and returns the code of its GOAWAY, or -1 when it just closed.
func (f frames) flood(most int, send func(f frames, i int) error) (sent int, code int) {
	ended := make(chan int, 1)
	var told atomic.Bool
	go func() {
		code := -1
		for {
			got, err := f.read()
			if err != nil {
				ended <- code
				return
			}
			if got.kind == typeGoAway && len(got.payload) >= 8 {
				code = int(binary.BigEndian.Uint32(got.payload[4:]))
				told.Store(true)
			}
		}
	}()
	for sent < most && !told.Load() && send(f, sent) == nil {
		sent++
	}
	_ = f.conn.(*tls.Conn).NetConn().Close()
	return sent, <-ended
}

// paced sends a round of a flood and waits until the server took it.
func (f frames) paced(rounds int, send func(round int) error) (done int) {
	for ; done < rounds; done++ {
		if send(done) != nil || f.send(typePing, 0, 0, make([]byte, 8)) != nil {
			return done
		}
		if _, err := f.until(typePing, 0); err != nil {
			return done
		}
	}
	return done
}
