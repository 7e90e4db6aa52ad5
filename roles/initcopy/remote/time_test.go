package remote

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// fake answers requests without a network, so that time can be made.
type fake func(*http.Request) (*http.Response, error)

func (f fake) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(code int, body io.Reader, header http.Header) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: code, Header: header, Body: io.NopCloser(body), ContentLength: -1}
}

// waiting is a body from which nothing comes until the request is given up.
type waiting struct{ ctx context.Context }

func (w waiting) Read([]byte) (int, error) {
	<-w.ctx.Done()
	return 0, w.ctx.Err()
}

func TestStalledTransferIsTakenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := &Client{pause: time.Second, o: Options{Retry: time.Hour, Log: zerolog.Nop()}, web: fake(func(r *http.Request) (*http.Response, error) {
			n++
			switch n {
			case 1: // headers, a bit, and then nothing
				resp := answer(200, io.MultiReader(strings.NewReader("hel"), waiting{r.Context()}), http.Header{"Etag": {`"1"`}})
				resp.ContentLength = 5
				return resp, nil
			case 2: // not even headers
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			if got := r.Header.Get("Range") + r.Header.Get("If-Range"); got != `bytes=3-"1"` {
				t.Errorf("asked for %q; want the rest of version 1", got)
			}
			return answer(206, strings.NewReader("lo"), http.Header{"Content-Range": {"bytes 3-4/5"}, "Etag": {`"1"`}}), nil
		})}
		begin := time.Now()
		var got memory
		if _, err := c.File(t.Context(), "https://a/b", nil, &got); err != nil || got.String() != "hello" {
			t.Errorf("File = %q, %v; want hello", got.String(), err)
		}
		if took := time.Since(begin); took < 2*stallTime || took > 2*stallTime+5*time.Second {
			t.Errorf("it took %s; want two stalls of %s and a little", took, stallTime)
		}
	})
}

func TestSlowSinkIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{pause: time.Second, o: Options{Log: zerolog.Nop()}, web: fake(func(r *http.Request) (*http.Response, error) {
			return answer(200, io.MultiReader(strings.NewReader("hello"), alive{r.Context()}), nil), nil
		})}
		if _, err := c.File(t.Context(), "https://a/b", nil, slow{}); err != nil {
			t.Errorf("File = %v; want patience with our own disk", err)
		}
	})
}

// alive is the end of a body whose request was not given up.
type alive struct{ ctx context.Context }

func (a alive) Read([]byte) (int, error) {
	if err := a.ctx.Err(); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

type slow struct{}

func (slow) Begin(int64) error { return nil }
func (slow) Write(p []byte) (int, error) {
	time.Sleep(10 * stallTime)
	return len(p), nil
}

func TestGivesUpWithoutProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := &Client{pause: time.Second, o: Options{Retry: 5 * time.Minute, Log: zerolog.Nop()}, web: fake(func(*http.Request) (*http.Response, error) {
			n++
			return nil, errors.New("no such host https://user:geheim@a/")
		})}
		begin := time.Now()
		_, err := c.File(t.Context(), "https://a/b?x=geheim", nil, &memory{})
		took := time.Since(begin)
		if err == nil || !strings.Contains(err.Error(), "no such host") || !strings.Contains(err.Error(), "--retry-timeout 5m0s") || strings.Contains(err.Error(), "geheim") {
			t.Errorf("File = %v; want the cause and the flag", err)
		}
		if took > 5*time.Minute || took < 4*time.Minute || n < 10 || n > 40 {
			t.Errorf("gave up after %s and %d attempts; want close to 5m0s and some", took, n)
		}
	})
}

func TestProgressKeepsATransferAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 600
		n := 0
		c := &Client{pause: time.Second, o: Options{Retry: time.Minute, Log: zerolog.Nop()}, web: fake(func(r *http.Request) (*http.Response, error) {
			time.Sleep(20 * time.Second)
			h := http.Header{"Etag": {`"1"`}, "Content-Range": {"bytes " + strconv.Itoa(n) + "-599/600"}}
			resp := answer(map[bool]int{true: 200, false: 206}[n == 0], strings.NewReader("x"), h)
			resp.ContentLength = int64(size - n)
			n++
			return resp, nil
		})}
		var got memory
		if _, err := c.File(t.Context(), "https://a/b", nil, &got); err != nil || got.Len() != size {
			t.Errorf("File = %d bytes, %v; want %d, hours later", got.Len(), err, size)
		}
	})
}

func TestRetryAfterIsHonouredOrTooLong(t *testing.T) {
	for _, tt := range []struct {
		after string
		fail  bool
	}{{"90", false}, {"3600", true}} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			c := &Client{pause: time.Second, o: Options{Retry: 2 * time.Minute, Log: zerolog.Nop()}, web: fake(func(*http.Request) (*http.Response, error) {
				if n++; n == 1 {
					return answer(503, strings.NewReader(""), http.Header{"Retry-After": {tt.after}}), nil
				}
				return answer(200, strings.NewReader("x"), nil), nil
			})}
			begin := time.Now()
			_, err := c.File(t.Context(), "https://a/b", nil, &memory{})
			took := time.Since(begin)
			if tt.fail && (err == nil || took > 0 || !strings.Contains(err.Error(), "1h0m0s of patience")) {
				t.Errorf("File = %v after %s; want an error at once", err, took)
			}
			if !tt.fail && (err != nil || took != 90*time.Second) {
				t.Errorf("File = %v after %s; want 1m30s", err, took)
			}
		})
	}
}

func TestCancelledTransferEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c := &Client{pause: time.Second, o: Options{Retry: time.Hour, Log: zerolog.Nop()}, web: fake(func(r *http.Request) (*http.Response, error) {
			return answer(200, waiting{r.Context()}, nil), nil
		})}
		if _, err := c.File(ctx, "https://a/b", nil, &memory{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("File = %v; want the end of the context", err)
		}
	})
}
