package ping

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// server is a service in the same process, so that time can be simulated.
type server struct {
	mu     sync.Mutex
	asked  []string
	answer func(ctx context.Context, path string, n int) int // n counts from 1
}

func (s *server) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.asked = append(s.asked, req.URL.RequestURI()+" "+string(body))
	n := len(s.asked)
	s.mu.Unlock()
	status := 200
	if s.answer != nil {
		status = s.answer(req.Context(), req.URL.Path, n)
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: http.NoBody, Request: req}, nil
}

func TestAddresses(t *testing.T) {
	const id = "01234567-89ab-4cde-8f01-23456789abcd"
	const url = "https://h.example/ping/secret"
	tests := []struct {
		target string
		m      Message
		want   string
	}{
		{url, Message{Event: Start, Run: id}, url + "/start?rid=" + id},
		{url, Message{Event: Success, Run: id}, url + "?rid=" + id},
		{url, Message{Event: Success, Code: 3}, url},
		{url, Message{Event: Fail, Code: 75}, url + "/75"},
		{url, Message{Event: Fail, Code: -1}, url + "/fail"},
		{url + "/?a=b", Message{Event: Log}, url + "/log?a=b"},
		{url, Message{Event: Success, Job: "a", Run: "b"}, url + "?rid=" + runID(&Message{Job: "a", Run: "b"})},
		{"http://h/{job}/{event}?c={code}&r={run}", Message{Job: "a b/ü", Event: Fail, Code: 2, Run: "x&y"}, "http://h/a%20b%2F%C3%BC/fail?c=2&r=x%26y"},
		{"http://h/{event}", Message{Event: Start, Run: "x"}, "http://h/start"},
		{"http://h/{code}x", Message{Event: Fail, Code: -1}, "http://h/x"},
	}
	for _, tt := range tests {
		if got, err := address(tt.target, &tt.m); err != nil || got != tt.want {
			t.Errorf("address(%q, %+v) = %q, %v; want %q", tt.target, tt.m, got, err, tt.want)
		}
	}
	if got := runID(&Message{Job: "a", Run: "1"}); !uuid.MatchString(got) || got == runID(&Message{Job: "a", Run: "2"}) {
		t.Errorf("runID = %q; want a UUID of its own for each run", got)
	}
}

func TestCheckShowsNoSecret(t *testing.T) {
	for target, want := range map[string]string{
		"https://h/geheim": "", "file:/x": "", "https://h/{job}/{event}": "",
		"h/geheim": "want http://", "ftp://h/geheim": "want http://", "https://h/geheim/{name}": "{name} is unknown",
		"file:": "want file:PATH", "https://[geheim": "want http://",
	} {
		err := Check(target)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim")) {
			t.Errorf("Check(%q) = %v; want %q and no secret", target, err, want)
		}
	}
}

func TestPingsOfAJobKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: func(_ context.Context, _ string, n int) int {
			time.Sleep(time.Duration(n%3) * time.Second)
			if n%4 == 0 {
				return 503
			}
			return 200
		}}
		p := New(Options{Log: zerolog.Nop(), Transport: s, Attempts: 100}) // a ping may meet the 503 often
		var wg sync.WaitGroup
		for j := range 20 {
			wg.Go(func() {
				for i := range perJob {
					p.Send(Message{Job: fmt.Sprint("j", j), Target: fmt.Sprintf("http://h/%d/{run}", j), Run: fmt.Sprintf("%02d", i)})
				}
			})
		}
		wg.Wait()
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := p.Stats(); got != (Stats{Sent: 20 * perJob}) {
			t.Errorf("stats = %+v; want all sent", got)
		}
		for j := range 20 {
			var of []string
			for _, a := range s.asked {
				if strings.HasPrefix(a, fmt.Sprintf("/%d/", j)) {
					of = append(of, a)
				}
			}
			if !slices.IsSorted(of) || len(slices.Compact(of)) != perJob {
				t.Errorf("job %d was told as %q", j, of)
			}
		}
	})
}

func TestFailedPingsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		status := 500
		s := &server{answer: func(context.Context, string, int) int { return status }}
		p := New(Options{Log: zerolog.New(&log), Transport: s, Attempts: 3})
		begin := time.Now()
		for range 2 {
			p.Send(Message{Job: "j", Run: "r", Target: "https://u:pw@h/geheim?t=geheim", Event: Fail, Body: []byte("out")})
		}
		synctest.Wait()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(s.asked) != 6 || !strings.HasSuffix(s.asked[0], " out") || time.Since(begin) < 4*time.Second {
			t.Errorf("asked %q after %s; want 3 attempts for each, with pauses", s.asked, time.Since(begin))
		}
		status = 404
		p.Send(Message{Job: "j", Target: "https://h/geheim", Event: Start})
		synctest.Wait()
		if len(s.asked) != 7 {
			t.Errorf("asked %d times; want no second attempt after 404", len(s.asked)-6)
		}
		status = 200
		p.Send(Message{Job: "j", Target: "https://h/geheim", Event: Start})
		synctest.Wait()
		if got := p.Stats(); got != (Stats{Sent: 1, Failed: 3}) {
			t.Errorf("stats = %+v; want 1 sent, 3 failed", got)
		}
		text := log.String()
		if strings.Count(text, "\n") != 2 || !strings.Contains(text, "ping https://h/***: status 500") || !strings.Contains(text, `"lost":3`) || strings.Contains(text, "geheim") || strings.Contains(text, "pw") {
			t.Errorf("log = %s; want one warning and one all-clear, no secret", text)
		}
		if err := p.Close(t.Context()); err != nil || len(p.lines) != 0 {
			t.Errorf("Close() = %v with %d lines; want none", err, len(p.lines))
		}
	})
}

func TestQueuesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		s := &server{answer: func(context.Context, string, int) int { <-release; return 200 }}
		p := New(Options{Log: zerolog.Nop(), Transport: s, Queue: perJob + 1, Timeout: time.Hour})
		send := func(job string, i int) {
			p.Send(Message{Job: job, Target: "http://h/" + job + "/{run}", Run: fmt.Sprint(i)})
		}
		send("a", 0)
		synctest.Wait() // under way
		for i := range perJob + 10 {
			send("a", i+1)
		}
		send("b", 1) // under way
		synctest.Wait()
		send("b", 2) // takes the last place
		send("c", 1)
		send("d", 1) // no place, and nothing of its own to give up
		close(release)
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := p.Stats(); got != (Stats{Sent: perJob + 3, Dropped: 12}) {
			t.Errorf("stats = %+v; want %d sent, 12 dropped", got, perJob+3)
		}
		if last := fmt.Sprintf("/a/%d ", perJob+10); !slices.Contains(s.asked, last) || slices.Contains(s.asked, "/a/1 ") {
			t.Errorf("asked %q; want the newest of a, not the oldest", s.asked)
		}
		p.Send(Message{Job: "a", Target: "http://h/"})
		if got := p.Stats(); got.Dropped != 13 {
			t.Errorf("stats = %+v; want a ping after Close dropped", got)
		}
	})
}

func TestServerThatHangs(t *testing.T) {
	release := make(chan bool)
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-release:
		case <-req.Context().Done():
		}
	}))
	defer hang.Close()
	defer close(release)
	p := New(Options{Log: zerolog.Nop()})
	for i := range 3 { // returns at once
		p.Send(Message{Job: "j", Run: fmt.Sprint(i), Target: hang.URL})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "3 pings") {
		t.Errorf("Close() = %v; want 3 undelivered at the deadline", err)
	}
	if got := p.Stats(); got != (Stats{Dropped: 3}) {
		t.Errorf("stats = %+v; want 3 dropped", got)
	}
}

func TestHangingAttemptTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: func(ctx context.Context, _ string, n int) int {
			if n == 1 {
				<-ctx.Done()
			}
			return 200
		}}
		p := New(Options{Log: zerolog.Nop(), Transport: s})
		begin := time.Now()
		p.Send(Message{Job: "j", Target: "http://h/"})
		if err := p.Close(t.Context()); err != nil || p.Stats().Sent != 1 || time.Since(begin) < defaultTimeout {
			t.Errorf("Close() = %v, %+v after %s; want delivered after a timeout", err, p.Stats(), time.Since(begin))
		}
	})
}

func TestAddressFromAFileIsReadEachTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "url")
	s := &server{}
	p := New(Options{Log: zerolog.Nop(), Transport: s, Attempts: 1})
	for _, text := range []string{"", "http://h/one\n", "http://h/two\n"} {
		if text != "" {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := p.once(&Message{Target: "file:" + file, Body: []byte("x")})
		if (err == nil) != (text != "") {
			t.Errorf("ping by a file with %q = %v", text, err)
		}
	}
	if want := []string{"/one/start x", "/two/start x"}; !slices.Equal(s.asked, want) {
		t.Errorf("asked %q; want %q", s.asked, want)
	}
}

func TestBodyIsTheEndOfTheOutput(t *testing.T) {
	s := &server{}
	p := New(Options{Log: zerolog.Nop(), Transport: s})
	p.Send(Message{Job: "j", Target: "http://h/", Event: Success, Body: []byte(strings.Repeat("x", maxBody) + "end")})
	p.Send(Message{Job: "none"})
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(s.asked) != 1 || len(s.asked[0]) != len("/ ")+maxBody || !strings.HasSuffix(s.asked[0], "xend") {
		t.Errorf("asked %d times; want one ping with the last %d bytes", len(s.asked), maxBody)
	}
}
