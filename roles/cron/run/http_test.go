package run

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
)

func request(r job.Request) *job.Job {
	return &job.Job{Kind: job.HTTP, HTTP: &r, Policy: new(job.Defaults())}
}

func TestRequestJob(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		t.Errorf("another host was asked: %s %s %v", req.Method, req.URL, req.Header)
	}))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/echo":
			body, _ := io.ReadAll(req.Body)
			_, _ = io.WriteString(w, req.Method+" "+req.Host+" "+req.Header.Get("X-Key")+" "+req.Header.Get("Content-Type")+" "+string(body))
		case "/away":
			http.Redirect(w, req, other.URL, http.StatusTemporaryRedirect)
		case "/here":
			http.Redirect(w, req, "/echo", http.StatusTemporaryRedirect)
		case "/repeats":
			w.WriteHeader(http.StatusForbidden)
			body, _ := io.ReadAll(req.Body)
			_, _ = io.WriteString(w, "no "+req.Header.Get("Authorization")+" "+req.Header.Get("X-Key")+" "+req.URL.RawQuery+" "+string(body))
		case "/large":
			_, _ = w.Write(make([]byte, 10*maxAnswer))
		default:
			http.Error(w, "no\x1b[31m such thing", http.StatusTeapot)
		}
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	masked := "http://u:***@" + host
	url := "http://u:geheim@" + host
	tests := []struct {
		name      string
		request   job.Request
		code      int
		status    int
		tail, err string
	}{
		{"a body is posted", job.Request{URL: url + "/echo", Body: `{"a":1}`, Headers: map[string]string{"X-Key": "k", "Host": "h"}},
			0, 200, `POST h k application/json {"a":1}`, ""},
		{"a redirect to itself", job.Request{URL: url + "/here", Body: "b"}, 0, 200, "POST " + host + "  text/plain; charset=utf-8 b", ""},
		{"a redirect away", job.Request{URL: url + "/away", Headers: map[string]string{"X-Key": "k"}}, 1, 0, "", "GET " + masked + "/away: redirect to another host"},
		{"expected status", job.Request{URL: url + "/x", Expect: []int{200, 418}}, 0, 418, "no\x1b[31m such thing\n", ""},
		{"unexpected status", job.Request{URL: url + "/x", Method: "GET"}, 1, 418, "no\x1b[31m such thing\n", "GET " + masked + "/x: status 418"},
		{"a server that repeats the request", job.Request{
			URL: url + "/repeats?code=geheim-q&env=prod", Body: "geheim-body", Headers: map[string]string{"X-Key": "Token geheim-key"},
		}, 1, 403, "no Basic *** *** code=***&env=prod ***", "POST " + masked + "/repeats"},
		{"a large answer", job.Request{URL: url + "/large"}, 0, 200, strings.Repeat("\x00", 100), ""},
		{"nobody there", job.Request{URL: "http://u:geheim@127.0.0.1:1/"}, 1, 0, "", "GET http://u:***@127.0.0.1:1/: dial tcp"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRunner(t, Options{Tail: 100})
			res := r.do(t, request(tt.request))
			text := ""
			if res.Err != nil {
				text = res.Err.Error()
			}
			if res.Code != tt.code || res.HTTPStatus != tt.status || string(res.Tail) != tt.tail || !strings.HasPrefix(text, tt.err) || (text == "") != (tt.err == "") {
				t.Errorf("result = %+v; want code %d, status %d, tail %q, error %q", res, tt.code, tt.status, tt.tail, tt.err)
			}
			if all := text + r.log.String(); strings.Contains(all, "geheim") || strings.Contains(string(res.Tail), "geheim") || strings.Contains(all, "\x1b") {
				t.Errorf("log and error %q show a secret or control bytes", all)
			}
		})
	}
}

func TestRequestToASocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "run") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.WriteString(w, req.URL.Path)
	})}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	r := newRunner(t, Options{Tail: 100})
	if res := r.do(t, request(job.Request{URL: "unix://" + socket + ":/jobs/clean"})); res.Code != 0 || string(res.Tail) != "/jobs/clean" {
		t.Errorf("result = %+v; want success with the path", res)
	}
}

func TestRequestThatHangsIsStopped(t *testing.T) {
	asked := make(chan bool, 2)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		asked <- true
		<-req.Context().Done()
	}))
	defer server.Close()
	r := newRunner(t, Options{})
	j := request(job.Request{URL: server.URL, Method: "GET"})
	x, done := r.start(t, j)
	await(t, asked)
	x.Stop(time.Hour)
	if res := await(t, done); !res.Stopped || res.TimedOut || res.Code != 1 {
		t.Errorf("stopped request = %+v; want stopped", res)
	}
	j.Policy.Timeout = time.Millisecond
	if res := r.do(t, j); !res.TimedOut || res.Stopped || res.Code != 1 {
		t.Errorf("slow request = %+v; want timed out", res)
	}
}

func TestRequestsThatCanNotBeMade(t *testing.T) {
	r := newRunner(t, Options{})
	for _, url := range []string{"", "ftp://x/", "/path", "unix://run/app.sock", "unix:///run/app.sock:path", "http://[::1", "http://a b/"} {
		_, err := r.Start(Task{Job: request(job.Request{URL: url})}, func(Result) { t.Error("done was called") })
		if err == nil {
			t.Errorf("Start with url %q = nil; want an error", url)
		}
	}
}
