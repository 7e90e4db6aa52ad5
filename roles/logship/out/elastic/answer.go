package elastic

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/sidecar-kit/sidecar/roles/logship/out"
)

// answer reads what a server says about a bulk request: a result for each event, in their order. Nothing is allocated for an event
// that was stored.
type answer struct {
	lex    lexer
	batch  *out.Batch
	judge  func(status int, kind, reason []byte) (out.Verdict, bool)
	n      int // results seen
	extra  bool
	errors bool // what the server says of the whole; true until it was said
	pause  string
	idAt   int    // where the id begins in every item; 0: it has to be looked for
	next   []byte // id of the event behind the last hop

	// What the last result looked like; see same and hop.
	lastLen, lastID int
	last            []byte
	lastGood        bool

	word, kind, reason []byte // fixed capacity
}

func newAnswer() *answer {
	return &answer{last: make([]byte, 0, 512), word: make([]byte, 0, 32), kind: make([]byte, 0, 96), reason: make([]byte, 0, 400)}
}

// read sets the verdict of every item. Items that the answer does not tell about are to be sent again. The error means that the
// answer says nothing that can be relied on. pause is why a person is needed; empty: none is.
func (a *answer) read(src io.Reader, b *out.Batch, idAt int, judge func(int, []byte, []byte) (out.Verdict, bool)) (pause string, err error) {
	a.lex.reset(src)
	a.batch, a.judge, a.n, a.extra, a.errors, a.pause, a.lastGood, a.last = b, judge, 0, false, true, "", false, a.last[:0]
	a.idAt, a.next = idAt, nil
	for i := range b.Items {
		b.Items[i].Verdict, b.Items[i].Reason = out.Again, ""
	}
	err = a.object(func(key []byte) error {
		var err error
		switch string(key) {
		case "errors":
			a.errors, err = a.lex.yes()
		case "items":
			err = a.items()
		default:
			err = a.lex.skip()
		}
		return err
	})
	a.batch, a.judge, a.lex.src, a.next = nil, nil, nil, nil
	switch {
	case a.extra:
		for i := range b.Items {
			b.Items[i].Verdict, b.Items[i].Reason = out.Again, ""
		}
		return "", fmt.Errorf("the answer has more results than the %d events that were sent", len(b.Items))
	case a.pause != "":
		return a.pause, nil
	case a.n == 0 && err == nil && len(b.Items) > 0:
		return "", errors.New("the answer has no results")
	case a.n == 0:
		return "", err
	}
	for i := a.n; i < len(b.Items); i++ {
		b.Items[i].Reason = "the answer has no result for it"
	}
	return "", nil // an answer that breaks off has told about those before
}

// object reads an object and calls fn for each key, which is valid until the next one.
func (a *answer) object(fn func(key []byte) error) error {
	if err := a.lex.expect('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := a.lex.more(first, '}')
		if err != nil || !more {
			return err
		}
		if a.word, err = a.lex.str(a.word[:0]); err != nil {
			return err
		}
		if err := a.lex.expect(':'); err != nil {
			return err
		}
		if err := fn(a.word); err != nil {
			return err
		}
	}
}

func (a *answer) items() error {
	if err := a.lex.expect('['); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := a.lex.more(first, ']')
		if err != nil || !more {
			return err
		}
		if a.n >= len(a.batch.Items) {
			a.extra = true
			return errors.New("too many")
		}
		if !first && (a.same() || a.hop()) {
			continue
		}
		if err := a.item(); err != nil {
			return err
		}
	}
}

// same takes a result that is byte for byte what a good one was: so it is when only the status is asked for.
func (a *answer) same() bool {
	l := &a.lex
	if !a.lastGood || len(a.last) == 0 || !l.ahead(len(a.last)) || !bytes.HasPrefix(l.buf[l.pos:l.end], a.last) {
		return false
	}
	l.pos += len(a.last)
	a.done()
	return true
}

