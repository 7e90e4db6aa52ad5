package forward

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/link"
	"github.com/sidecar-kit/sidecar/roles/logship/out/outtest"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// server reads chunks and acknowledges them. Entries are kept by tag and id.
type server struct {
	net.Listener
	t      *testing.T
	shared string
	login  string // password of the user u
	forget int    // as many chunks are stored, and not acknowledged
	wrong  bool   // acknowledges something else

	work    sync.WaitGroup
	mu      sync.Mutex
	entries map[string]map[string]any
	chunks  map[string]int
}

func start(t *testing.T, s *server) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Listener, s.t, s.entries, s.chunks = l, t, map[string]map[string]any{}, map[string]int{}
	s.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.work.Go(func() { defer c.Close(); s.serve(c) })
		}
	})
	return s
}

func (s *server) stop() {
	_ = s.Listener.Close()
	s.work.Wait()
}

func (s *server) greet(c net.Conn) bool {
	auth := ""
	if s.login != "" {
		auth = "salty"
	}
	hello := appendStr([]byte{0x92}, "HELO")
	hello = appendStr(appendStr(appendStr(appendStr(mapHead(hello, 2), "nonce"), "n0"), "auth"), auth)
	_, _ = c.Write(hello)
	v, err := unpack(c)
	if errors.Is(err, io.EOF) {
		return false // the client did not like ours
	}
	list, _ := v.([]any)
	if err != nil || len(list) != 6 || list[0] != "PING" {
		s.t.Errorf("greeting %v, %v; want PING", v, err)
		return false
	}
	host, salt := list[1].(string), list[2].(string)
	ok := list[3] == digest(salt, host, "n0", s.shared) && (s.login == "" || list[4] == "u" && list[5] == digest(auth, "u", s.login))
	pong := appendStr(appendBool(appendStr([]byte{0x95}, "PONG"), ok), "shared_key mismatch")
	pong = appendStr(appendStr(pong, "srv"), digest(salt, "srv", "n0", s.shared))
	_, _ = c.Write(pong)
	return ok
}

func (s *server) serve(c net.Conn) {
	if s.shared != "" && !s.greet(c) {
		return
	}
	for {
		r := &reader{c, 100 << 20}
		v, err := r.value(0)
		if err != nil {
			return
		}
		list, _ := v.([]any)
		option := list[2].(map[string]any)
		data := []byte(list[1].(string))
		if option["compressed"] == "gzip" {
			z, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				s.t.Error(err)
				return
			}
			data, _ = io.ReadAll(z)
		}
		n := s.store(list[0].(string), data)
		s.mu.Lock()
		chunk := option["chunk"].(string)
		s.chunks[chunk]++
		forget := s.forget > 0
		s.forget--
		s.mu.Unlock()
		if int64(n) != option["size"] {
			s.t.Errorf("%d entries; size says %v", n, option["size"])
		}
		if forget {
			return
		}
		if s.wrong {
			chunk = "x"
		}
		_, _ = c.Write(appendStr(appendStr(mapHead(nil, 1), "ack"), chunk))
	}
}

func (s *server) store(tag string, data []byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	src := bytes.NewReader(data)
	for n := 0; ; n++ {
		var head [11]byte // an array of two, and a time
		if _, err := io.ReadFull(src, head[:]); err != nil {
			if err != io.EOF {
				s.t.Errorf("entry %d: %v", n, err)
			}
			return n
		}
		v, err := (&reader{src, 1 << 20}).value(0)
		rec, _ := v.(map[string]any)
		if err != nil || head[0] != 0x92 || head[1] != 0xd7 || rec["id"] == nil {
			s.t.Errorf("entry %d: %x %v, %v", n, head, rec, err)
			return n
		}
		s.entries[tag+" "+rec["id"].(string)] = rec
	}
}

func sink(t *testing.T, srv *server, change ...func(*Config)) *Sink {
	t.Helper()
	o := Config{Hosts: []string{srv.Addr().String()}, Hostname: "pod-1"}
	for _, c := range change {
		c(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(); srv.stop() })
	return s
}

