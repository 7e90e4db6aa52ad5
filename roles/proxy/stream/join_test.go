package stream

import (
	"net"
	"testing"
)

// calls notes each call.
type calls struct {
	net.Conn
	list []string
}

func (w *calls) Write(p []byte) (int, error) {
	w.list = append(w.list, string(p))
	return len(p), nil
}

func TestJoinSendsTwoWritesByOneCall(t *testing.T) {
	w := &calls{}
	c := Coalesce(w, nil)
	write := func(words ...string) {
		for _, word := range words {
			if n, err := c.Write([]byte(word)); n != len(word) || err != nil {
				t.Fatalf("Write(%q) = %d, %v", word, n, err)
			}
		}
	}
	write("one")
	c.Join()
	write("answer", " and end", "after")
	c.Join()
	write("lost?")
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	write("last")
	want := []string{"one", "answer and end", "after", "lost?", "last"}
	if len(w.list) != len(want) {
		t.Fatalf("calls = %q; want %q", w.list, want)
	}
	for i := range want {
		if w.list[i] != want[i] {
			t.Errorf("call %d = %q; want %q", i, w.list[i], want[i])
		}
	}
}
