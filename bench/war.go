package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// warPeers unpack a war into an existing folder. The first is the one of the promise.
func warPeers() []struct {
	name string
	args func(war, to string) []string
} {
	return []struct {
		name string
		args func(war, to string) []string
	}{
		{"unzip -q", func(war, to string) []string { return []string{"unzip", "-q", war, "-d", to} }},
		{"busybox unzip -q", func(war, to string) []string { return []string{"busybox", "unzip", "-q", war, "-d", to} }},
		{"jar xf", func(war, to string) []string { return []string{"sh", "-c", `cd "$2" && jar xf "$1"`, "jar", war, to} }},
	}
}

// war explodes a web application, in memory and on the disk, and sees to it that all programs make the same files.
func (b *bench) war() ([]row, error) {
	size := int64(275_000_000) // 200 MB packed
	if b.quick {
		size /= 20
	}
	shm, err := os.MkdirTemp("/dev/shm", "bench-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(shm)
	var rows []row
	for _, place := range []struct{ name, dir string }{{"tmpfs", shm}, {"disk", filepath.Join(b.dir, "war")}} {
		if err := os.MkdirAll(place.dir, 0o755); err != nil {
			return nil, err
		}
		war := filepath.Join(place.dir, "app.war")
		files, packed, err := plantWar(war, size)
		if err != nil {
			return nil, err
		}
		ours := func(to string) []string {
			return []string{b.sidecar, "initcopy", "--admin=", "--log-level", "warn", "--manifest=off", "--unpack", war, to + "/"}
		}
		for i, peer := range warPeers() {
			what := fmt.Sprintf("war of %d files, %d MB, %s, beside %s: ", files, packed/1_000_000, place.name, peer.name)
			if _, err := exec.LookPath(map[bool]string{true: "jar", false: peer.args("", "")[0]}[peer.name == "jar xf"]); err != nil {
				rows = append(rows, info(what+"not installed", "-", "-", "-"))
				continue
			}
			if place.name == "disk" && i > 0 {
				continue // each run leaves its tree until the end, and the disk is not endless
			}
			pairs, err := b.explode(place.dir, ours, func(to string) []string { return peer.args(war, to) })
			if err != nil {
				return nil, err
			}
			wall := compared(what+"wall", pairs, "wall", lab.MS)
			if i == 0 {
				wall.floor, wall.target, wall.bounds = 1, 0.5, "1.0x / 0.5x"
			}
			rows = append(rows, wall, compared(what+"CPU", pairs, "cpu", lab.MS), compared(what+"peak RSS", pairs, "rss", lab.MB))
		}
		if err := os.RemoveAll(place.dir); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// explode measures two programs, each into a folder of its own, and compares what they made.
func (b *bench) explode(dir string, ours, peer func(to string) []string) ([]lab.Pair, error) {
	targets, err := os.MkdirTemp(dir, "to-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(targets)
	n, want := 0, ""
	run := func(args func(string) []string) func() (lab.Sample, error) {
		return func() (lab.Sample, error) {
			n++
			to := filepath.Join(targets, strconv.Itoa(n), "app")
			if err := os.MkdirAll(to, 0o755); err != nil {
				return nil, err
			}
			u, err := lab.Measure(b.dir, args(to)...)
			if err != nil {
				return nil, err
			}
			got, err := digestTree(to)
			if err != nil {
				return nil, err
			}
			if want == "" {
				want = got
			}
			if got != want {
				return nil, fmt.Errorf("%v made another tree", args(to))
			}
			if filepath.Dir(dir) == "/dev/shm" {
				err = os.RemoveAll(filepath.Dir(to)) // ext4 is slow around inodes that were just deleted; memory is not
			}
			return u.Sample(), err
		}
	}
	return lab.Pairs(b.pairs, run(ours), run(peer))
}

// digestTree is one digest of all names and contents below a folder.
func digestTree(root string) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %x\n", path[len(root):], sha256.Sum256(content))
		return nil
	})
	return fmt.Sprintf("%x", h.Sum(nil)), err
}

// plantWar writes a web application as they are: mostly jars, which hardly compress further, then classes, pages, and a few large
// files. size is what it comes to unpacked, roughly.
func plantWar(path string, size int64) (files int, packed int64, err error) {
	r := rand.New(rand.NewPCG(11, 7))
	bank := classes(r, 8<<20)
	piece := func(n int) []byte {
		at := r.IntN(len(bank) - n)
		return bank[at : at+n]
	}
	f, err := os.Create(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	z := zip.NewWriter(f)
	add := func(name string, content []byte) {
		if w, werr := z.Create(name); werr == nil {
			_, werr = w.Write(content)
			err, files = firstOf(err, werr), files+1
		}
	}
	for i, left := 0, size*55/100; left > 0; i++ {
		var jar bytes.Buffer
		j := zip.NewWriter(&jar)
		for n := int(min(left, int64(math.Exp(13.6+r.NormFloat64())))) + 50_000; n > 0 && jar.Len() < 20<<20; n -= 20_000 {
			w, werr := j.Create(fmt.Sprintf("com/example/C%d.class", n))
			if werr == nil {
				_, werr = w.Write(piece(40_000))
			}
			err = firstOf(err, werr)
		}
		err = firstOf(err, j.Close())
		add(fmt.Sprintf("WEB-INF/lib/lib%03d.jar", i), jar.Bytes())
		left -= int64(jar.Len())
	}
	for i := range int(size / 200_000) {
		add(fmt.Sprintf("WEB-INF/classes/com/example/p%d/C%d.class", i%40, i), piece(500+int(math.Exp(8.4+0.8*r.NormFloat64()))%100_000))
	}
	for i := range int(size / 500_000) {
		add(fmt.Sprintf("static/h%d/p%d.html", i%20, i), words(r, 500+int(math.Exp(9.4+r.NormFloat64()))%200_000))
	}
	for i := range 4 {
		add(fmt.Sprintf("static/big/asset%d.bin", i), classes(r, int(size/18)))
	}
	add("static/big/data.json", words(r, int(size/9)))
	if err = firstOf(err, z.Close()); err != nil {
		return 0, 0, err
	}
	packed, err = f.Seek(0, io.SeekEnd)
	return files, packed, err
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// classes is half text and half noise, as compiled code is.
func classes(r *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+1000)
	for len(b) < n {
		b = append(b, words(r, 50+r.IntN(350))...)
		for range 20 + r.IntN(130) {
			b = append(b, byte(r.Uint32()))
		}
		b = append(b, make([]byte, r.IntN(30))...)
	}
	return b[:n]
}

// words is markup with the words of a language, some of them often.
func words(r *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+40)
	for len(b) < n {
		w := uint64(r.ExpFloat64()*150) * 0x9e3779b97f4a7c15
		for range 2 + w>>60%9 {
			b = append(b, 'a'+byte(w>>52%26))
			w = w*6364136223846793005 + 1442695040888963407
		}
		if b = append(b, ' '); r.IntN(10) == 0 {
			b = fmt.Appendf(b, `<div class="x%d">`, r.IntN(100))
		}
	}
	return b[:n]
}
