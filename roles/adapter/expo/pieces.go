package expo

import (
	"unsafe"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Pieces is what Encode writes, without a copy: a piece for each family. It is nil if some family is no block of dialect d; then it takes Encode. The pieces must not be changed.
func Pieces(p *model.Page, d model.Dialect) [][]byte {
	var list [][]byte
	for i := range p.Families {
		f := &p.Families[i]
		if f.Block == "" || f.Dialect != d {
			return nil
		}
		b := unsafe.Slice(unsafe.StringData(f.Block), len(f.Block))
		list = append(list, b)
	}
	if d == model.OpenMetrics {
		list = append(list, []byte(eof))
	}
	return list
}
