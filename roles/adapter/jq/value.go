package jq

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// Value is a part of a document, or what a query computed. The zero Value is null.
type Value struct {
	t     *tree
	i     uint32
	entry bool // an object {"key": ..., "value": ...} that to_entries made; i is the key
	count bool // when t is nil: the number i, which an any would have to allocate
	v     any  // when t is nil: what gojq works with
}

// Of is a value made in Go: nil, bool, int, float64, string, []any or map[string]any of these.
func Of(v any) Value { return Value{v: v} }

// Kind is what the value is.
func (v Value) Kind() Kind {
	if v.entry {
		return Object
	}
	if v.t != nil {
		return v.t.nodes[v.i].kind
	}
	switch x := v.v.(type) {
	case nil:
		if v.count {
			return Number
		}
		return Null
	case bool:
		if x {
			return True
		}
		return False
	case string:
		return String
	case []any:
		return Array
	case map[string]any:
		return Object
	}
	return Number
}

// Str is the text of a string.
func (v Value) Str() (string, bool) {
	if v.t == nil {
		s, ok := v.v.(string)
		return s, ok
	}
	n := &v.t.nodes[v.i]
	if n.kind != String || v.entry {
		return "", false
	}
	return v.t.word(n), true
}

// Number is the number and, when a document has it, its text as it is there; "" when it was computed.
func (v Value) Number() (f float64, text string, ok bool) {
	if v.count {
		return float64(v.i), strconv.Itoa(int(v.i)), true
	}
	if v.t == nil {
		switch x := v.v.(type) {
		case float64:
			return x, "", true
		case int:
			return float64(x), strconv.Itoa(x), true
		case json.Number:
			f, _ = gojq.ToFloat64(x)
			return f, string(x), true
		case *big.Int:
			f, _ = gojq.ToFloat64(x)
			return f, x.String(), true
		}
		return 0, "", false
	}
	n := &v.t.nodes[v.i]
	if n.kind != Number || v.entry {
		return 0, "", false
	}
	text = v.t.word(n)
	return float(text), text, true
}

// float is what the text of a number is worth, infinite when that is out of range.
func float(text string) float64 {
	if len(text) < 16 { // whole numbers are most, and need no rounding
		n, i, neg := int64(0), 0, false
		if text[0] == '-' {
			i, neg = 1, true
		}
		for ; i < len(text) && text[i] >= '0' && text[i] <= '9'; i++ {
			n = n*10 + int64(text[i]-'0')
		}
		if i == len(text) && (n != 0 || !neg) {
			if neg {
				n = -n
			}
			return float64(n)
		}
	}
	f, _ := strconv.ParseFloat(text, 64)
	return f
}

// Text is the value as a label has it: strings as they are, numbers as they are written, true and false, "" for null, JSON for the rest.
func (v Value) Text() string {
	switch v.Kind() {
	case Null:
		return ""
	case False:
		return "false"
	case True:
		return "true"
	case String:
		s, _ := v.Str()
		return s
	case Number:
		f, text, _ := v.Number()
		if text == "" {
			return formatFloat(f)
		}
		return text
	}
	return string(v.AppendJSON(nil))
}

func formatFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "+Inf"
	case math.IsInf(f, -1):
		return "-Inf"
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// Truthy is whether the value is neither null nor false.
func (v Value) Truthy() bool {
	k := v.Kind()
	return k != Null && k != False
}

// Len is the number of items or members; 0 for all else.
func (v Value) Len() int {
	if v.entry {
		return 2
	}
	if v.t != nil {
		if n := &v.t.nodes[v.i]; n.kind >= Array {
			return int(n.size)
		}
		return 0
	}
	switch x := v.v.(type) {
	case []any:
		return len(x)
	case map[string]any:
		return len(x)
	}
	return 0
}

// Get is the member of an object; ok is false when there is none, or v is no object.
func (v Value) Get(key string) (member Value, ok bool) {
	if v.t == nil {
		m, _ := v.v.(map[string]any)
		x, ok := m[key]
		return Value{v: x}, ok
	}
	if v.entry {
		switch key {
		case "key":
			return Value{t: v.t, i: v.i}, true
		case "value":
			return Value{t: v.t, i: v.i + 1}, true
		}
		return Value{}, false
	}
	t := v.t
	n := &t.nodes[v.i]
	if n.kind != Object {
		return Value{}, false
	}
	for k := v.i + 1; k < n.next; {
		e := &t.nodes[k]
		t.hops++
		if e.flag == 0 {
			if int(e.size) == len(key) && t.body[e.pos:e.pos+e.size] == key {
				return Value{t: t, i: k + 1}, true
			}
		} else if e.flag&dead == 0 && t.word(e) == key {
			return Value{t: t, i: k + 1}, true
		}
		k = e.next
	}
	return Value{}, false
}

