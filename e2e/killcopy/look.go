package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

func digestOf(f io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

func digestFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return digestOf(f)
}

// whole tells whether what is visible is all of a version, and nothing else.
func (c *testCase) whole(v int) error {
	fi, err := os.Stat(c.visible)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		got, err := digestFile(c.visible)
		if err == nil && got != c.want[v][""] {
			err = fmt.Errorf("%s is not version %d: %d bytes", c.visible, v, fi.Size())
		}
		return err
	}
	seen := 0
	err = filepath.WalkDir(c.visible, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(c.visible, path)
		if err != nil {
			return err
		}
		got, err := digestFile(path)
		if err != nil {
			return err
		}
		if got != c.want[v][rel] {
			return fmt.Errorf("%s is not version %d", rel, v)
		}
		seen++
		return nil
	})
	if err == nil && seen != len(c.want[v]) {
		err = fmt.Errorf("%d files of version %d; want %d", seen, v, len(c.want[v]))
	}
	return err
}

// look is a reader that comes by at any moment: it opens the visible name once, and what it reads through that must be of
// one version. A tree that is replaced while it is read may lose its files, but never has others.
func (c *testCase) look(rng *rand.Rand) error {
	f, err := os.Open(c.visible)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("the name is gone")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		got, err := digestOf(f)
		if err == nil && got != c.want[0][""] && got != c.want[1][""] {
			err = fmt.Errorf("neither version: %d bytes", fi.Size())
		}
		return err
	}
	return c.lookInside(f, rng)
}

// lookInside reads a dozen files of a tree by one handle.
func (c *testCase) lookInside(dir *os.File, rng *rand.Rand) error {
	root, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()))
	if err != nil {
		return err
	}
	defer root.Close()
	possible := [2]bool{true, true}
	for range 12 {
		name := c.names()[rng.IntN(len(c.names()))]
		f, err := root.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return c.goneOr(root)
		}
		if err != nil {
			return err
		}
		got, err := digestOf(f)
		_ = f.Close()
		if err != nil {
			return err
		}
		for v := range 2 {
			possible[v] = possible[v] && c.want[v][name] == got
		}
		if !possible[0] && !possible[1] {
			return fmt.Errorf("%s does not fit to what was read before it", name)
		}
	}
	return nil
}

// goneOr excuses a missing file when the tree is no longer the visible one.
func (c *testCase) goneOr(root *os.Root) error {
	held, err := root.Stat(".")
	if err != nil {
		return nil // removed altogether
	}
	now, err := os.Stat(c.visible)
	if err == nil && os.SameFile(held, now) {
		return errors.New("a file is missing in the visible tree")
	}
	return err
}
