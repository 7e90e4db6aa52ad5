package expo

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// TestPiecesOfABodyAreOne: blocks that follow each other are written at once, whatever was taken out between or put elsewhere.
func TestPiecesOfABodyAreOne(t *testing.T) {
	body := strings.Clone("# TYPE a gauge\na 1\n# TYPE b gauge\nb 2\n# TYPE c gauge\nc 3\n# TYPE d gauge\nd 4\n")
	page, _, err := Decode([]byte(body), model.Text, model.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	a, b, c, d := page.Families[0], page.Families[1], page.Families[2], page.Families[3]
	elsewhere := b
	elsewhere.Block = strings.Clone(b.Block)
	for _, test := range []struct {
		families []model.Family
		pieces   int
	}{
		{[]model.Family{a, b, c, d}, 1},
		{[]model.Family{a, b, d}, 2},
		{[]model.Family{a, c, d}, 2},
		{[]model.Family{b, a}, 2},
		{[]model.Family{a, elsewhere, c, d}, 3},
		{[]model.Family{elsewhere, c, a, b}, 3},
		{[]model.Family{elsewhere}, 1},
		{[]model.Family{d}, 1},
		{nil, 0},
	} {
		var want []byte
		for _, f := range test.families {
			want = append(want, f.Block...)
		}
		list := Pieces(&model.Page{Families: test.families, Body: page.Body}, model.Text)
		if got := slices.Concat(list...); !bytes.Equal(got, want) || len(list) != test.pieces {
			t.Errorf("%d pieces: %q; want %d: %q", len(list), got, test.pieces, want)
		}
		// Without a body each is its own.
		if list := Pieces(&model.Page{Families: test.families}, model.Text); len(list) != len(test.families) {
			t.Errorf("%d pieces without a body; want %d", len(list), len(test.families))
		}
	}
}

// TestPiecesOfABodyThatWasReadAgain: the same for a body that differs in its numbers only.
func TestPiecesOfABodyThatWasReadAgain(t *testing.T) {
	r := NewReader(model.Limits{})
	for i, body := range []string{"a 1\nb 2\n", "a 10\nb 20\n", "a 7\nb 20\n"} {
		page, _, err := r.Decode([]byte(body), model.Text)
		if err != nil {
			t.Fatal(err)
		}
		if list := Pieces(&page, model.Text); len(list) != 1 || string(list[0]) != body {
			t.Errorf("body %d: %q; want one piece %q", i, list, body)
		}
	}
}