// At is the item of a list, from the end when i is negative; ok is false when there is none.
func (v Value) At(i int) (item Value, ok bool) {
	n := v.Len()
	if v.Kind() != Array || i >= n || i < -n {
		return Value{}, false
	}
	if i < 0 {
		i += n
	}
	if v.t == nil {
		return Value{v: v.v.([]any)[i]}, true
	}
	t := v.t
	k, from := v.i+1, 0
	if t.number != 0 && t.list == v.i && int(t.item) <= i {
		k, from = t.number, int(t.item)
	}
	t.hops += i - from
	for range i - from {
		k = t.nodes[k].next
	}
	t.list, t.item, t.number = v.i, uint32(i), k
	return Value{t: t, i: k}, true
}

// Each calls fn with every item of a list or member of an object until it returns false. The key is a number or a string. Members come in the order of the
// document, those of a computed object by key.
func (v Value) Each(fn func(key, item Value) bool) {
	switch {
	case v.t == nil:
		v.eachComputed(fn)
	case v.entry:
		_ = fn(Value{v: "key"}, Value{t: v.t, i: v.i}) && fn(Value{v: "value"}, Value{t: v.t, i: v.i + 1})
	case v.Kind() == Array:
		end := v.t.nodes[v.i].next
		for k, i := v.i+1, 0; k < end; k, i = v.t.nodes[k].next, i+1 {
			if !fn(Value{count: true, i: uint32(i)}, Value{t: v.t, i: k}) {
				return
			}
		}
	case v.Kind() == Object:
		end := v.t.nodes[v.i].next
		for k := v.i + 1; k < end; k = v.t.nodes[k].next {
			if v.t.nodes[k].flag&dead == 0 && !fn(Value{t: v.t, i: k}, Value{t: v.t, i: k + 1}) {
				return
			}
		}
	}
}

func (v Value) eachComputed(fn func(key, item Value) bool) {
	switch x := v.v.(type) {
	case []any:
		for i, item := range x {
			if !fn(Value{count: true, i: uint32(i)}, Value{v: item}) {
				return
			}
		}
	case map[string]any:
		for _, k := range sortedKeys(x) {
			if !fn(Value{v: k}, Value{v: x[k]}) {
				return
			}
		}
	}
}

// Any is the value as gojq works with it: nil, bool, int, float64, json.Number for whole numbers that are longer, string, []any, map[string]any. It must not be changed.
func (v Value) Any() any {
	t := v.t
	switch {
	case v.count:
		return int(v.i)
	case t == nil:
		return v.v
	case v.entry:
		return map[string]any{"key": t.word(&t.nodes[v.i]), "value": Value{t: t, i: v.i + 1}.Any()}
	case t.nodes[v.i].kind < Array:
		return t.any(v.i)
	case v.i == 0:
		if !t.rooted {
			t.root, t.rooted = t.any(0), true
		}
		return t.root
	case t.lastAt != v.i:
		t.last, t.lastAt = t.any(v.i), v.i
	}
	return t.last
}

func (t *tree) any(i uint32) any {
	n := &t.nodes[i]
	switch n.kind {
	case False, True:
		return n.kind == True
	case String:
		return t.word(n)
	case Number:
		return number(t.word(n))
	case Array:
		list := make([]any, 0, n.size)
		for k := i + 1; k < n.next; k = t.nodes[k].next {
			list = append(list, t.any(k))
		}
		return list
	case Object:
		m := make(map[string]any, n.size)
		for k := i + 1; k < n.next; k = t.nodes[k].next {
			if t.nodes[k].flag&dead == 0 {
				m[t.word(&t.nodes[k])] = t.any(k + 1)
			}
		}
		return m
	}
	return nil
}

func number(text string) any {
	if strings.ContainsAny(text, ".eEN") || strings.HasSuffix(text, "y") || text == "-0" {
		return float(text)
	}
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return json.Number(text)
}
