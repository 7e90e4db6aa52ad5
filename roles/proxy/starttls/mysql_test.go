package starttls

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/pem"
	"io"
	"strings"
	"testing"
	"time"
)

// hello is the greeting of a server; caps are the lower capabilities.
func hello(caps string, plugin string) string {
	return packet(0, "\x0a8.0.40\x00\x07\x00\x00\x0012345678\x00"+caps+"\x2d\x02\x00\xff\xc7\x15"+
		strings.Repeat("\x00", 10)+"abcdefghijkl\x00"+plugin+"\x00")
}

func packet(seq byte, payload string) string { return string(newPacket(seq, []byte(payload))) }

const (
	withSSL = "\xff\xff"
	sansSSL = "\xff\xf7"
	okay    = "\x00\x00\x00\x02\x00\x00\x00"
)

// answer is a client's answer to the greeting; caps are its capabilities.
func answer(caps string) string {
	return caps + "\x00\x00\x00\x01\x2d" + strings.Repeat("\x00", 23) + "root\x00\x03abcdb\x00plugin\x00"
}

const (
	capsPlain = "\x8d\xa6\x0f\x00"
	capsSSL   = "\x8d\xae\x0f\x00"
)

// begin goes up to the point where the server has the client's answer by TLS.
func begin(t *testing.T, plugin string) *legs {
	t.Helper()
	l := upgrade(t, MySQL)
	l.send(l.server, hello(withSSL, plugin))
	l.expect(l.client, hello(sansSSL, plugin))
	l.send(l.client, packet(1, answer(capsPlain)))
	l.expect(l.server, packet(1, answer(capsSSL)[:32]))
	l.secureServer()
	l.expect(l.server, packet(2, answer(capsSSL)))
	return l
}

func TestMySQLIsSecuredWhileTheClientSeesNoTLS(t *testing.T) {
	l := begin(t, "mysql_native_password")
	l.send(l.server, packet(3, okay))
	l.expect(l.client, packet(2, okay))
	l.open()
	_ = l.client.SetReadDeadline(time.Now().Add(10 * time.Second))
	l.send(l.client, "still open")
}

func TestMySQLLegsCountForThemselves(t *testing.T) {
	l := begin(t, "caching_sha2_password")
	l.send(l.server, packet(3, "\xfeauth_plugin\x00challenge"))
	l.expect(l.client, packet(2, "\xfeauth_plugin\x00challenge"))
	l.send(l.client, packet(3, "response"))
	l.expect(l.server, packet(4, "response"))
	l.send(l.server, packet(5, "\x01\x03")+packet(6, okay)) // fast: two in a row
	l.expect(l.client, packet(4, "\x01\x03")+packet(5, okay))
	l.open()
}

func TestMySQLEmptyAnswersPass(t *testing.T) {
	l := begin(t, "x")
	l.send(l.server, packet(3, "\x01more"))
	l.expect(l.client, packet(2, "\x01more"))
	l.send(l.client, packet(3, ""))
	l.expect(l.server, packet(4, ""))
	l.send(l.server, packet(5, "\xff\x15\x04#28000denied"))
	l.expect(l.client, packet(4, "\xff\x15\x04#28000denied"))
	l.open()
}

func TestMySQLPasswordsAreEncryptedOnThePlainLegAndClearUnderTLS(t *testing.T) {
	for _, switched := range []bool{false, true} {
		l := begin(t, "caching_sha2_password")
		nonce, c, s := "12345678abcdefghijkl", byte(2), byte(3)
		if switched {
			nonce = "ABCDEFGHIJKLMNOPQRST"
			p := "\xfecaching_sha2_password\x00" + nonce + "\x00"
			l.send(l.server, packet(s, p))
			l.expect(l.client, packet(c, p))
			l.send(l.client, packet(c+1, "scramble"))
			l.expect(l.server, packet(s+1, "scramble"))
			c, s = c+2, s+2
		}
		l.send(l.server, packet(s, "\x01\x04"))
		l.expect(l.client, packet(c, "\x01\x04"))
		l.send(l.client, packet(c+1, "\x02"))
		head := make([]byte, 5)
		if _, err := io.ReadFull(l.client, head); err != nil || head[3] != c+2 || head[4] != 1 {
			t.Fatalf("the key comes with %q, %v; want number %d", head, err, c+2)
		}
		text := make([]byte, int(head[0])|int(head[1])<<8-1)
		if _, err := io.ReadFull(l.client, text); err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		password := []byte("a password that is longer than the nonce\x00")
		mixed := make([]byte, len(password))
		for i := range password {
			mixed[i] = password[i] ^ nonce[i%20]
		}
		sealed, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, key.(*rsa.PublicKey), mixed, nil)
		if err != nil {
			t.Fatal(err)
		}
		l.send(l.client, packet(c+3, string(sealed)))
		l.expect(l.server, packet(s+1, string(password)))
		l.send(l.server, packet(s+2, okay))
		l.expect(l.client, packet(c+4, okay))
		l.open()
	}
}

