package remote

import (
	"bytes"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/remote/remotetest"
)

func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 / 5)
	}
	return b
}

// served is a web server with one file, /file.
func served(t *testing.T, data []byte) (*remotetest.Web, *httptest.Server) {
	t.Helper()
	web := &remotetest.Web{Find: func(path string) ([]byte, bool) { return data, path == "/file" }}
	s := httptest.NewServer(web)
	t.Cleanup(s.Close)
	return web, s
}

// client is one that may try again, and does not wait long in between.
func client(t *testing.T, o Options) (*Client, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	o.Log = zerolog.New(log)
	if o.Retry == 0 {
		o.Retry = time.Minute
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.pause = time.Millisecond
	return c, log
}

func sumOf(data []byte) *item.Sum {
	s := item.Sum(sha256.Sum256(data))
	return &s
}

func TestFileIsTakenUpWhereItBroke(t *testing.T) {
	data := content(100_000)
	tests := []struct {
		name, faults string
		unpinned     bool
		ranges       string // of the requests
	}{
		{"cut", "cut 30000", false, "- bytes=30000-"},
		{"cut twice", "cut 30000,cut 20000", false, "- bytes=30000- bytes=50000-"},
		{"cut at the start", "cut 0", false, "- -"},
		{"cut, unpinned", "cut 30000", true, "- bytes=30000-"},
		{"cut, unpinned without a mark", "nomark,cut 10", true, "-"},
		{"server errors", "status 503,status 500,status 429,status 502", false, "- - - - -"},
		{"range ignored", "cut 30000,norange", false, "- bytes=30000-"},
		{"another range", "cut 30000,shift 30001", false, "- bytes=30000- -"},
		{"another range, unpinned", "cut 30000,shift 30001", true, "- bytes=30000- -"},
		{"range of something else", "cut 30000,lie", false, "- bytes=30000- -"},
		{"no rest", "cut 30000,status 416", false, "- bytes=30000- -"},
		{"changed meanwhile", `cut 30000,etag "2"`, true, "- bytes=30000-"},
		{"changed, and the mark ignored", `cut 30000,swap "2"`, true, "- bytes=30000- -"},
		{"changed, pinned", `cut 30000,etag "2"`, false, "- bytes=30000-"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			web, s := served(t, data)
			web.Fail(strings.Split(tt.faults, ",")...)
			c, _ := client(t, Options{})
			want := sumOf(data)
			if tt.unpinned {
				want = nil
			}
			var got memory
			info, err := c.File(t.Context(), s.URL+"/file", want, &got)
			if err != nil {
				t.Fatalf("File = %v", err)
			}
			if !bytes.Equal(got.Bytes(), data) || info.Sum != *sumOf(data) || info.Size != int64(len(data)) {
				t.Errorf("File = %d bytes, %s, size %d; want %d, %s", got.Len(), info.Sum, info.Size, len(data), sumOf(data))
			}
			var ranges []string
			for _, l := range web.Log() {
				ranges = append(ranges, strings.Fields(l)[2])
			}
			if got := strings.Join(ranges, " "); got != tt.ranges {
				t.Errorf("ranges = %q; want %q", got, tt.ranges)
			}
		})
	}
}

func TestFileWithoutMarkBeginsAnew(t *testing.T) {
	data := content(50_000)
	web, s := served(t, data)
	web.Fail("nomark", "cut 1000")
	c, _ := client(t, Options{})
	for range 2 { // the first takes away the mark
		var got memory
		if _, err := c.File(t.Context(), s.URL+"/file", nil, &got); err != nil || !bytes.Equal(got.Bytes(), data) {
			t.Fatalf("File = %d bytes, %v", got.Len(), err)
		}
	}
	if log := web.Log(); len(log) != 3 || strings.Contains(strings.Join(log, ","), "bytes=") {
		t.Errorf("asked for %q; want three times everything", log)
	}
}