func TestEntries(t *testing.T) {
	for _, pack := range []bool{false, true} {
		srv := start(t, &server{forget: 1})
		s := sink(t, srv, func(o *Config) { o.Tag, o.Gzip = "app.%{level}", pack })
		b := outtest.Batch(t, s, 0, 1000)
		r := outtest.Event(outtest.File(), 1000)
		r.Level, r.Message, r.Kind = record.Error, []byte(`a\nb`), record.Escaped
		r.Fields = append(r.Fields, record.Field{Key: "o", Value: []byte(`{"b":[1,-2.5,null,true,"x"],"a":1}`), Kind: record.Nested}, record.Field{Key: "n", Value: []byte("123456789012"), Kind: record.Literal})
		outtest.Append(t, s, b, r)
		outtest.Deliver(t, s, b, 2)
		srv.mu.Lock()
		got := srv.entries["app.error "+string(r.AppendID(nil))]
		text, _ := json.Marshal(got)
		want := `{"id":"` + string(r.AppendID(nil)) + `","level":"error","message":"a\nb","n":123456789012,"o":{"a":1,"b":[1,-2.5,null,true,"x"]},"offset":200000,"path":"/var/log/app/app.log","team":"blue"}`
		if len(srv.entries) != 1001 || string(text) != want {
			t.Errorf("%d entries, %s; want 1001 and %s", len(srv.entries), text, want)
		}
		if fmt.Sprint(srv.chunks) != "map[batch-0-0:2 batch-0-1:1]" {
			t.Errorf("chunks %v; want the first one twice", srv.chunks)
		}
		srv.mu.Unlock()
	}
}

func key(text string) *link.Secret { return &link.Secret{Fixed: secret.New(text)} }

func TestGreeting(t *testing.T) {
	tests := map[string]struct {
		change func(*Config)
		want   string // in the error
	}{
		"right":       {func(o *Config) { o.Shared, o.User, o.Password = key("sesame"), "u", key("pw") }, ""},
		"wrong key":   {func(o *Config) { o.Shared, o.User, o.Password = key("simsim"), "u", key("pw") }, "refuses us"},
		"no password": {func(o *Config) { o.Shared = key("sesame") }, "asks for a user"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			srv := start(t, &server{shared: "sesame", login: "pw"})
			s := sink(t, srv, tt.change)
			err := s.Send(t.Context(), outtest.Batch(t, s, 0, 3))
			if tt.want == "" {
				if err != nil || len(srv.entries) != 3 {
					t.Errorf("Send = %v; want three entries", err)
				}
				return
			}
			if err == nil || out.AsFailure(err).How != out.Pause || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "simsim") {
				t.Errorf("Send = %v; want Pause and %q", err, tt.want)
			}
		})
	}
}

func TestWrongAcknowledgement(t *testing.T) {
	srv := start(t, &server{wrong: true})
	s := sink(t, srv)
	b := outtest.Batch(t, s, 0, 3)
	if err := s.Send(t.Context(), b); err == nil || !strings.Contains(err.Error(), "batch-0-0") {
		t.Errorf("Send = %v; want an error that names the chunk", err)
	}
}

func TestPasswordsNeedTLS(t *testing.T) {
	o := Config{Hosts: []string{"fluentd:24224"}, Shared: key("s"), User: "u", Password: key("p")}
	if _, err := New(o); err == nil {
		t.Error("New without TLS = nil; want an error")
	}
	o.PlainOK = true
	if _, err := New(o); err != nil {
		t.Errorf("New that may be plain = %v; want nil", err)
	}
}

// FuzzUnpack reads anything, in bounded memory; what was written by us is read again.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte{0x81, 0xa3, 'a', 'c', 'k', 0xa1, 'x'})
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := unpack(bytes.NewReader(data))
		if err != nil {
			return
		}
		if text, err := json.Marshal(v); err == nil && len(text) < 10_000 {
			again, err := unpack(bytes.NewReader(appendJSON(nil, text)))
			if err != nil {
				t.Errorf("unpack(appendJSON(%s)) = %v, %v", text, again, err)
			}
		}
	})
}
