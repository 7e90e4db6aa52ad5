package view

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/source"
)

// of is a page with one family of each name.
func of(names ...string) *model.Page {
	p := &model.Page{}
	for _, name := range names {
		p.Families = append(p.Families, model.Family{Name: name, Samples: []model.Sample{{Value: 1}}})
	}
	return p
}

// fixture is a view whose pages are the names of their families, a line each.
func fixture(inputs ...Input) Options {
	return Options{
		Path: "/m", Inputs: inputs, Timeout: 10 * time.Second, Offset: 500 * time.Millisecond, Methods: []string{"GET", "HEAD"}, Meta: true,
		Merge: func(pages []Named) (model.Page, model.Drops, error) {
			var p model.Page
			for _, n := range pages {
				p.Families = append(p.Families, n.Page.Families...)
			}
			return p, model.Drops{model.Repeated: 1}, nil
		},
		Choose: func(accept string) Encoder {
			return Encoder{Key: accept, ContentType: "text/" + accept, Encode: func(p *model.Page) (Body, error) {
				var b bytes.Buffer
				for _, f := range p.Families {
					b.WriteString(f.Name)
					for _, s := range f.Samples {
						for _, l := range s.Labels {
							b.WriteString(" " + l.Value)
						}
						if s.Value == 0 {
							b.WriteString("=0")
						}
					}
					b.WriteString("\n")
				}
				return Body{Pieces: [][]byte{b.Bytes()}}, nil
			}}
		},
	}
}

func gives(name string, p *model.Page) Input {
	return Input{Name: name, Fetch: func(context.Context) source.Result { return source.Result{Page: p, At: time.Now()} }}
}

func fails(name string) Input {
	return Input{Name: name, Fetch: func(context.Context) source.Result { return source.Result{Err: errors.New("down"), At: time.Now()} }}
}

// after gives a page after a time, or what came in time.
func after(name string, d time.Duration, fetches *atomic.Int64) Input {
	return Input{Name: name, Fetch: func(ctx context.Context) source.Result {
		fetches.Add(1)
		select {
		case <-time.After(d):
			return source.Result{Page: of(name), At: time.Now()}
		case <-ctx.Done():
			return source.Result{Err: ctx.Err(), At: time.Now()}
		}
	}}
}

func request(v *View, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/m", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	v.ServeHTTP(w, r)
	return w
}

func TestAPageHasWhatSourcesSay(t *testing.T) {
	v := New(fixture(gives("one", of("a")), fails("two"), gives("three", of("b", "sidecar_adapter_source_up"))))
	w := request(v, "Accept", "plain")
	if got, want := w.Body.String(), "a\nb\nsidecar_adapter_source_up one two=0 three\nsidecar_adapter_source_age_seconds one=0 three=0\n"; got != want || w.Code != 200 {
		t.Errorf("answer = %d %q; want 200 %q", w.Code, got, want)
	}
	if w.Header().Get("Content-Type") != "text/plain" || w.Header().Get("Vary") == "" {
		t.Errorf("header = %v", w.Header())
	}
	if s := v.Stats(); s.Requests != 1 || s.Partial != 1 || s.Failed != 0 || s.Drops[model.Repeated] != 1 || s.Err == nil {
		t.Errorf("stats = %+v", s)
	}
}

func TestNoSourceHasAPage(t *testing.T) {
	v := New(fixture(fails("one")))
	if w := request(v); w.Code != 503 || w.Body.String() != "sidecar_adapter_source_up one=0\n" {
		t.Errorf("answer = %d %q; want 503 with up 0", w.Code, w.Body)
	}
	o := fixture(gives("one", of("a")))
	o.Merge = func([]Named) (model.Page, model.Drops, error) {
		return model.Page{}, model.Drops{}, errors.New("conflict")
	}
	if w := request(New(o)); w.Code != 500 || !strings.Contains(w.Body.String(), "conflict") {
		t.Errorf("answer = %d %q; want 500 with the reason", w.Code, w.Body)
	}
	if w := request(New(fixture())); w.Code != 200 {
		t.Errorf("a view of nothing = %d; want 200", w.Code)
	}
}

func TestTheScrapersTimeout(t *testing.T) {
	for _, tt := range []struct {
		header string
		want   time.Duration
	}{{"", 10 * time.Second}, {"2", 1500 * time.Millisecond}, {"0.5", 450 * time.Millisecond}, {"60", 10 * time.Second}, {"-1", 10 * time.Second}, {"NaN", 10 * time.Second}, {"1e9", 10 * time.Second}, {"x", 10 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			var n atomic.Int64
			v := New(fixture(after("slow", time.Hour, &n), gives("fast", of("a"))))
			begun := time.Now()
			w := request(v, "X-Prometheus-Scrape-Timeout-Seconds", tt.header)
			if took := time.Since(begun); took != tt.want {
				t.Errorf("with %q: answer after %s; want %s", tt.header, took, tt.want)
			}
			if !strings.HasPrefix(w.Body.String(), "a\n") || !strings.Contains(w.Body.String(), "slow=0") {
				t.Errorf("with %q: %q; want what came in time", tt.header, w.Body)
			}
		})
	}
}

