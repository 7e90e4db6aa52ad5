package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// counts is what GET /_stats answers with.
type counts struct {
	Unique    int64   `json:"unique"`    // sequence numbers that were stored
	Doubled   int64   `json:"doubled"`   // times one was stored that was there already
	Highest   int64   `json:"highest"`   // sequence number
	Docs      int64   `json:"docs"`      // that came in requests, also those that were there
	IDs       int64   `json:"ids"`       // different _id
	Conflicts int64   `json:"conflicts"` // answered with 409
	Replaced  int64   `json:"replaced"`  // stored once more under the _id that they had, by index
	NoID      int64   `json:"no_id"`
	NoSeq     int64   `json:"no_seq"` // documents without a sequence number
	Requests  int64   `json:"requests"`
	Bytes     int64   `json:"bytes"`
	Malformed int64   `json:"malformed"`
	TooLarge  int64   `json:"too_large"`
	Faults    int64   `json:"faults"`
	Rejected  int64   `json:"rejected"` // items answered with 400
	P50       float64 `json:"p50_ms"`   // from "t" in a line to the answer
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
	First     int64   `json:"first_ns"` // when the first and the last document came
	Last      int64   `json:"last_ns"`
}

// store is what was taken.
type store struct {
	expect int
	seed   maphash.Seed
	seen   []uint64 // a bit for each sequence number
	ids    set
	waits  [20000]int64 // by tenth of a millisecond
	waited int64
	max    time.Duration
	c      counts
}

func (s *store) reset(expect int) {
	*s = store{expect: expect, seed: maphash.MakeSeed(), seen: make([]uint64, expect/64+1), ids: newSet(expect)}
}

func (s *store) counts() counts {
	c := s.c
	c.P50, c.P99, c.Max = s.quantile(.5), s.quantile(.99), float64(s.max)/1e6
	return c
}

func (s *store) quantile(q float64) float64 {
	left := int64(q * float64(s.waited))
	for i, n := range s.waits {
		if left -= n; left < 0 {
			return float64(i+1) / 10
		}
	}
	return float64(s.max) / 1e6
}

// doc is one document of a request.
type doc struct {
	id     []byte
	text   []byte
	create bool
}

