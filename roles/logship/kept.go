package logship

import (
	"io/fs"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/keep"
)

// kept is what housekeeping has to know of the files.
func (w *works) kept() []keep.File {
	var list []keep.File
	for _, f := range w.set.Files() {
		low := w.store.Low(f.Gen)
		known, _ := w.store.Gen(f.Gen)
		list = append(list, keep.File{
			Input: f.Input, Path: f.Now, Gen: f.Gen, Size: f.Size, Low: low, Rotated: f.Over || f.Now != f.Path, Plain: f.Compressed == "",
			Found: time.Unix(0, known.Made), Grew: f.Grown, Same: func(info fs.FileInfo) bool { return w.set.Is(f.Gen, info) },
		})
	}
	return list
}
