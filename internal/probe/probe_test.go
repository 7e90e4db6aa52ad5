package probe

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// see parses an address and looks once, with time enough on a busy machine.
func see(t *testing.T, raw string) Result {
	t.Helper()
	return seeWithin(t, raw, 10*time.Second)
}

func seeWithin(t *testing.T, raw string, limit time.Duration) Result {
	t.Helper()
	check, err := Parse(raw)
	if err != nil {
		t.Fatalf("Parse(%q) = %v; want a check", raw, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return check.Do(ctx)
}

// expect compares a result; want is a regular expression of its line without the time.
func expect(t *testing.T, raw, want string) {
	t.Helper()
	got := see(t, raw).String()
	if !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("Do(%s) = %q; want %s", raw, got, want)
	}
}

// serve accepts connections and hands each to handle, which closes it.
func serve(t *testing.T, handle func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accept(t, l, handle)
	return l.Addr().String()
}

func accept(t *testing.T, l net.Listener, handle func(net.Conn)) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go handle(conn)
		}
	}()
}

// mute accepts and says nothing.
func mute(t *testing.T) string {
	return serve(t, func(c net.Conn) {
		t.Cleanup(func() { c.Close() })
	})
}

// nobody is an address of this machine where nothing listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestParseShowsTheAddressWithoutOptionsAndSecrets(t *testing.T) {
	for in, want := range map[string]string{
		"db:5432":                         "tcp://db:5432",
		"redis:6379":                      "tcp://redis:6379", // a host of that name
		"dns:53":                          "tcp://dns:53",
		":8080":                           "tcp://:8080",
		"[::1]:80":                        "tcp://[::1]:80",
		"TCP://db:5432":                   "tcp://db:5432",
		"http://h/x?token=abc#status=200": "http://h/x?token=***",
		"http://user:pw@h/":               "http://user:***@h/",
		"redis://:pw@h":                   "redis://:***@h",
		"rediss://u:p%2Fw@h:1/3#ca=/x":    "rediss://u:***@h:1/3",
		"http+unix://%2Frun%2Fa.sock/x?y#method=HEAD": "http+unix://%2Frun%2Fa.sock/x?y",
		"file:///a%20b":         "file:///a%20b",
		"pid:1":                 "pid:1",
		"pid:name=nginx":        "pid:name=nginx",
		"unix:@abstract":        "unix:@abstract",
		"grpc://h:1/my.Service": "grpc://h:1/my.Service",
	} {
		check, err := Parse(in)
		if err != nil || check.String() != want {
			t.Errorf("Parse(%q) = %v, %v; want %s", in, check, err, want)
		}
	}
}

func TestParseOfAnAddressNamesTheRemedy(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", "neither a URL nor HOST:PORT"},
		{"db", `the address "db" is neither a URL nor HOST:PORT`},
		{"/data/ready", "did you mean file:///data/ready?"},
		{"::1:80", `[::1]:80`},
		{"db:http", `unknown scheme "db"`},
		{"htp://h", `unknown scheme "htp", did you mean http?`},
		{"ftp://h", "want one of tcp, tls, http"},
		{"tcp://h", "has no port: the address cannot be read: want tcp://HOST:PORT"},
		{"tcp://h:0", `port "0"`},
		{"tcp://h:65536", `port "65536"`},
		{"tcp://h:", `port ""`},
		{"tcp://h:1/x", "want tcp://HOST:PORT"},
		{"tcp:h:1", "want tcp://HOST:PORT"},
		{"http://", "want http://HOST"},
		{"http:///x", "want http://HOST"},
		{"http://h h/", "has a blank"},
		{"http+unix:///a.sock", "want http+unix://%2FSOCKET/PATH"},
		{"file://data/ready", "three slashes, file:///data/ready"},
		{"file:///x%", "write %25 for a %"},
		{"file:///", "names no path"},
		{"dns://a:53", "server=HOST:PORT asks another server"},
		{"redis://h/x", "want redis://"},
		{"redis://u@h", "a user without a password"},
		{"grpc://h", "has no port"},
		{"pid:0", "want a process id from 1"},
		{"pid:4194305", "want a process id from 1"},
		{"pid:x", "want pid:///FILE"},
		{"pid:name=", "want pid:///FILE"},
		{"unix://run/x", "three slashes"},
	}
	for _, tt := range tests {
		if _, err := Parse(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse(%q) = %v; want %s", tt.in, err, tt.want)
		}
	}
}

