package expo

import (
	"unsafe"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Pieces is what Encode writes, without a copy: blocks that follow each other in the page's body are one piece, every other one is its own. It is nil if some family is no block of dialect d; then it takes
// Encode. The pieces must not be changed.
func Pieces(p *model.Page, d model.Dialect) [][]byte {
	var list [][]byte
	start, end := -1, -1 // of the last piece in the body
	for i := range p.Families {
		f := &p.Families[i]
		if f.Block == "" || f.Dialect != d {
			return nil
		}
		at := within(p.Body, f.Block)
		if at >= 0 && at == end {
			end += len(f.Block)
			list[len(list)-1] = raw(p.Body[start:end])
			continue
		}
		list = append(list, raw(f.Block))
		start, end = at, at+len(f.Block)
		if at < 0 {
			end = -1
		}
	}
	if d == model.OpenMetrics {
		list = append(list, []byte(eof))
	}
	return list
}

// within is where part lies in text, of which it was cut; -1 when it lies elsewhere.
func within(text, part string) int {
	at := uintptr(unsafe.Pointer(unsafe.StringData(part))) - uintptr(unsafe.Pointer(unsafe.StringData(text))) // wraps around where part lies before
	if text == "" || at > uintptr(len(text)) || uintptr(len(part)) > uintptr(len(text))-at {
		return -1
	}
	return int(at)
}

func raw(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
