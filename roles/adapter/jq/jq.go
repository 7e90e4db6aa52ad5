// Package jq asks questions of JSON documents, in the language of jq. A body is parsed once, into a flat list of nodes that point into it; any
// number of queries then run on that. Simple paths (.a.b[0], .pools[], .["x"]?, to_entries[], pipes of such, a comparison with a constant) are walked
// on the nodes; all else runs in gojq, for which the part that is asked is turned into Go values.
//
// It promises bounds: of bytes, depth and values of a document, of steps and results of a query. No query reads the environment, other
// inputs, files or modules. Not for changing documents in place. Used by jsonmap, textmap, shape, compat/jsonexporter and the checks.
package jq

import (
	"fmt"
	"strconv"
	"unsafe"
)

// Kind is what a value is.
type Kind uint8

// The kinds.
const (
	Null Kind = iota
	False
	True
	Number
	String
	Array
	Object
)

// String is the word of jq's function type.
func (k Kind) String() string {
	return [...]string{"null", "boolean", "boolean", "number", "string", "array", "object"}[k]
}

// Limits bound a document. 0 stands for the default.
type Limits struct {
	Bytes int // of the body; 64 MiB
	Depth int // of lists and objects within each other; 512
	Nodes int // values and keys; 2,000,000, which take 32 MB
}

func (l Limits) orDefault() Limits {
	if l.Bytes == 0 {
		l.Bytes = 64 << 20
	}
	if l.Depth == 0 {
		l.Depth = 512
	}
	if l.Nodes == 0 {
		l.Nodes = 2_000_000
	}
	return l
}

// node is a value, or a key, which is a string in front of its value. Children follow their parent.
type node struct {
	pos  uint32 // where the text is in the body; with inTexts: which of texts
	size uint32 // bytes of the text; children of a list or an object
	next uint32 // the node after this one and all below it; of a key: the next key
	kind Kind
	flag uint8
}

const (
	inTexts uint8 = 1 << iota // the text is not as in the body
	dead                      // a key that is there again later: the last counts
)

type tree struct {
	body  string
	nodes []node
	texts []string

	root   any // the whole as gojq has it, when a query asked for that
	rooted bool
	last   any // the part that was turned last: several queries ask the same one
	lastAt uint32

	hops int // from member to member, and item to item, that no run was charged for

	list, item, number uint32 // of which list which item is which node: queries ask for neighbours
}

// Doc is a document that was read. Strings of its values are parts of the body, which must not change. It is for one goroutine at a time.
type Doc struct{ t *tree }

// Root is the whole document.
func (d Doc) Root() Value { return Value{t: d.t} }

// Parse reads a JSON text. NaN, Infinity and -Infinity, which some encoders write, are numbers; of equal keys the last counts; halves of surrogate pairs become U+FFFD. What is no JSON, or exceeds
// lim, is an error that names line and column.
func Parse(body []byte, lim Limits) (Doc, error) {
	lim = lim.orDefault()
	if len(body) > lim.Bytes {
		return Doc{}, fmt.Errorf("the document has %d bytes, more than the limit of %d", len(body), lim.Bytes)
	}
	p := parser{lim: lim, t: &tree{body: text(body), nodes: make([]node, 0, min(len(body)/8+8, lim.Nodes))}}
	if err := p.document(); err != nil {
		return Doc{}, err
	}
	return Doc{p.t}, nil
}

// text is b as a string, without a copy: the contract of Parse is that a body never changes, and a copy would double what a scrape takes.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// word is the text of a string or a number.
func (t *tree) word(n *node) string {
	if n.flag&inTexts != 0 {
		return t.texts[n.pos]
	}
	return t.body[n.pos : n.pos+n.size]
}

// where is the line and column of a byte.
func where(body string, at int) string {
	line, start := 1, 0
	for i := range min(at, len(body)) {
		if body[i] == '\n' {
			line, start = line+1, i+1
		}
	}
	return "line " + strconv.Itoa(line) + ", column " + strconv.Itoa(at-start+1)
}
