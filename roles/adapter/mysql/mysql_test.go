package mysql

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/server"
)

// packet is data with its length and number in front.
func packet(seq byte, data ...byte) []byte {
	return append([]byte{byte(len(data)), byte(len(data) >> 8), byte(len(data) >> 16), seq}, data...)
}

// hello is a greeting with a nonce of 20 bytes that asks for a plugin.
func hello(plugin string) []byte {
	b := append([]byte{10}, "10.11.6-MariaDB\x00"...)
	b = append(b, 1, 0, 0, 0)
	b = append(b, "abcdefgh\x00"...)
	b = append(b, 0xff, 0xf7, 45, 2, 0, 0x0f, 0x80, 21)
	b = append(b, make([]byte, 10)...)
	b = append(b, "ijklmnopqrst\x00"...)
	return append(append(b, plugin...), 0)
}

// speaksTLS is a greeting of a server that takes TLS, too.
func speaksTLS(greeting []byte) []byte {
	g := bytes.Clone(greeting)
	g[bytes.IndexByte(g, 0)+1+4+8+1+1] |= useTLS >> 8
	return g
}

func lenenc(text string) []byte { return append([]byte{byte(len(text))}, text...) }

func columnOf(name string, kind byte) []byte {
	var b []byte
	for _, text := range []string{"def", "shop", "jobs", "jobs", name, name} {
		b = append(b, lenenc(text)...)
	}
	return append(b, 12, 45, 0, 255, 0, 0, 0, kind, 0, 0, 0, 0, 0)
}

// serve answers each connection: the script's entries are sent when the client has written a packet, the first at once.
func serve(t *testing.T, script ...[]byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				r := bufio.NewReader(c)
				for i, answer := range script {
					if i > 0 {
						var head [4]byte
						if _, err := r.Read(head[:]); err != nil {
							return
						}
						if _, err := r.Discard(int(head[0]) | int(head[1])<<8); err != nil {
							return
						}
					}
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
				_, _ = r.ReadByte()
			}()
		}
	}()
	return l.Addr().String()
}

func rows(seq byte) []byte {
	var b []byte
	b = append(b, packet(seq, 3)...)
	b = append(b, packet(seq+1, columnOf("n", 8)...)...)
	b = append(b, packet(seq+2, columnOf("name", 253)...)...)
	b = append(b, packet(seq+3, columnOf("price", 246)...)...)
	b = append(b, packet(seq+4, 0xfe, 0, 0, 2, 0)...)
	b = append(b, packet(seq+5, append(append(lenenc("7"), lenenc("a\"b")...), lenenc("1.50")...)...)...)
	b = append(b, packet(seq+6, append(append(lenenc("-8"), 0xfb), lenenc("x")...)...)...)
	return append(b, packet(seq+7, 0xfe, 0, 0, 2, 0)...)
}

func ask(t *testing.T, address, password string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := draft.Parse("c", []byte("{address: '"+address+"', user: app, password-file: "+file+", database: shop}"))
	if err != nil {
		t.Fatal(err)
	}
	o, err := Parse(v)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	b, err := o.Query(ctx, "SELECT 1")
	return string(b), err
}