func TestParseOfOptionsNamesTheRemedy(t *testing.T) {
	tests := []struct{ in, want string }{
		{"tcp://h:1#ca=/x", "tcp has no option ca\nhint: tcp takes no options"},
		{"http://h#boddy=x", "http has no option boddy, did you mean body?\nhint: http takes method, status, body"},
		{"http://h#ca=/x", "http has no option ca"},
		{"http://h#status=2xx", `option status: "2xx": want status codes`},
		{"http://h#status=300-200", "want status codes"},
		{"http://h#status=200&status=201", "given 2 times"},
		{"http://h#body=(", "want a regular expression (RE2)"},
		{"http://h#body=", `option body: "": want a value`},
		{"http://h#body=x&method=HEAD", "an answer to HEAD has none"},
		{"http://h#method=get", "want a method"},
		{"http://h#header=a b:c", "want NAME or NAME:REGEX"},
		{"http://h#header=:c", "want NAME or NAME:REGEX"},
		{"http://h#redirect=yes", "want one of same, none, follow"},
		{"http://h#token-file=/a&basic-file=/b", "exclude each other"},
		{"http://u:pw@h#token-file=/a", "a user in the address excludes"},
		{"http+unix://%2Fa/#redirect=follow", "want same or none"},
		{"https://h#insecure&ca=/x", "insecure and ca exclude"},
		{"https://h#insecure=maybe", "want true or false"},
		{"tls://h:1#cert=/x", "cert and key belong together"},
		{"tls://h:1#min-valid=7d", `option min-valid: "7d": want a duration`},
		{"file:///x#absent&body=x", "absent and body exclude"},
		{"file:///x#min-size=-1", "not negative"},
		{"dns://a#type=MX", "want one of A, AAAA, SRV, TXT"},
		{"dns://a#server=:53", "want HOST or HOST:PORT"},
		{"redis://:pw@h#password-file=/x", "excludes the option password-file"},
		{"http://h#%zz=1", "is not NAME=VALUE"},
		{"http://h#body=%zz", "is not NAME=VALUE"},
	}
	for _, tt := range tests {
		if _, err := Parse(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse(%q) = %v; want %s", tt.in, err, tt.want)
		}
	}
}

// A password is easily written without its escapes; no error may show a part of it.
func TestParseComplaintsHoldNoPassword(t *testing.T) {
	for _, in := range []string{
		"redis://:hun/ter2@h:1", "redis://u:hun#ter2@h:1", "redis://u:12#ter2@h:1", "tcp://u:hunter2@h:1", "http://u:hun%ter2@h",
		"htp://u:hunter2@h", "grpc://u:hunter2@h:1", "redis://:hunter2@h:99999", "http://u:hunter2@h#nope=1", "redis://:hunter2@h#x%",
		"redis://u:hunter2@:port/", "http://u:hun?ter2@h/#body=(", "tls://u:hunter2@h", "redis://:hunter2@h x",
	} {
		check, err := Parse(in)
		text := ""
		if err != nil {
			text = err.Error()
		} else {
			text = check.String()
		}
		if strings.Contains(text, "hun") || strings.Contains(text, "ter2") {
			t.Errorf("Parse(%q) says %q; want no part of the password", in, text)
		}
	}
}

func TestTCP(t *testing.T) {
	expect(t, mute(t), `^ok tcp://127.0.0.1:\d+: connected in \S+$`)
	down := nobody(t)
	expect(t, "tcp://"+down, `^failed tcp://`+down+`: connect to `+down+`: connection refused$`)
}

func TestUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	expect(t, "unix://"+path, "^failed unix://.*: no such file or directory$")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	accept(t, l, func(c net.Conn) { c.Close() })
	expect(t, "unix:"+path, "^ok unix:.*: connected in ")
}

