package stdout

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/logship/out/outtest"
	"github.com/sidecar-kit/sidecar/roles/logship/out/plain"
)

// breaking fails after as many bytes, once.
type breaking struct {
	bytes.Buffer
	after int
}

func (b *breaking) Write(p []byte) (int, error) {
	if b.after > 0 && len(p) > b.after {
		n, _ := b.Buffer.Write(p[:b.after])
		b.after = 0
		return n, errors.New("gone")
	}
	return b.Buffer.Write(p)
}

func TestTornLineIsEnded(t *testing.T) {
	w := &breaking{after: 150}
	s := New(w, plain.Text)
	b := outtest.Batch(t, s, 0, 3)
	if err := s.Send(t.Context(), b); err == nil {
		t.Error("Send = nil; want an error")
	}
	if err := s.Send(t.Context(), b); err != nil {
		t.Errorf("Send = %v; want nil", err)
	}
	if got := strings.Count(w.String(), "\nlevel="); got != 4 {
		t.Errorf("output %q; want the three events, each in a line of its own, behind what was torn", w.String())
	}
}
