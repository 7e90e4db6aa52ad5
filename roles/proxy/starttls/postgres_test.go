package starttls

import (
	"encoding/binary"
	"strings"
	"testing"
)

const (
	sslReq  = "\x00\x00\x00\x08\x04\xd2\x16\x2f"
	gssReq  = "\x00\x00\x00\x08\x04\xd2\x16\x30"
	startup = "\x00\x00\x00\x12\x00\x03\x00\x00user\x00me\x00\x00\x00"
)

func message(kind byte, body string) string {
	return string(binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))) + body
}

func TestPostgresIsSecuredWhileTheClientIsToldNo(t *testing.T) {
	l := upgrade(t, Postgres)
	l.send(l.client, gssReq)
	l.expect(l.client, "N")
	l.send(l.client, sslReq)
	l.expect(l.client, "N")
	l.send(l.client, startup)
	l.expect(l.server, sslReq)
	l.send(l.server, "S")
	l.secureServer()
	l.expect(l.server, startup)
	notice := message('N', "SNOTICE\x00\x00")
	l.send(l.server, notice+message('R', "\x00\x00\x00\x0aSCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00"))
	l.expect(l.client, notice+message('R', "\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00"))
	l.open()
}

func TestPostgresCancelGoesByTLS(t *testing.T) {
	l := upgrade(t, Postgres)
	cancel := "\x00\x00\x00\x10\x04\xd2\x16\x2e12345678"
	l.send(l.client, cancel)
	l.expect(l.server, sslReq)
	l.send(l.server, "S")
	l.secureServer()
	l.expect(l.server, cancel)
	l.open()
}

func TestPostgresClientIsToldWhyThereIsNoTLS(t *testing.T) {
	for _, tt := range []struct{ answer, want string }{
		{"N", "does not offer TLS"},
		{"E\x00\x00\x00\x08abc\x00", "answered the request for TLS with an error"},
		{"H", "this is not PostgreSQL"},
		{"SE", "sent bytes ahead of TLS"},
	} {
		l := upgrade(t, Postgres)
		l.send(l.client, startup)
		l.expect(l.server, sslReq)
		l.send(l.server, tt.answer)
		got := l.rest()
		if !strings.HasPrefix(got, "E") || !strings.Contains(got, "SFATAL\x00") || !strings.Contains(got, tt.want) {
			t.Errorf("after %q the client is told %q; want a fatal error with %q", tt.answer, got, tt.want)
		}
		if strings.Contains(got, "abc") {
			t.Errorf("the client is told %q, which came in plain text", got)
		}
		if int(binary.BigEndian.Uint32([]byte(got)[1:])) != len(got)-1 {
			t.Errorf("the length in %q is wrong", got)
		}
	}
	l := upgrade(t, Postgres)
	l.send(l.client, startup)
	l.expect(l.server, sslReq)
	l.send(l.server, "N")
	l.rest()
	wantErr(t, l.err, ErrNoTLS)
}

func TestPostgresRefusesStrangeClients(t *testing.T) {
	for _, in := range []string{
		"\x16\x03\x01\x02\x00\x01\x00\x01",     // TLS
		"GET / HTTP/1.1\r\n",                   // a length of a gigabyte
		"\x00\x00\x00\x04\x00\x03\x00\x00",     // too short
		"\x00\x00\x00\x09\x04\xd2\x16\x2fx",    // a request for TLS with something in it
		sslReq + sslReq + sslReq + sslReq + "", // no end of asking
	} {
		l := upgrade(t, Postgres)
		l.send(l.client, in)
		l.rest()
		wantErr(t, l.err, ErrClient)
	}
}

func TestPostgresErrorBeforeAuthenticationIsPassedOn(t *testing.T) {
	l := upgrade(t, Postgres)
	l.send(l.client, startup)
	l.expect(l.server, sslReq)
	l.send(l.server, "S")
	l.secureServer()
	l.expect(l.server, startup)
	full := message('E', "SFATAL\x00C53300\x00Mtoo many clients\x00\x00")
	l.send(l.server, full)
	l.expect(l.client, full)
	l.open()
}

func TestProbeOfPostgres(t *testing.T) {
	for answer, want := range map[string]error{"S": nil, "N": ErrNoTLS} {
		l := &legs{t: t, done: make(chan struct{})}
		outer, server := pair(t)
		l.server = server
		go func() {
			defer close(l.done)
			l.err = (&Upgrader{Protocol: Postgres, Secure: secure}).Probe(t.Context(), outer)
		}()
		l.expect(l.server, sslReq)
		l.send(l.server, answer)
		if want == nil {
			l.secureServer()
		}
		<-l.done
		wantErr(t, l.err, want)
	}
}

func FuzzWithoutBinding(f *testing.F) {
	f.Add([]byte(message('R', "\x00\x00\x00\x0aSCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00")))
	f.Add([]byte(message('R', "\x00\x00\x00\x0a-PLUS")))
	f.Add([]byte(message('R', "\x00\x00\x00\x00")))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < 5 {
			return
		}
		binary.BigEndian.PutUint32(in[1:], uint32(len(in)-1))
		out := withoutBinding(in)
		if len(out) > len(in) || int(binary.BigEndian.Uint32(out[1:])) != len(out)-1 {
			t.Errorf("withoutBinding(%q) = %q", in, out)
		}
	})
}