// hop takes a result without looking at all of it, where the server said that there are no errors, the result names our event,
// and the next one begins right behind it, as long as the last one was, with the name of the next event.
func (a *answer) hop() bool {
	l := &a.lex
	if a.errors || !a.lastGood || a.lastID == 0 || a.n+1 >= len(a.batch.Items) {
		return false
	}
	mine := a.next
	if mine == nil {
		mine = a.id(a.n)
	}
	next := a.id(a.n + 1)
	a.next = nil
	at := a.lastLen + 1 + a.lastID
	if !l.ahead(at + len(next) + 1) {
		return false
	}
	b := l.buf[l.pos:l.end]
	head := a.last[:a.lastID]
	if !bytes.HasPrefix(b, head) || !bytes.HasPrefix(b[a.lastID:], mine) || b[a.lastID+len(mine)] != '"' {
		return false
	}
	if b[a.lastLen-1] != '}' || b[a.lastLen] != ',' || !bytes.HasPrefix(b[a.lastLen+1:], head) ||
		!bytes.HasPrefix(b[at:], next) || b[at+len(next)] != '"' {
		return false
	}
	l.pos += a.lastLen
	a.next = next
	a.done()
	return true
}

func (a *answer) done() {
	a.batch.Items[a.n].Verdict = out.Done
	a.n++
}

// item reads one result: {"create":{"_id":…,"status":201,"error":{"type":…,"reason":…}}}.
func (a *answer) item() error {
	l := &a.lex
	l.peek()
	l.ahead(cap(a.last)) // so that the text of most results is in the window as a whole
	begin, shift := l.pos, l.before
	status := -1
	a.kind, a.reason = a.kind[:0], a.reason[:0]
	err := a.object(func([]byte) error {
		if l.peek() != '{' {
			return l.skip()
		}
		return a.object(func(key []byte) error {
			var err error
			switch string(key) {
			case "status":
				status, err = l.number()
			case "error":
				err = a.problem()
			default:
				err = l.skip()
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	it := &a.batch.Items[a.n]
	verdict, person := a.judge(status, a.kind, a.reason)
	it.Verdict = verdict
	if verdict != out.Done {
		it.Reason = a.text(status)
		if person && a.pause == "" {
			a.pause = it.Reason
		}
	}
	a.remember(begin, shift, verdict == out.Done)
	a.n++
	return nil
}

// remember keeps how a result looks, and where in it the event is named.
func (a *answer) remember(begin int, shift int64, good bool) {
	l := &a.lex
	a.lastGood = false
	size := l.pos - begin
	if !good || l.before != shift || size > cap(a.last) {
		return
	}
	a.last = append(a.last[:0], l.buf[begin:l.pos]...)
	a.lastLen, a.lastID, a.lastGood = size, 0, true
	if id := a.id(a.n); len(id) > 0 {
		if at := bytes.Index(a.last, id); at > 0 && at+len(id) < size && a.last[at-1] == '"' && a.last[at+len(id)] == '"' {
			a.lastID = at
		}
	}
}

// problem reads an error: an object in all that is not very old.
func (a *answer) problem() error {
	l := &a.lex
	switch l.peek() {
	case '"':
		var err error
		a.reason, err = l.str(a.reason[:0])
		return err
	case '{':
	default:
		return l.skip()
	}
	return a.object(func(key []byte) error {
		var err error
		switch {
		case string(key) == "type" && l.peek() == '"':
			a.kind, err = l.str(a.kind[:0])
		case string(key) == "reason" && l.peek() == '"':
			a.reason, err = l.str(a.reason[:0])
		default:
			err = l.skip()
		}
		return err
	})
}

func (a *answer) text(status int) string {
	if status < 0 {
		return "a result without a status"
	}
	text := fmt.Sprint(status)
	if len(a.kind) > 0 {
		text += " " + string(a.kind)
	}
	if len(a.reason) > 0 {
		text += ": " + string(a.reason)
	}
	return text
}

// id is what the action line of an item names it.
func (a *answer) id(i int) []byte {
	it := &a.batch.Items[i]
	text, at := a.batch.Body[it.Start:it.End], a.idAt
	if at == 0 {
		at = bytes.Index(text[:min(len(text), 400)], []byte(idKey)) + len(idKey)
	}
	if at < len(idKey) || at > len(text) {
		return nil
	}
	return text[at:][:max(0, bytes.IndexByte(text[at:], '"'))]
}
