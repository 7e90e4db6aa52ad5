package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// echo is a backend of net/http that answers with the body it got, framed in
// several ways, sometimes closing the connection.
func echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if rand.IntN(20) == 0 {
		w.Header().Set("Connection", "close")
	}
	w.Header().Set("X-Sum", r.Header.Get("X-Sum"))
	if rand.IntN(2) == 0 {
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	}
	for len(b) > 0 {
		n := 1 + rand.IntN(len(b))
		_, _ = w.Write(b[:n])
		if rand.IntN(3) == 0 {
			_ = http.NewResponseController(w).Flush()
		}
		b = b[n:]
	}
}

// TestMixedLoad looks for buffers and connections that are given to two: many
// clients, bodies of all sizes, clients that go away in between.
func TestMixedLoad(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(echo))
	defer plain.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(echo))
	defer secure.Close()
	for _, tt := range []struct{ front, back bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		url := plain.URL
		if tt.back {
			url = secure.URL
		}
		addr := url[strings.LastIndex(url, "/")+1:]
		f := serve(t, to(Config{Observer: touching{}}, addr, func(_ *Route, b *Backend) {
			if tt.back {
				b.Dial = func(ctx context.Context, _ *Client) (net.Conn, error) {
					return (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(ctx, "tcp", addr)
				}
			}
		}), tt.front)
		scheme := "http://"
		if tt.front {
			scheme = "https://"
		}
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 4}
		c := &http.Client{Transport: tr, Timeout: patience}
		var all sync.WaitGroup
		for w := range 6 {
			all.Go(func() {
				for i := range 15 {
					mixed(t, c, scheme+f.Addr+"/"+fmt.Sprint(w), i)
				}
			})
		}
		all.Wait()
		tr.CloseIdleConnections()
	}
}

// touching is an observer that only touches what it is given.
type touching struct{}

func (touching) Request(r *Record) { _ = string(r.Method) + string(r.Host) + string(r.Target) }

func mixed(t *testing.T, c *http.Client, url string, i int) {
	sizes := []int{0, 1, 100, 3000, 5000, 17000, 70000, 300000}
	size := sizes[rand.IntN(len(sizes))]
	if size > 0 {
		size += rand.IntN(size)
	}
	body := bytes.Repeat([]byte{byte('a' + i%26)}, size)
	var src io.Reader = bytes.NewReader(body)
	if rand.IntN(2) == 0 {
		src = struct{ io.Reader }{src} // of unknown length
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	left := rand.IntN(10) == 0
	if left {
		time.AfterFunc(time.Duration(rand.IntN(2000))*time.Microsecond, cancel)
	}
	// PUT may be sent twice, as echo closes connections.
	req, err := http.NewRequestWithContext(ctx, "PUT", url, src)
	if err != nil {
		t.Error(err)
		return
	}
	sum := fmt.Sprint(url, i)
	req.Header.Set("X-Sum", sum)
	resp, err := c.Do(req)
	if err != nil {
		if !left {
			t.Errorf("%d bytes: %v", size, err)
		}
		return
	}
	got, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	switch {
	case left && err != nil:
	case err != nil || resp.StatusCode != 200 || resp.Header.Get("X-Sum") != sum || !bytes.Equal(got, body):
		t.Errorf("%s with %d bytes = %d, %d bytes for %s, %v", sum, size, resp.StatusCode, len(got), resp.Header.Get("X-Sum"), err)
	}
}