func TestALateSourceSaysWhatWasTooShort(t *testing.T) {
	for header, want := range map[string]string{
		"":   "no answer within 10s (--timeout, or timeout of the view)",
		"2":  "no answer within 1.5s (what the scraper waits, less --timeout-offset)",
		"60": "no answer within 10s (--timeout, or timeout of the view)",
	} {
		synctest.Test(t, func(t *testing.T) {
			s := source.New(source.Options{Timeout: time.Minute}, never{}, nil)
			v := New(fixture(Input{Name: "slow", Fetch: s.Fetch}))
			request(v, "X-Prometheus-Scrape-Timeout-Seconds", header)
			if err := v.Stats().Err; err == nil || err.Error() != want {
				t.Errorf("with %q: %v; want %s", header, err, want)
			}
			time.Sleep(time.Minute) // the source's own time
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := source.New(source.Options{Timeout: time.Second}, never{}, nil)
		if err := s.Fetch(t.Context()).Err; err == nil || err.Error() != "no answer within 1s (timeout of the source)" {
			t.Errorf("Fetch = %v; want the source's own timeout", err)
		}
	})
}

// never answers.
type never struct{}

func (never) Get(ctx context.Context) (source.Body, error) {
	<-ctx.Done()
	return source.Body{}, context.Cause(ctx)
}

func TestOneAnswerForAllWhoAskAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int64
		v := New(fixture(after("a", time.Second, &fetches)))
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if w := request(v); w.Code != 200 || !strings.HasPrefix(w.Body.String(), "a\n") {
					t.Errorf("answer = %d %q", w.Code, w.Body)
				}
			})
		}
		all.Wait()
		if s := v.Stats(); fetches.Load() != 1 || s.Joined != 49 {
			t.Errorf("%d fetches, %d joined; want 1 and 49", fetches.Load(), s.Joined)
		}
	})
}

func TestAHastyScraperDoesNotWaitForAPatientOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int64
		v := New(fixture(after("slow", 5*time.Second, &fetches), gives("fast", of("a"))))
		go request(v)
		time.Sleep(time.Second)
		begun := time.Now()
		w := request(v, "X-Prometheus-Scrape-Timeout-Seconds", "2")
		if took := time.Since(begun); took > 2*time.Second || !strings.HasPrefix(w.Body.String(), "a\n") {
			t.Errorf("answer after %s: %q; want what is there within 2s", took, w.Body)
		}
		time.Sleep(time.Minute)
	})
}

func TestGzipIsGivenToWhoTakesIt(t *testing.T) {
	long := &model.Page{}
	for range 500 {
		long.Families = append(long.Families, model.Family{Name: "a_name_of_some_length"})
	}
	v := New(fixture(gives("one", long)))
	for header, want := range map[string]bool{"gzip": true, "deflate, gzip;q=0.5": true, "*": true, "gzip;q=0": false, "gzip; q=0.0": false, "br": false, "": false} {
		w := request(v, "Accept-Encoding", header)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != want {
			t.Errorf("Accept-Encoding %q: compressed %v; want %v", header, got, want)
		}
		var body io.Reader = w.Body
		if want {
			z, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			body = z
		}
		if text, err := io.ReadAll(body); err != nil || bytes.Count(text, []byte("a_name")) != 500 {
			t.Errorf("Accept-Encoding %q: %d bytes, %v", header, len(text), err)
		}
	}
}

func TestMethods(t *testing.T) {
	v := New(fixture(gives("one", of("a"))))
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405, "DELETE": 405} {
		w := httptest.NewRecorder()
		v.ServeHTTP(w, httptest.NewRequest(method, "/m", nil))
		if w.Code != want || method == "HEAD" && w.Body.Len() != 0 {
			t.Errorf("%s = %d with %d bytes; want %d", method, w.Code, w.Body.Len(), want)
		}
	}
}

func TestPiecesAreWrittenInTheirOrder(t *testing.T) {
	for _, sizes := range [][]int{{}, {0}, {5}, {5, 0, 7}, {chunk, chunk}, {chunk - 1, 1, 1}, {3 * chunk, 5, 2 * chunk, chunk - 5, 9}} {
		var pieces [][]byte
		var want bytes.Buffer
		for i, n := range sizes {
			p := bytes.Repeat([]byte{byte('a' + i)}, n)
			pieces = append(pieces, p)
			want.Write(p)
		}
		var got bytes.Buffer
		writePieces(&got, pieces)
		a := answer{pieces: pieces}
		a.measure()
		if !bytes.Equal(got.Bytes(), want.Bytes()) || a.size != want.Len() {
			t.Errorf("pieces of %v: %d bytes, measured %d; want %d", sizes, got.Len(), a.size, want.Len())
		}
	}
}