func TestMySQLClientIsToldWhyThereIsNoTLS(t *testing.T) {
	l := upgrade(t, MySQL)
	l.send(l.server, hello(sansSSL, "x"))
	if got := l.rest(); !strings.Contains(got, "\xff\x13\x04the proxy has no TLS connection") || strings.Contains(got, "\n") {
		t.Errorf("the client is told %q; want an error packet on one line", got)
	}
	wantErr(t, l.err, ErrNoTLS)

	l = upgrade(t, MySQL)
	blocked := packet(0, "\xff\x69\x04Host 'x' is blocked")
	l.send(l.server, blocked)
	if got := l.rest(); got != blocked {
		t.Errorf("the client is told %q; want the server's own words", got)
	}

	l = upgrade(t, MySQL)
	l.send(l.server, hello(withSSL, "x"))
	l.expect(l.client, hello(sansSSL, "x"))
	l.send(l.client, packet(1, answer(capsPlain)))
	l.expect(l.server, packet(1, answer(capsSSL)[:32]))
	l.send(l.server, "no TLS, sorry")
	if got := l.rest(); !strings.HasPrefix(got[3:], "\x02\xff\x13\x04#08S01the proxy has no TLS") {
		t.Errorf("the client is told %q; want an error packet with number 2", got)
	}
}

func TestMySQLBytesAheadOfTLSAreRefused(t *testing.T) {
	l := upgrade(t, MySQL)
	l.send(l.server, hello(withSSL, "x")+packet(2, okay))
	l.expect(l.client, hello(sansSSL, "x"))
	l.send(l.client, packet(1, answer(capsPlain)))
	l.rest()
	wantErr(t, l.err, errInjected)
}

func TestMySQLRefusesStrangeClients(t *testing.T) {
	for _, in := range []string{
		packet(1, answer(capsSSL)),
		packet(1, answer(capsSSL)[:32]),
		packet(1, "\x05\x00\x00\x00\x00root\x00"),
		packet(1, answer(capsPlain)[:20]),
		packet(7, answer(capsPlain)),
		"GET / HTTP/1.1\r\n\r\n",
	} {
		l := upgrade(t, MySQL)
		l.send(l.server, hello(withSSL, "x"))
		l.expect(l.client, hello(sansSSL, "x"))
		l.send(l.client, in)
		_ = l.client.(interface{ CloseWrite() error }).CloseWrite()
		if got := l.rest(); !strings.Contains(got, "\xff\x13\x04#08S01the proxy refuses this client") {
			t.Errorf("after %q the client is told %q", in, got)
		}
		wantErr(t, l.err, ErrClient)
	}
}

func TestMySQLClientThatSpeaksOutOfTurnIsRefused(t *testing.T) {
	l := begin(t, "x")
	l.send(l.client, packet(0, "\x03select 1"))
	<-l.done
	wantErr(t, l.err, ErrClient)
}

func TestMySQLClientThatGoesAwayEndsTheUpgrade(t *testing.T) {
	l := begin(t, "x")
	l.client.Close()
	<-l.done
	wantErr(t, l.err, ErrClient)
}

func TestMySQLServerThatGoesAwayEndsTheUpgrade(t *testing.T) {
	l := begin(t, "x")
	l.server.Close()
	if got := l.rest(); !strings.Contains(got, "the proxy lost the server during the login") {
		t.Errorf("the client is told %q", got)
	}
}

func TestProbeOfMySQL(t *testing.T) {
	l := &legs{t: t, done: make(chan struct{})}
	outer, server := pair(t)
	l.server = server
	go func() {
		defer close(l.done)
		l.err = (&Upgrader{Protocol: MySQL, Secure: secure}).Probe(t.Context(), outer)
	}()
	l.send(l.server, hello(withSSL, "x"))
	head := make([]byte, 36)
	if _, err := io.ReadFull(l.server, head); err != nil {
		t.Fatal(err)
	}
	if string(head[:4]) != "\x20\x00\x00\x01" || head[5]&8 == 0 {
		t.Errorf("the request for TLS is %q", head)
	}
	l.secureServer()
	<-l.done
	wantErr(t, l.err, nil)
}

func FuzzGreeting(f *testing.F) {
	f.Add([]byte(hello(withSSL, "caching_sha2_password"))[4:])
	f.Add([]byte("\x0a5.5.5-10.11.6-MariaDB\x00\x07\x00\x00\x0012345678\x00\xfe\xf7"))
	f.Add([]byte("\x0a\x00"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		p := newPacket(0, payload)
		g, err := parseGreeting(p)
		if err != nil {
			return
		}
		g.hideTLS()
		if g.tls() || len(g.nonce) != 0 && len(g.nonce) != 20 {
			t.Errorf("parseGreeting(%q) = %+v", payload, g)
		}
		changed := 0
		for i := range payload {
			if payload[i] != p[4+i] {
				changed++
			}
		}
		if changed > 1 {
			t.Errorf("hideTLS changed %d bytes of %q", changed, payload)
		}
	})
}

func FuzzLogin(f *testing.F) {
	f.Add([]byte(answer(capsPlain)), []byte("\xfecaching_sha2_password\x0012345678901234567890\x00"))
	f.Add([]byte("\xff\xff\xff"), []byte("\x01\x04"))
	f.Add([]byte(""), []byte("\xff\x01"))
	f.Fuzz(func(t *testing.T, response, auth []byte) {
		p := newPacket(1, response)
		if checkResponse(p) == nil {
			if got := sslRequest(p[4:]); len(got) != 36 {
				t.Errorf("sslRequest(%q) = %q", response, got)
			}
			withTLS(p)
		}
		l := login{nonce: []byte("12345678901234567890")}
		l.note(auth)
		if n := len(l.nonce); n != 0 && n != 20 {
			t.Errorf("note(%q) keeps %d bytes", auth, n)
		}
		if e := newPacket(0, auth); isError(e) {
			_ = errorText(e)
		}
	})
}