func TestFileGivesUpAtOnce(t *testing.T) {
	data := content(1000)
	tests := []struct {
		name, fault, path, want string
		o                       Options
	}{
		{"not there", "ok", "/other", "404 Not Found\nhint: is the address right", Options{}},
		{"no credentials", "status 401", "/file", "401 Unauthorized\nhint: give credentials with --token-file", Options{}},
		{"forbidden", "status 403", "/file", "403 Forbidden\nhint:", Options{}},
		{"strange", "status 402", "/file", "402 Payment Required", Options{}},
		{"unasked part", "part", "/file", "206 Partial Content", Options{}},
		{"packed", "packed", "/file", `sends the content as "gzip"`, Options{}},
		{"too long", "ok", "/file", "the limit is --max-bytes 999", Options{MaxBytes: 999}},
		{"elsewhere", "redirect ftp://a/b", "/file", `scheme "ftp"`, Options{}},
		{"wrong", "lie", "/file", "--expect says sha256:", Options{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			web, s := served(t, data)
			web.Fail(tt.fault)
			c, _ := client(t, tt.o)
			_, err := c.File(t.Context(), s.URL+tt.path+"?X-Signature=geheim&x=geheim", sumOf(data), &memory{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("File = %v; want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "secret") {
				t.Errorf("File = %v; want no secret", err)
			}
			if n := len(web.Log()); n != 1 {
				t.Errorf("%d requests; want 1", n)
			}
		})
	}
}

func TestFileFollowsRedirectsWithoutCredentials(t *testing.T) {
	data := content(1000)
	far, fs := served(t, data)
	near, ns := served(t, data)
	tls := quiet(near)
	defer tls.Close()
	ftls := quiet(far)
	defer ftls.Close()
	dir := t.TempDir()
	ca, token := filepath.Join(dir, "ca"), filepath.Join(dir, "token")
	both := append(pemOf(tls), pemOf(ftls)...)
	if err := errors.Join(os.WriteFile(ca, both, 0o600), os.WriteFile(token, []byte("geheim\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	c, lines := client(t, Options{CAFile: ca, TokenFile: token})
	near.Fail("redirect /file", "redirect "+ftls.URL+"/file?sig=geheim")
	far.Fail("status 503")
	if _, err := c.File(t.Context(), tls.URL+"/file", sumOf(data), &memory{}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(far.Log(), ","); strings.Contains(got, "geheim") {
		t.Errorf("the other server saw %q", got)
	}
	want := []string{"GET /file - Bearer geheim", "GET /file - Bearer geheim", "GET /file - Bearer geheim"}
	if got := near.Log(); !slices.Equal(got, want) {
		t.Errorf("the server saw %q; want %q", got, want)
	}
	if strings.Contains(lines.String(), "geheim") {
		t.Errorf("log = %s", lines)
	}

	near.Fail("redirect " + ns.URL + "/file")
	if _, err := c.File(t.Context(), tls.URL+"/file", sumOf(data), &memory{}); err == nil || !strings.Contains(err.Error(), "from https to http") {
		t.Errorf("File to http = %v; want a refusal", err)
	}
	if _, err := c.File(t.Context(), ns.URL+"/file", sumOf(data), &memory{}); err == nil || !strings.Contains(err.Error(), "by https only") {
		t.Errorf("File by http with a token = %v; want a refusal", err)
	}
	plain, _ := client(t, Options{})
	for range maxRedirects + 1 {
		far.Fail("redirect /file")
	}
	if _, err := plain.File(t.Context(), fs.URL+"/file", sumOf(data), &memory{}); err == nil || !strings.Contains(err.Error(), "more than 10 redirects") {
		t.Errorf("File in a circle = %v; want a refusal", err)
	}
	if _, err := plain.File(t.Context(), tls.URL+"/file", sumOf(data), &memory{}); err == nil || !strings.Contains(err.Error(), "--ca-file") {
		t.Errorf("File from an unknown authority = %v; want a hint", err)
	}
}

func TestFileNeverReturnsToCredentialsAfterALoop(t *testing.T) {
	data := content(10)
	near, far := &remotetest.Web{}, &remotetest.Web{}
	find := func(string) ([]byte, bool) { return data, true }
	near.Find, far.Find = find, find
	ns, fs := quiet(near), quiet(far)
	defer ns.Close()
	defer fs.Close()
	ca := filepath.Join(t.TempDir(), "ca")
	if err := os.WriteFile(ca, append(pemOf(ns), pemOf(fs)...), 0o600); err != nil {
		t.Fatal(err)
	}
	near.Fail("redirect " + fs.URL + "/b")
	far.Fail("redirect " + ns.URL + "/c")
	c, _ := client(t, Options{CAFile: ca})
	address := strings.Replace(ns.URL, "https://", "https://user:pw@", 1) + "/a"
	if _, err := c.File(t.Context(), address, nil, &memory{}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(near.Log(), ","); got != "GET /a - "+basic("user:pw")+",GET /c - -" {
		t.Errorf("the server saw %q; want credentials the first time only", got)
	}
}

// quiet is a server with TLS that does not print what clients refuse.
func quiet(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	return s
}

func pemOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

func TestCredentialFilesAreNamedInErrors(t *testing.T) {
	dir := t.TempDir()
	two := filepath.Join(dir, "two")
	if err := os.WriteFile(two, []byte("geheim\nstreng"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{TokenFile: two}, {BasicFile: two}, {TokenFile: filepath.Join(dir, "none")}, {CAFile: two}, {CAFile: filepath.Join(dir, "none")}} {
		c, err := New(o)
		if err == nil {
			_, err = c.File(t.Context(), "https://127.0.0.1:1/x", nil, &memory{})
		}
		if err == nil || !strings.Contains(err.Error(), "-file") || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%+v: %v; want the flag and no secret", o, err)
		}
	}
}

func TestShowAddressHidesSecrets(t *testing.T) {
	for in, want := range map[string]string{
		"https://u:p@h/a?b=c#d": "https://h/a?***",
		"https://h/a":           "https://h/a",
		"https://tok@h:8443/a":  "https://h:8443/a",
	} {
		if got := ShowAddress(in); got != want {
			t.Errorf("ShowAddress(%q) = %q; want %q", in, got, want)
		}
	}
}
