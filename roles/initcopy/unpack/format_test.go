package unpack

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStreams(t *testing.T) {
	p := newPlace(t)
	for form, archive := range forms(mem{kind: 'f', name: "x", body: "x"}) {
		p.again()
		items, rep, err := Stream(t.Context(), "stdin", bytes.NewReader(archive), p.into, standard())
		if form == "zip" || form == "war" {
			if err == nil || !strings.Contains(err.Error(), "unpack stdin: a zip cannot be read from a stream") {
				t.Errorf("%s: %v; want a refusal of a stream", form, err)
			}
			continue
		}
		if err != nil || len(items) != 1 || rep.Format != form {
			t.Errorf("%s: %v, %+v, %v; want one item", form, items, rep, err)
		}
	}
	p.again()
	_, _, err := Stream(t.Context(), "stdin", &failing{tarMembers(mem{kind: 'f', name: "x", body: strings.Repeat("x", 1<<20)})[:1<<19]}, p.into, standard())
	if !errors.Is(err, errBroken) {
		t.Errorf("Stream from what breaks = %v; want its error", err)
	}
}

var errBroken = errors.New("connection reset")

// failing gives some bytes and then an error.
type failing struct{ b []byte }

func (f *failing) Read(p []byte) (int, error) {
	if len(f.b) == 0 {
		return 0, errBroken
	}
	n := copy(p, f.b)
	f.b = f.b[n:]
	return n, nil
}

func TestFormatThatIsNotWhatWasSaid(t *testing.T) {
	p := newPlace(t)
	o := standard()
	for form, archive := range forms(mem{kind: 'f', name: "x"}) {
		if form == "war" {
			form = "zip"
		}
		for _, o.Format = range Formats() {
			p.again()
			_, _, err := p.unpack(archive, o)
			if fits := o.Format == "auto" || o.Format == form; (err == nil) != fits {
				t.Errorf("a %s as %s = %v", form, o.Format, err)
			}
		}
	}
}

func TestDeclared(t *testing.T) {
	p := newPlace(t)
	for form, archive := range forms(mem{kind: 'f', name: "x", body: "12345"}, mem{kind: 'd', name: "d"}, mem{kind: 'f', name: "y", body: "123"}) {
		name := filepath.Join(t.TempDir(), form)
		p.must(os.WriteFile(name, archive, 0o600))
		f, err := os.Open(name)
		p.must(err)
		size, entries, known := Declared(f)
		p.must(f.Close())
		if zip := form == "zip" || form == "war"; known != zip || known && (size != 8 || entries != 3) {
			t.Errorf("Declared(%s) = %d, %d, %v; want 8, 3, %v", form, size, entries, known, zip)
		}
	}
}
