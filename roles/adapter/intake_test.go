package adapter

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/gz"
)

func TestBodiesTogetherAreBounded(t *testing.T) {
	in := newIntake(64 << 20) // 2 MiB for each, 8 MiB for all
	post := func(size int) (int, func(), error) {
		packed, err := gz.Append(nil, bytes.Repeat([]byte("0"), size))
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/write", bytes.NewReader(packed))
		r.Header.Set("Content-Encoding", "gzip")
		body, release, err := in.read(httptest.NewRecorder(), r)
		return len(body), release, err
	}
	if _, release, err := post(2<<20 + 1); !errors.Is(err, errTooBig) {
		t.Errorf("a body of more than 2 MiB: %v; want that it is too large", err)
	} else {
		release()
	}
	var held []func()
	for i := range 4 {
		n, release, err := post(2 << 20)
		if n != 2<<20 || err != nil {
			t.Errorf("body %d has %d bytes, %v; want all of it", i, n, err)
		}
		held = append(held, release)
	}
	_, release, err := post(1 << 20)
	if !errors.Is(err, errBusy) {
		t.Errorf("a body beyond what all may hold: %v; want that it has to come again", err)
	}
	release()
	for _, release := range held {
		release()
	}
	if n, release, err := post(2 << 20); n != 2<<20 || err != nil {
		t.Errorf("a body after the others: %d bytes, %v; want all of it", n, err)
	} else {
		release()
	}
	if left := in.left.Load(); left != 8<<20 {
		t.Errorf("%d bytes are left after all; want 8 MiB", left)
	}
}
