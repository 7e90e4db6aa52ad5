package probe

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// site answers by the path.
func site() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Ready", "yes")
		fmt.Fprint(w, "ok\n")
	})
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		_, _ = fmt.Sscan(r.PathValue("code"), &code)
		w.WriteHeader(code)
	})
	mux.HandleFunc("/to/{place}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/"+r.PathValue("place"), http.StatusFound)
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	})
	mux.HandleFunc("/host", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s %s", r.Method, r.Host) })
	mux.HandleFunc("/auth", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "auth=%q referer=%q", r.Header.Get("Authorization"), r.Referer())
	})
	return mux
}

func TestHTTP(t *testing.T) {
	s := httptest.NewServer(site())
	t.Cleanup(s.Close)
	for address, want := range map[string]string{
		"/ok":                                "^ok .*/ok: 200 in ",
		"/ok#body=^ok$":                      "^failed .* its body \\(3 bytes\\) does not match \"\\^ok\\$\"",
		"/ok#body=(?m)^ok$":                  "^ok ",
		"/ok#body=o%6b&header=x-ready:^yes$": "^ok ",
		"/ok#body=up":                        `^failed .*: its body \(3 bytes\) does not match "up"$`,
		"/ok#header=X-Ready":                 "^ok ",
		"/ok#header=X-Ready:no":              `^failed .*: header X-Ready does not match "no"$`,
		"/ok#header=X-Other":                 "^failed .*: no header X-Other$",
		"/ok#status=200-299,304":             "^ok ",
		"/status/503":                        "^failed .*/status/503: status 503, want 200-399$",
		"/status/503#status=503":             "^ok ",
		"/status/204#status=200,201":         "^failed .*: status 204, want 200,201$",
		"/host#method=POST&host=a.example":   "^ok ",
		"/host#body=^POST a.example$&method=POST&host=a.example": "^ok ",
		"/host#method=HEAD":                 "^ok ",
		"/to/ok#status=200":                 "^ok .*: 200 in ",
		"/to/auth#status=200&redirect=none": "^failed .*: status 302 to /auth, want 200$",
		"/to/nope":                          "^failed .*: status 404, want",
		"/to/nope#redirect=none":            "^ok .*: 302 to /nope in ",
		"/loop":                             "^failed .*: more than 10 redirects$",
		"/away?to=http://nope.invalid/x?token=secret": `^ok .*: 302 to http://nope.invalid/x\?token=\*\*\* in`,
	} {
		expect(t, s.URL+address, want)
	}
	expect(t, s.URL+"/away?to="+s.URL+"/host#host=a.example&body=^GET a.example$", "^ok .*: 200 in ")
	addr := nobody(t)
	expect(t, "http://"+addr, "^failed http://"+addr+": connect to "+addr+": connection refused$")
	expect(t, strings.Replace(s.URL, "http:", "https:", 1), "^failed .*HTTP response to HTTPS client$")
}

func TestHTTPOverAUnixSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: site()}}
	s.Start()
	t.Cleanup(s.Close)
	base := "http+unix://" + url.PathEscape(socket)
	expect(t, base+"/ok#body=ok", "^ok ")
	expect(t, base+"/to/ok#status=200", "^ok ")
	expect(t, base+"/nope", "status 404")
}

// Credentials go to the address that was named and to no other.
func TestHTTPCredentials(t *testing.T) {
	s := httptest.NewServer(site())
	t.Cleanup(s.Close)
	other := httptest.NewServer(site())
	t.Cleanup(other.Close)
	token, basic := write(t, "s3cret\n"), write(t, "me:pw\n")
	withUser := strings.Replace(s.URL, "http://", "http://me:pw@", 1)
	const b64 = "Basic bWU6cHc="
	for address, want := range map[string]string{
		s.URL + "/auth#token-file=" + token:    "Bearer s3cret",
		s.URL + "/auth#basic-file=" + basic:    b64,
		withUser + "/auth#":                    b64,
		s.URL + "/to/auth#token-file=" + token: "Bearer s3cret",
		s.URL + "/auth#":                       "",
		s.URL + "/away?x=1&to=" + url.QueryEscape(other.URL+"/auth") + "#redirect=follow&token-file=" + token: "",
		withUser + "/away?x=1&to=" + url.QueryEscape(other.URL+"/auth") + "#redirect=follow":                  "",
	} {
		expect(t, address+`&body=`+url.PathEscape(fmt.Sprintf("^auth=%q referer=\"\"$", want)), "^ok ")
	}
	expect(t, s.URL+"/auth#token-file=/no/such", "^failed .*: option token-file: .*no such file")
	expect(t, s.URL+"/auth#basic-file="+token, "does not hold USER:PASSWORD$")
}

// A body that never ends is read until the pattern is seen, and no further than
// the time and a MiB allow.
func TestHTTPBodyWithoutEnd(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/drip", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "data: ready\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/flood", func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/short", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "ok")
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	expect(t, s.URL+"/drip", "^ok ")
	expect(t, s.URL+"/drip#body=ready", "^ok ")
	expect(t, s.URL+"/flood", "^ok ")
	expect(t, s.URL+"/flood#body=ready", `^failed .*: the first MiB of its body does not match "ready"$`)
	expect(t, s.URL+"/short#body=nok", "^failed .*: the server closed the connection$")
	if r := seeWithin(t, s.URL+"/drip#body=never", 500*time.Millisecond); !strings.Contains(r.Detail, "the body did not end within") {
		t.Errorf("Do = %s; want the body did not end", r)
	}
}

func TestHTTPServerThatSpeaksSomethingElse(t *testing.T) {
	addr := serve(t, func(c net.Conn) {
		fmt.Fprint(c, "SSH-2.0-x\r\n")
		_, _ = c.Read(make([]byte, 4096))
		c.Close()
	})
	for range 20 {
		expect(t, "http://"+addr, `^failed .*malformed HTTP response "SSH-2.0-x"$`)
	}
	addr = serve(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		c.Close()
	})
	expect(t, "http://"+addr, `^failed .*: the server closed the connection$`)
}
