package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// The two sites of the promises.
const (
	smallFiles, smallBytes = 3_000, 34_000_000
	largeFiles, largeBytes = 10_000, 118_000_000
)

// first measures a first sync at depth 1 into an empty folder.
func (b *bench) first() ([]row, error) {
	var rows []row
	for _, size := range []struct {
		files int
		bytes int64
	}{{smallFiles, smallBytes}, {largeFiles, largeBytes}} {
		if b.quick {
			size.files, size.bytes = size.files/20, size.bytes/20
		}
		s, url, err := b.serve(fmt.Sprintf("first-%d", size.files), size.files, size.bytes, 0)
		if err != nil {
			return nil, err
		}
		pairs, err := lab.Pairs(b.pairs, b.once(b.ours, url), b.once(b.peer, url))
		s.Close()
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("first sync, %d files / %d MB: ", size.files, size.bytes/1_000_000)
		cpu := compared(name+"CPU", pairs, "cpu", lab.MS)
		wall := compared(name+"wall", pairs, "wall", lab.MS)
		rss := compared(name+"peak RSS", pairs, "rss", lab.MB)
		if size.bytes == smallBytes {
			wall.floor, wall.target, wall.bounds = 1.3, 0.7, "1.3x / 0.7x"
		} else {
			rss.floor, rss.target, rss.bounds = 1.5, 1.0, "1.5x / 1.0x"
		}
		rows = append(rows, cpu, wall, rss)
	}
	return rows, nil
}

// compared is a row whose value is the ratio.
func compared(what string, pairs []lab.Pair, figure string, format func(float64) string) row {
	ours, peer, ratio := lab.Compare(pairs, figure)
	return row{what: what, ours: format(ours), peer: format(peer), ratio: lab.Ratio(ratio), value: ratio, floor: math.NaN()}
}

// once is one sync into a fresh folder, which is checked and removed.
func (b *bench) once(tool lab.Tool, url string) func() (lab.Sample, error) {
	return func() (lab.Sample, error) {
		root := filepath.Join(b.dir, "root")
		defer os.RemoveAll(root)
		u, err := lab.Measure(b.dir, tool.Once(url, root)...)
		if err != nil {
			return nil, err
		}
		if lab.Published(root) == "" {
			return nil, fmt.Errorf("%s ended well and published nothing", tool.Name)
		}
		return u.Sample(), nil
	}
}
