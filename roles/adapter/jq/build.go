package jq

import "fmt"

// Builder makes a document of something other than JSON. Strings that it gets must not change. Every Object and Array needs its End, every member its Key before.
type Builder struct {
	p    parser
	open []frame
	err  error
}

type frame struct {
	node  int
	count uint32
}

// NewBuilder begins a document within lim, of which Bytes does not matter.
func NewBuilder(lim Limits) *Builder {
	return &Builder{p: parser{lim: lim.orDefault(), t: &tree{}}}
}

// Expect says how many parts the document will have, so that room for them is made at once; Parts of the one before is a good guess.
func (b *Builder) Expect(parts int) {
	b.p.t.nodes = make([]node, 0, parts)
	b.p.t.texts = make([]string, 0, parts)
}

// Parts is how many parts the document has so far: objects, lists, keys and values.
func (b *Builder) Parts() int { return len(b.p.t.nodes) }

func (b *Builder) add(n node, s string) {
	if b.err != nil {
		return
	}
	if len(b.p.t.nodes) >= b.p.lim.Nodes {
		b.err = fmt.Errorf("more than %d values", b.p.lim.Nodes)
		return
	}
	if n.kind == String || n.kind == Number {
		n.pos, n.size, n.flag = uint32(len(b.p.t.texts)), uint32(len(s)), inTexts
		b.p.t.texts = append(b.p.t.texts, s)
	}
	n.next = uint32(len(b.p.t.nodes) + 1)
	b.p.t.nodes = append(b.p.t.nodes, n)
}

func (b *Builder) item() {
	if n := len(b.open); n > 0 && b.p.t.nodes[b.open[n-1].node].kind == Array {
		b.open[n-1].count++
	}
}

// Object begins an object.
func (b *Builder) Object() { b.begin(Object) }

// Array begins a list.
func (b *Builder) Array() { b.begin(Array) }

func (b *Builder) begin(k Kind) {
	b.item()
	at := len(b.p.t.nodes)
	if b.add(node{kind: k}, ""); b.err == nil {
		b.open = append(b.open, frame{node: at})
	}
}

// Key begins a member. Of equal keys the last counts.
func (b *Builder) Key(key string) {
	if b.add(node{kind: String}, key); b.err == nil {
		b.open[len(b.open)-1].count++
	}
}

// Text adds a text, which is a number if it is written as JSON writes those.
func (b *Builder) Text(s string) {
	b.item()
	k := String
	if IsNumber(s) {
		k = Number
	}
	b.add(node{kind: k}, s)
}

// End ends what was begun last.
func (b *Builder) End() {
	if b.err != nil || len(b.open) == 0 {
		return
	}
	f := b.open[len(b.open)-1]
	b.open = b.open[:len(b.open)-1]
	t := b.p.t
	t.nodes[f.node].next = uint32(len(t.nodes))
	if t.nodes[f.node].kind == Object {
		k := f.node + 1
		for range f.count {
			t.nodes[k].next = t.nodes[k+1].next
			k = int(t.nodes[k].next)
		}
		f.count -= b.p.dedupe(f.node+1, f.count)
	}
	t.nodes[f.node].size = f.count
}

// Doc is the document, or why there is none.
func (b *Builder) Doc() (Doc, error) {
	if b.err != nil {
		return Doc{}, b.err
	}
	if len(b.p.t.nodes) == 0 {
		b.add(node{}, "")
	}
	return Doc{b.p.t}, nil
}
