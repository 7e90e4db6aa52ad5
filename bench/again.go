package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// again runs copies once more when nothing changed, beside peers that go by length and time alone.
func (b *bench) again() ([]row, error) {
	files, size := copyFiles, int64(copyBytes)
	if b.quick {
		files, size = files/20, size/20
	}
	dir, err := os.MkdirTemp("/dev/shm", "bench-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	from, ours := filepath.Join(dir, "from"), filepath.Join(dir, "ours")
	if err := plantTree(from, files, size); err != nil {
		return nil, err
	}
	command := b.initcopy().tree(from, ours)
	if _, err := lab.Measure(b.dir, command...); err != nil {
		return nil, err
	}
	before, err := stateOf(dir)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, peer := range []copier{
		{"cp -au", func(from, to string) []string { return []string{"cp", "-auT", from, to} }},
		{"rsync -a", func(from, to string) []string { return []string{"rsync", "-a", from + "/", to} }},
	} {
		what := fmt.Sprintf("%d unchanged files, tmpfs, beside %s: ", files, peer.name)
		if _, err := exec.LookPath(peer.args("", "")[0]); err != nil {
			rows = append(rows, info(what+"not installed", "-", "-", "-"))
			continue
		}
		theirs := dir + "-" + peer.name[:2] // beside dir, whose state is compared
		defer os.RemoveAll(theirs)
		if _, err := lab.Measure(b.dir, peer.args(from, theirs)...); err != nil {
			return nil, err
		}
		run := func(args []string) func() (lab.Sample, error) {
			return func() (lab.Sample, error) {
				u, err := lab.Measure(b.dir, args...)
				return u.Sample(), err
			}
		}
		pairs, err := lab.Pairs(2*b.pairs, run(command), run(peer.args(from, theirs)))
		if err != nil {
			return nil, err
		}
		wall := compared(what+"wall", pairs, "wall", lab.MS)
		if len(rows) == 0 {
			wall.floor, wall.target, wall.bounds = 1, 0.7, "1.0x / 0.7x"
		}
		rows = append(rows, wall, compared(what+"CPU", pairs, "cpu", lab.MS))
	}
	after, err := stateOf(dir)
	if err != nil {
		return nil, err
	}
	writes := row{what: "writes of all these runs, as inodes, lengths and times tell", ours: "0", peer: "-", ratio: "-", bounds: "0"}
	if before != after {
		writes.ours, writes.value = "some", 1
	}
	return append(rows, writes), nil
}

// stateOf is what the kernel says of everything below a folder, times of change included.
func stateOf(dir string) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return err
		}
		fmt.Fprintln(h, path, st.Ino, st.Mode, st.Size, st.Mtim, st.Ctim)
		return nil
	})
	return string(h.Sum(nil)), err
}
