package main

import (
	"archive/zip"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
)

// newCase makes two versions of something, and the commands that copy each.
func newCase(name string, o options) (*testCase, error) {
	dir, err := os.MkdirTemp(o.dir, "killcopy-*")
	if err != nil {
		return nil, err
	}
	binary, err := filepath.Abs(o.binary)
	if err != nil {
		return nil, err
	}
	c := &testCase{name: name, dir: dir, volume: filepath.Join(dir, "volume")}
	if err := os.Mkdir(c.volume, 0o755); err != nil {
		return nil, err
	}
	for v := range 2 {
		src := filepath.Join(dir, "version-"+strconv.Itoa(v))
		var args []string
		switch name {
		case "file":
			c.visible = filepath.Join(c.volume, "sample.war")
			src = filepath.Join(src, "sample.war")
			c.want[v], err = makeFile(src, o.mib<<20, v)
			args = []string{src, c.volume}
		case "tree":
			c.visible = filepath.Join(c.volume, "app")
			c.want[v], err = makeTree(src, o.files, v)
			args = []string{src + "/", c.visible}
		case "war":
			c.visible = filepath.Join(c.volume, "app")
			c.want[v], err = makeTree(src, o.files/10, v)
			if err == nil {
				err = makeWar(src+".war", src)
			}
			args = []string{"--unpack", src + ".war", c.visible}
		case "self":
			c.visible = filepath.Join(c.volume, "sidecar")
			src = filepath.Join(src, "sidecar")
			c.want[v], err = makeProgram(src, binary, v)
			args = []string{"--self", c.visible}
		}
		if err != nil {
			return nil, err
		}
		c.command[v] = append([]string{binary, "initcopy", "--log-level", "debug"}, args...)
		if name == "self" {
			c.command[v][0] = src
		}
		if o.tool == "cp" {
			c.command[v] = []string{"cp", "-a", src, c.visible}
			if name == "tree" {
				c.command[v] = []string{"cp", "-aT", src, c.visible}
			}
		}
	}
	return c, nil
}

func (c *testCase) names() []string {
	if c.list == nil {
		for name := range c.want[0] {
			c.list = append(c.list, name)
		}
	}
	return c.list
}

// content is what a file of a version holds: different in every byte from the other version.
func content(rng *rand.Rand, size int) []byte {
	data := make([]byte, size)
	for i := 0; i+8 <= size; i += 8 {
		n := rng.Uint64()
		for b := range 8 {
			data[i+b] = byte(n >> (8 * b))
		}
	}
	return data
}

func write(path string, data []byte, mode os.FileMode) (string, error) {
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, mode))
	return fmt.Sprintf("%x", sha256.Sum256(data)), err
}

func makeFile(path string, size, version int) (map[string]string, error) {
	sum, err := write(path, content(rand.New(rand.NewPCG(uint64(version), 3)), size), 0o644)
	return map[string]string{"": sum}, err
}

// makeTree makes files of 200 bytes to 16 KB. Each differs between the versions.
func makeTree(dir string, files, version int) (map[string]string, error) {
	rng := rand.New(rand.NewPCG(uint64(version), 4))
	want := map[string]string{}
	for n := range files {
		name := filepath.Join("lib", fmt.Sprintf("package-%03d", n/100), fmt.Sprintf("file-%05d", n))
		if n == 0 {
			name = "WEB-INF/web.xml"
		}
		size := 200 + rng.IntN(1000)
		if n%20 == 0 {
			size = 16 << 10
		}
		sum, err := write(filepath.Join(dir, name), content(rng, size), 0o644)
		if err != nil {
			return nil, err
		}
		want[name] = sum
	}
	return want, nil
}

func makeWar(path, dir string) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	w := zip.NewWriter(out)
	return errors.Join(w.AddFS(os.DirFS(dir)), w.Close(), out.Close())
}

// makeProgram makes a program of a version: bytes after the end of an executable do not matter to it.
func makeProgram(path, binary string, version int) (map[string]string, error) {
	data, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	sum, err := write(path, append(data, []byte(fmt.Sprint("version ", version))...), 0o755)
	return map[string]string{"": sum}, err
}