func TestQuery(t *testing.T) {
	ok := packet(2, 0, 0, 0, 2, 0, 0, 0)
	for name, tt := range map[string]struct {
		script    [][]byte
		want, err string
	}{
		"rows":            {[][]byte{packet(0, hello(native)...), ok, rows(1)}, `[{"n":7,"name":"a\"b","price":1.50},{"n":-8,"name":null,"price":"x"}]`, ""},
		"no rows":         {[][]byte{packet(0, hello(native)...), ok, packet(1, 0, 1, 0, 2, 0, 0, 0)}, "[]", ""},
		"refused at once": {[][]byte{packet(0, append([]byte{0xff, 0x10, 0x04}, "Too many connections"...)...)}, "", "error 1040: Too many connections"},
		"wrong password":  {[][]byte{packet(0, hello(native)...), packet(2, append([]byte{0xff, 0x15, 0x04, '#'}, "28000Access denied"...)...)}, "", "error 1045: Access denied"},
		"no TLS":          {[][]byte{packet(0, hello(native)...), packet(2, append([]byte{0xff, 0x57, 0x0c, '#'}, "HY000Connections using insecure transport are prohibited"...)...)}, "", "prohibited; asked without TLS, which the server may require: want tls: {ca: FILE}"},
		"TLS or password": {[][]byte{packet(0, speaksTLS(hello(native))...), packet(2, append([]byte{0xff, 0x15, 0x04, '#'}, "28000Access denied"...)...)}, "", "Access denied; asked without TLS"},
		"another plugin":  {[][]byte{packet(0, hello("x")...), packet(2, append([]byte{0xfe}, "mysql_native_password\x00abcdefghijklmnopqrst\x00"...)...), packet(4, 0, 0, 0, 2, 0, 0, 0), rows(1)}, `[{"n":7`, ""},
		"known password":  {[][]byte{packet(0, hello(caching)...), append(packet(2, 1, 3), packet(3, 0, 0, 0, 2, 0, 0, 0)...), rows(1)}, `[{"n":7`, ""},
		"wants it plain":  {[][]byte{packet(0, hello("x")...), packet(2, append([]byte{0xfe}, "mysql_clear_password\x00"...)...)}, "", "want tls"},
		"strange plugin":  {[][]byte{packet(0, hello("x")...), packet(2, append([]byte{0xfe}, "client_ed25519\x00abc"...)...)}, "", "the server wants client_ed25519"},
		"wants a file":    {[][]byte{packet(0, hello(native)...), ok, packet(1, append([]byte{0xfb}, "/etc/passwd"...)...)}, "", "a file of ours"},
		"syntax":          {[][]byte{packet(0, hello(native)...), ok, packet(1, append([]byte{0xff, 0x28, 0x04, '#'}, "42000You have an error"...)...)}, "", "error 1064: You have an error"},
		"no MySQL":        {[][]byte{[]byte("SSH-2.0-OpenSSH_9.2\r\n")}, "", "none of MySQL"},
		"out of order":    {[][]byte{packet(5, hello(native)...)}, "", "out of order"},
	} {
		got, err := ask(t, serve(t, tt.script...), "hunter2")
		if tt.err == "" && (err != nil || !strings.HasPrefix(got, tt.want)) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: %s, %v; want %s, %s", name, got, err, tt.want, tt.err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
}

func TestProof(t *testing.T) {
	c := &conn{Conn: &server.Conn{Plain: true}}
	nonce := []byte("abcdefghijklmnopqrst")
	got, err := c.proof(native, "secret", nonce)
	if err != nil {
		t.Fatal(err)
	}
	// What the server does: the proof, mixed with a sum of the nonce and what it stores, is the sum of the password.
	one := sha1.Sum([]byte("secret"))
	two := sha1.Sum(one[:])
	three := sha1.Sum(append(bytes.Clone(nonce), two[:]...))
	if !bytes.Equal(mixed(got, three[:]), one[:]) {
		t.Errorf("proof = %x", got)
	}
	if got, err := c.proof(caching, "", nonce); err != nil || got != nil {
		t.Errorf("proof of no password = %x, %v; want nothing", got, err)
	}
}

func TestParseDSN(t *testing.T) {
	for text, want := range map[string]string{
		"app:p@ss:w/rd@tcp(db:3307)/shop?tls=true": "db:3307 app shop p@ss:w/rd true",
		"app@unix(/run/mysqld.sock)/shop":          "/run/mysqld.sock app shop  false",
		"/":                                        "127.0.0.1:3306    false",
		"app:x@tcp(db)/":                           "db:3306 app  x false",
		"mysql://app:s%40cret@db/shop?tls=false":   "db:3306 app shop s@cret false",
		"app:x@pipe(y)/z":                          "error",
		"nothing":                                  "error",
	} {
		o, password, err := parseDSN(text)
		got := strings.Join([]string{o.Address, o.User, o.Database, password.Reveal(), map[bool]string{true: "true", false: "false"}[o.Secure]}, " ")
		if err != nil {
			got = "error"
			if strings.Contains(err.Error(), text) {
				t.Errorf("parseDSN(%s): the error quotes it: %v", text, err)
			}
		}
		if got != want {
			t.Errorf("parseDSN(%s) = %s; want %s", text, got, want)
		}
	}
}

// pipe is a connection whose other end has said all it will.
func pipe(data []byte) *conn {
	return &conn{Conn: &server.Conn{Conn: deaf{}, Plain: true}, r: bufio.NewReader(bytes.NewReader(data)), left: mostBytes}
}

// deaf takes everything.
type deaf struct{ net.Conn }

func (deaf) Write(p []byte) (int, error) { return len(p), nil }

func FuzzLogin(f *testing.F) {
	f.Add(append(packet(0, hello(native)...), packet(2, 0, 0, 0)...))
	f.Add(append(packet(0, hello(caching)...), packet(2, 1, 4)...))
	f.Add(append(packet(0, hello("x")...), packet(2, append([]byte{0xfe}, "caching_sha2_password\x00abc\x00"...)...)...))
	f.Add(append(packet(0, hello(caching)...), append(packet(2, 1, 4), packet(4, append([]byte{1}, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"...)...)...)...))
	f.Fuzz(func(t *testing.T, in []byte) {
		c := pipe(in)
		if err := c.login(t.Context(), &server.Options{User: "a", Database: "b"}); err != nil && err.Error() == "" {
			t.Error("an empty error")
		}
	})
}

func FuzzRows(f *testing.F) {
	f.Add(rows(1))
	f.Add(packet(1, 0, 0, 0))
	f.Add(packet(1, 0xfc, 1, 0))
	f.Add(append(packet(1, 1), packet(2, columnOf("a", 1)...)...))
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := pipe(in).query("x")
		if err == nil && !json.Valid(out) {
			t.Errorf("%x gives %s, which is no JSON", in, out)
		}
	})
}
