package main

import (
	"bufio"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// The tree and the file of the copying promises.
const (
	copyFiles, copyBytes = 20_000, 173_000_000
	bigBytes             = 1 << 30
)

// copier is a program that copies; the arguments are made for a source and a target that does not exist.
type copier struct {
	name string
	args func(from, to string) []string
}

func (b *bench) initcopy(more ...string) copier {
	return copier{"sidecar", func(from, to string) []string {
		return append(append([]string{b.sidecar, "initcopy", "--admin=", "--log-level", "warn"}, more...), from, to)
	}}
}

// tree copies the content of a folder.
func (c copier) tree(from, to string) []string { return c.args(from+"/", to+"/") }

func treePeers() []copier {
	return []copier{
		{"cp -a", func(from, to string) []string { return []string{"cp", "-a", from, to} }},
		{"rsync -a", func(from, to string) []string { return []string{"rsync", "-a", from + "/", to} }},
		{"busybox cp -a", func(from, to string) []string { return []string{"busybox", "cp", "-a", from, to} }},
		{"tar to tar", func(from, to string) []string {
			return []string{"sh", "-c", `mkdir "$2" && tar -C "$1" -cf - . | tar -C "$2" -xpf -`, "tar", from, to}
		}},
	}
}

// small copies a tree of small files, beside each peer, in memory and on the disk.
func (b *bench) small() ([]row, error) {
	files, size := copyFiles, int64(copyBytes)
	if b.quick {
		files, size = files/20, size/20
	}
	shm, err := os.MkdirTemp("/dev/shm", "bench-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(shm)
	var rows []row
	for _, place := range []struct{ name, dir string }{{"tmpfs", shm}, {"disk", filepath.Join(b.dir, "small")}} {
		from := filepath.Join(place.dir, "from")
		if err := plantTree(from, files, size); err != nil {
			return nil, err
		}
		for i, peer := range treePeers() {
			what := fmt.Sprintf("%d files, %d MB, %s, beside %s: ", files, size/1_000_000, place.name, peer.name)
			if _, err := exec.LookPath(peer.args("", "")[0]); err != nil {
				rows = append(rows, info(what+"not installed", "-", "-", "-"))
				continue
			}
			if place.name == "disk" && i > 1 {
				continue // each run leaves its tree until the end, and the disk is not endless
			}
			pairs, err := b.copies(place.dir, func(to string) []string { return b.initcopy().tree(from, to) },
				func(to string) []string { return peer.args(from, to) })
			if err != nil {
				return nil, err
			}
			wall, cpu := compared(what+"files/s", pairs, "wall", perSecond(files)), compared(what+"CPU", pairs, "cpu", lab.MS)
			wall.what, wall.ratio = what+"files/s, and the ratio of the times", lab.Ratio(wall.value)
			switch i {
			case 0:
				wall.floor, wall.target, wall.bounds = 1, 1/1.4, "1.0x / 0.71x"
			case 1:
				wall.floor, wall.target, wall.bounds = 1/2.5, 1/3.5, "0.40x / 0.29x"
			}
			rows = append(rows, wall, cpu)
		}
	}
	return rows, nil
}

func perSecond(files int) func(float64) string {
	return func(seconds float64) string { return strconv.Itoa(int(math.Round(float64(files)/seconds/100)) * 100) }
}

// copies measures two copies into fresh targets. The targets are removed at the end: ext4 is slow around inodes that were
// just deleted. In memory they are removed at once.
func (b *bench) copies(dir string, ours, peer func(to string) []string) ([]lab.Pair, error) {
	targets, err := os.MkdirTemp(dir, "to-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(targets)
	n := 0
	run := func(args func(string) []string) func() (lab.Sample, error) {
		return func() (lab.Sample, error) {
			n++
			to := filepath.Join(targets, strconv.Itoa(n), "copy")
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return nil, err
			}
			u, err := lab.Measure(b.dir, args(to)...)
			if err != nil {
				return nil, err
			}
			if fi, err := os.Lstat(to); err != nil || !fi.IsDir() || filepath.Dir(dir) == "/dev/shm" {
				if err := os.RemoveAll(filepath.Dir(to)); err != nil {
					return nil, err
				}
			}
			return u.Sample(), nil
		}
	}
	return lab.Pairs(b.pairs, run(ours), run(peer))
}

// big copies one large file.
func (b *bench) big() ([]row, error) {
	size := int64(bigBytes)
	if b.quick {
		size /= 16
	}
	dir := filepath.Join(b.dir, "big")
	from := filepath.Join(dir, "from")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := plantFile(from, size); err != nil {
		return nil, err
	}
	var rows []row
	for _, c := range []struct{ name, flag string }{{"no digest", "--digest=none"}, {"sha256", "--digest=sha256"}} {
		pairs, err := b.copies(dir, func(to string) []string { return b.initcopy(c.flag, "--manifest=off").args(from, to) },
			func(to string) []string { return []string{"cp", from, to} })
		if err != nil {
			return nil, err
		}
		what := fmt.Sprintf("one file of %d MB, %s: ", size>>20, c.name)
		for _, figure := range []struct{ name, key string }{{"CPU", "cpu"}, {"wall, with fsync beside cp without", "wall"}} {
			r := compared(what+figure.name, pairs, figure.key, lab.MS)
			r.floor, r.target, r.bounds = 1.2, 1, "1.2x / 1.0x"
			rows = append(rows, r)
		}
		ours, _, _ := lab.Compare(pairs, "rss")
		rows = append(rows, info(what+"peak RSS", lab.MB(ours), "-", "-"))
	}
	return rows, nil
}

func plantFile(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	r, block := rand.NewChaCha8([32]byte{7}), make([]byte, 1<<16)
	for left := size; left > 0; left -= int64(len(block)) {
		block = block[:min(left, int64(len(block)))]
		_, _ = r.Read(block)
		if _, err := w.Write(block); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Sync()
}

// plantTree makes files of lengths as they are found in software: most are a few kilobytes, a few are hundreds.
func plantTree(root string, files int, total int64) error {
	r := rand.New(rand.NewPCG(7, 7))
	lengths, sum := make([]float64, files), 0.0
	for i := range lengths {
		lengths[i] = math.Min(2e6, math.Exp(7.6+1.5*r.NormFloat64()))
		sum += lengths[i]
	}
	dirs := []string{root}
	for i := range files / 14 {
		parent := dirs[r.IntN(len(dirs))]
		dirs = append(dirs, filepath.Join(parent, fmt.Sprintf("%s-%d", []string{"lib", "src", "test", "node", "pkg"}[r.IntN(5)], i)))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	content := make([]byte, 4<<20)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(content)
	for i, length := range lengths {
		n := int(length / sum * float64(total))
		at := r.IntN(len(content) - min(n, len(content)-1))
		name := filepath.Join(dirs[r.IntN(len(dirs))], fmt.Sprintf("file-%d.%s", i, []string{"js", "class", "txt"}[r.IntN(3)]))
		if err := os.WriteFile(name, content[at:min(at+n, len(content))], []os.FileMode{0o644, 0o644, 0o644, 0o755, 0o600}[r.IntN(5)]); err != nil {
			return err
		}
	}
	return nil
}