func TestAServerThatSaysNothingIsLeftInTime(t *testing.T) {
	addr := mute(t)
	var all sync.WaitGroup
	defer all.Wait()
	for scheme, want := range map[string]string{
		"http": "connected, but no answer within", "https": "no answer within", "redis": "connected, but no answer within",
		"rediss": "the TLS handshake did not end within", "tls": "the TLS handshake did not end within",
		"grpc": "connected, but no answer within", "grpcs": "connected, but ",
	} {
		all.Go(func() {
			r := seeWithin(t, scheme+"://"+addr, 500*time.Millisecond)
			if r.OK || !strings.Contains(r.Detail, want) {
				t.Errorf("Do(%s) = %s; want %s", scheme, r, want)
			}
		})
	}
}

func TestDoEndsWithItsContext(t *testing.T) {
	addr := mute(t)
	for _, scheme := range []string{"http", "redis", "tls", "grpc"} {
		check, err := Parse(scheme + "://" + addr)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		if r := check.Do(ctx); r.OK { // hangs when it does not end
			t.Errorf("Do(%s) = %s; want it cut short", scheme, r)
		}
	}
}

func TestResultForPrograms(t *testing.T) {
	got, err := json.Marshal(Result{URL: "tcp://x:1", OK: true, Detail: "connected", Took: 1500 * time.Microsecond})
	if want := `{"url":"tcp://x:1","ok":true,"detail":"connected","took_seconds":0.0015}`; err != nil || string(got) != want {
		t.Errorf("Marshal = %s, %v; want %s", got, err, want)
	}
}

func TestSameLeavesOutWhatChanges(t *testing.T) {
	old := func(text string) Result {
		c := &Check{look: func(context.Context) (string, error) { return "", &unmet{text, "old"} }}
		return c.Do(t.Context())
	}
	if !old("5m").Same(old("6m")) {
		t.Error("Same of two ages = false; want true")
	}
	failed := func(err error) Result {
		c := &Check{look: func(context.Context) (string, error) { return "", err }}
		return c.Do(t.Context())
	}
	if failed(errors.New("a")).Same(failed(errors.New("b"))) || failed(errors.New("a")).Same(failed(nil)) {
		t.Error("Same of two reasons = true; want false")
	}
	if a, b := failed(&late{"no answer"}), failed(&late{"no answer"}); !a.Same(b) {
		t.Error("Same of two time-outs = false; want true")
	}
}

func TestDetailIsOnePrintableLine(t *testing.T) {
	c := &Check{look: func(context.Context) (string, error) {
		return "", errors.New("a\n\x1b[2J" + strings.Repeat("x", 1000))
	}}
	r := c.Do(t.Context())
	if strings.ContainsAny(r.Detail, "\n\x1b") || len(r.Detail) > detailMax+20 {
		t.Errorf("Detail = %q; want one short line", r.Detail)
	}
}

// A role looks for weeks: nothing may be left behind by a look.
func TestALookLeavesNothingBehind(t *testing.T) {
	web := httptest.NewServer(site())
	t.Cleanup(web.Close)
	grpc := healthServer(t, nil, byService)
	mute := mute(t)
	before := runtime.NumGoroutine()
	for range 30 {
		see(t, web.URL+"/ok#body=ok")
		see(t, web.URL+"/status/500")
		see(t, "grpc://"+grpc)
		see(t, "grpc://"+grpc+"/auth")
		see(t, "grpc://"+web.Listener.Addr().String())
		seeWithin(t, "http://"+mute, time.Millisecond)
		seeWithin(t, "grpc://"+mute, time.Millisecond)
		seeWithin(t, "redis://"+mute, time.Millisecond)
		seeWithin(t, "tls://"+mute, time.Millisecond)
	}
	web.CloseClientConnections()
	left := 0
	for range 500 { // each ends soon; the servers' own, too
		if left = runtime.NumGoroutine() - before; left < 20 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines are left by 270 looks; want none", left)
}