// take stores the documents of a request and makes the answer.
//
// brief: filter_path was given, and of an item only the status and the error are wanted.
func (s *server) take(b *buffer, path string, brief bool, f *fault) ([]byte, error) {
	bulk := strings.HasSuffix(path, "_bulk")
	if strings.HasSuffix(path, "/v1/logs") {
		b.splitOTLP()
	} else if err := b.split(bulk); err != nil {
		return nil, err
	}
	for i := range b.docs {
		if (s.strict || i%64 == 0) && bulk && !json.Valid(b.docs[i].text) {
			return nil, fmt.Errorf("document %d is no JSON: %.200q", i, b.docs[i].text)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &s.stored
	st.c.Requests++
	st.c.Bytes += int64(len(b.data))
	now := time.Now()
	if st.c.First == 0 {
		st.c.First = now.UnixNano()
	}
	st.c.Last = now.UnixNano()
	out := append(b.answer, `{"took":3,"errors":`...)
	if brief {
		out = append(b.answer, `{"errors":`...)
	}
	mark := len(out)
	out = append(out, `false,"items":[`...)
	bad := false
	for i := range b.docs {
		status := st.put(&b.docs[i], itemFault(f, i), now)
		bad = bad || status >= 300
		if i > 0 {
			out = append(out, ',')
		}
		out = appendItem(out, &b.docs[i], status, brief, f)
	}
	out = append(out, `]}`...)
	switch {
	case kind(f) == "short":
		cut := bytes.LastIndex(out, []byte(`,{"create"`))
		if cut > 0 {
			out = append(out[:cut], `]}`...)
		}
	case kind(f) == "empty":
		out = out[:0]
	case bad:
		out = append(out[:mark], append([]byte("true"), out[mark+len("false"):]...)...)
	}
	b.answer = out
	return out, nil
}

func itemFault(f *fault, i int) int {
	switch {
	case kind(f) == "item429" && i%3 == 1:
		return 429
	case kind(f) == "item503" && i%3 == 1:
		return 503
	case kind(f) == "item400" && i%100 == 7:
		return 400
	}
	return 0
}

// put stores a document and returns its status.
func (s *store) put(d *doc, scripted int, now time.Time) int {
	s.c.Docs++
	if scripted != 0 {
		if scripted == 400 {
			s.c.Rejected++
		}
		return scripted
	}
	if d.id == nil {
		s.c.NoID++
	} else if !s.ids.add(maphash.Bytes(s.seed, d.id)) {
		if d.create {
			s.c.Conflicts++
			return 409
		}
		s.c.Replaced++ // index: the document is there once, as before
		return 200
	} else {
		s.c.IDs++
	}
	seq, ok := number(d.text, []byte("seq"))
	if !ok {
		s.c.NoSeq++
		return 201
	}
	for int(seq/64) >= len(s.seen) {
		s.seen = append(s.seen, make([]uint64, len(s.seen))...)
	}
	if bit := uint64(1) << (seq % 64); s.seen[seq/64]&bit != 0 {
		s.c.Doubled++
	} else {
		s.seen[seq/64] |= bit
		s.c.Unique++
		s.c.Highest = max(s.c.Highest, seq)
	}
	if t, ok := number(d.text, []byte(`t_ns`)); ok {
		wait := now.Sub(time.Unix(0, t))
		s.max = max(s.max, wait)
		s.waits[min(max(0, int(wait/(100*time.Microsecond))), len(s.waits)-1)]++
		s.waited++
	}
	return 201
}

// number finds the digits that follow a word, also where quotes, backslashes and colons are in between.
func number(text, word []byte) (int64, bool) {
	i := bytes.Index(text, word)
	if i < 0 {
		return 0, false
	}
	for i += len(word); i < len(text) && (text[i] < '0' || text[i] > '9'); i++ {
		if c := text[i]; c != '"' && c != '\\' && c != ':' && c != '=' && c != ' ' {
			return 0, false
		}
	}
	var n int64
	start := i
	for ; i < len(text) && text[i] >= '0' && text[i] <= '9'; i++ {
		n = n*10 + int64(text[i]-'0')
	}
	return n, i > start
}

func appendItem(out []byte, d *doc, status int, brief bool, f *fault) []byte {
	if brief {
		out = append(out, `{"create":{"status":`...)
	} else {
		out = append(out, `{"create":{"_index":"logs","_id":"`...)
		out = append(out, d.id...)
		out = append(out, `","_version":1,"result":"created","_shards":{"total":2,"successful":2,"failed":0},"_seq_no":1234567,"_primary_term":1,"status":`...)
	}
	out = strconv.AppendInt(out, int64(status), 10)
	switch {
	case status == 409:
		out = append(out, `,"error":{"type":"version_conflict_engine_exception","reason":"document already exists"}`...)
	case status == 400:
		out = append(out, `,"error":{"type":"document_parsing_exception","reason":"[1:2] failed to parse field [status] of type [long]"}`...)
	case status >= 300:
		out = append(out, `,"error":{"type":"es_rejected_execution_exception","reason":"rejected execution"}`...)
	case kind(f) == "huge":
		out = append(out, `,"padding":"`...)
		out = append(out, bytes.Repeat([]byte("x"), 2000)...)
		out = append(out, '"')
	}
	return append(out, `}}`...)
}

var errPairs = errors.New("lines do not come in pairs of action and document")

// split finds the documents of a request: pairs of lines for _bulk, single lines otherwise.
func (b *buffer) split(bulk bool) error {
	rest := b.data
	if bulk && (len(rest) == 0 || rest[len(rest)-1] != '\n') {
		return errors.New("the request does not end with a line end")
	}
	for len(rest) > 0 {
		var line []byte
		line, rest = cutLine(rest)
		d := doc{text: line}
		if bulk {
			switch {
			case bytes.HasPrefix(line, []byte(`{"create":{`)), bytes.HasPrefix(line, []byte(`{ "create": {`)):
				d.create = true
			case bytes.HasPrefix(line, []byte(`{"index":{`)), bytes.HasPrefix(line, []byte(`{"index": {`)), bytes.HasPrefix(line, []byte(`{ "index": {`)):
			default:
				return fmt.Errorf("%w: %.100q", errPairs, line)
			}
			d.id = idOf(line)
			if len(rest) == 0 {
				return errPairs
			}
			d.text, rest = cutLine(rest)
		}
		b.docs = append(b.docs, d)
	}
	return nil
}

// splitOTLP finds the numbered lines in a protobuf message, wherever they are: its length fields are left alone.
func (b *buffer) splitOTLP() {
	for rest := b.data; ; {
		i := bytes.Index(rest, []byte(`"seq":`))
		if i < 0 {
			return
		}
		rest = rest[i:]
		next := bytes.Index(rest[1:], []byte(`"seq":`))
		if next < 0 {
			next = len(rest) - 1
		}
		b.docs = append(b.docs, doc{text: rest[:next+1]})
		rest = rest[next+1:]
	}
}

func cutLine(data []byte) (line, rest []byte) {
	i := bytes.IndexByte(data, '\n')
	if i < 0 {
		return data, nil
	}
	return data[:i], data[i+1:]
}

func idOf(line []byte) []byte {
	_, after, ok := bytes.Cut(line, []byte(`"_id":`))
	if !ok {
		return nil
	}
	after = bytes.TrimLeft(after, ` "`)
	i := bytes.IndexByte(after, '"')
	if i < 0 {
		return nil
	}
	return after[:i]
}

// missing answers with the ranges of numbers, from 1 to that of the query, that were not stored: one a line, at most a hundred.
func (s *server) missing(w http.ResponseWriter, r *http.Request) {
	upto, err := strconv.ParseInt(r.URL.Query().Get("upto"), 10, 64)
	if err != nil {
		http.Error(w, "upto is no number", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	there := func(seq int64) bool {
		return int(seq/64) < len(s.stored.seen) && s.stored.seen[seq/64]&(1<<(seq%64)) != 0
	}
	for seq, n := int64(1), 0; seq <= upto && n < 100; seq++ {
		from := seq
		for seq <= upto && !there(seq) {
			seq++
		}
		if seq > from {
			n++
			fmt.Fprintf(w, "%d-%d\n", from, seq-1)
		}
	}
}

// set is a set of hashes.
type set struct {
	slots []uint64
	n     int
}

func newSet(expect int) set {
	size := 1 << 12
	for size < 2*expect {
		size *= 2
	}
	return set{slots: make([]uint64, size)}
}

// add returns false where h was there.
func (s *set) add(h uint64) bool {
	if h == 0 {
		h = 1
	}
	if s.n*2 > len(s.slots) {
		old := s.slots
		s.slots, s.n = make([]uint64, 2*len(old)), 0
		for _, v := range old {
			if v != 0 {
				s.add(v)
			}
		}
	}
	mask := uint64(len(s.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch s.slots[i] {
		case 0:
			s.slots[i] = h
			s.n++
			return true
		case h:
			return false
		}
	}
}
