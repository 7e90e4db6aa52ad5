package layers

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// layer is what a layer names: a name that ends with a slash is a folder, content that begins with "->" a link.
type layer map[string]string

// unpacked is what an unpacker makes of a layer: folders on the way are made, too.
func unpacked(l layer, take func(string, bool) bool) (items []item.Item, files map[string]string) {
	files = map[string]string{}
	takes := func(name string, dir bool) bool {
		parts := strings.Split(name, "/")
		for i := 1; i < len(parts); i++ {
			if !take(strings.Join(parts[:i], "/"), true) {
				return false
			}
		}
		return take(name, dir)
	}
	for name, content := range l {
		dir := strings.HasSuffix(name, "/")
		name = strings.TrimSuffix(name, "/")
		if !takes(name, dir) {
			continue
		}
		if dir {
			content = "/"
		}
		files[name] = content
		for up := path.Dir(name); up != "."; up = path.Dir(up) {
			files[up] = "/"
		}
	}
	for name, content := range files {
		it := item.Item{Path: name, Kind: item.File}
		if content == "/" {
			it.Kind = item.Dir
		}
		if link, ok := strings.CutPrefix(content, "->"); ok {
			it.Kind, it.Link = item.Symlink, link
		}
		items = append(items, it)
	}
	slices.SortFunc(items, func(a, b item.Item) int { return item.Compare(a.Path, b.Path) })
	return items, files
}

// build puts layers together, the lowest first, and returns what is there and how many layers were read.
func build(want string, tree bool, layers ...layer) (map[string]string, int, error) {
	b := New(want, tree)
	got, read := map[string]string{}, 0
	for _, l := range slices.Backward(layers) {
		if b.Complete() {
			break
		}
		read++
		b.Begin()
		items, files := unpacked(l, b.Take)
		err := b.Add(items, func(from, to string) error {
			for name, content := range files {
				if rest, ok := strings.CutPrefix(name, from); ok && (rest == "" || rest[0] == '/') {
					if old, twice := got[to+rest]; twice {
						return fmt.Errorf("%s replaces %q", to+rest, old)
					}
					got[to+rest] = content
				}
			}
			return nil
		}, func(name string) error { delete(got, name); return nil })
		if err != nil {
			return nil, read, err
		}
	}
	items, err := b.Items()
	if err != nil {
		return nil, read, err
	}
	names := map[string]bool{}
	for _, it := range items {
		if _, there := got[it.Path]; !there && it.Path != "." {
			return nil, read, fmt.Errorf("%s is listed and not there", it.Path)
		}
		names[it.Path] = true
	}
	for name := range got {
		if !names[name] {
			return nil, read, fmt.Errorf("%s is there and not listed", name)
		}
	}
	return got, read, nil
}

func TestLayers(t *testing.T) {
	tests := []struct {
		name   string
		want   string
		tree   bool
		layers []layer
		has    string // "name=content ...", or the begin of an error
		read   int
	}{
		{"a file of the upper layer", "app/x", false, []layer{{"app/x": "old"}, {"app/x": "new"}}, "x=new", 1},
		{"a file of the lower layer", "app/x", false, []layer{{"app/x": "old"}, {"app/y": "new"}}, "x=old", 2},
		{"a file that is gone", "app/x", false, []layer{{"app/x": "old"}, {"app/.wh.x": ""}, {"y": ""}}, "there is no /app/x", 2},
		{"a folder on the way is gone", "app/x", false, []layer{{"app/x": "old"}, {".wh.app": ""}}, "there is no /app/x", 1},
		{"a folder on the way is closed", "app/x", false, []layer{{"app/x": "old"}, {"app/.wh..wh..opq": ""}}, "there is no /app/x", 1},
		{"gone and made again in one layer", "app/x", false, []layer{{"app/x": "old"}, {"app/.wh.x": "", "app/x": "new"}}, "x=new", 1},
		{"a folder instead of a file", "app", false, []layer{{"app/x": "old"}}, "/app is a folder in the image", 1},
		{"a file instead of a folder", "app", true, []layer{{"app": "old"}}, "/app is a file in the image", 1},
		{"a link", "app", false, []layer{{"app": "->v1"}}, `/app is a symbolic link to "v1" in the image, and links are not followed there` + "\nhint: write \"/v1\"", 1},
		{"a link on the way", "bin/sh", false, []layer{{"bin": "->usr/bin", "usr/bin/sh": ""}}, `/bin is a symbolic link to "usr/bin" in the image, and links are not followed there` + "\nhint: write \"/usr/bin/sh\"", 1},
		{"a link on the way to a folder", "a/b/c", true, []layer{{"a/b": "->/d"}}, `/a/b is a symbolic link to "/d" in the image, and links are not followed there` + "\nhint: write \"/d/c/\"", 1},
		{"a link under a folder", "bin/sh", false, []layer{{"bin": "->usr/bin"}, {"bin/": "", "bin/sh": "x"}}, "sh=x", 1},
		{"a file on the way", "bin/sh", false, []layer{{"bin/sh": "x"}, {"bin": "x"}}, "there is no /bin/sh", 1},
		{"the content of a folder", "s", true, []layer{{"s/a": "1", "s/b/c": "2", "t": "3"}, {"s/b/d": "4", "s/a": "5"}}, "a=5 b=/ b/c=2 b/d=4", 2},
		{"files that are gone in a folder that is not named", "s", true, []layer{{"s/b/c": "2", "s/b/d": "3"}, {"s/b/.wh.c": "", "s/b/x/y": "1"}}, "b=/ b/d=3 b/x=/ b/x/y=1", 2},
		{"a gone file in a folder of the lower layer alone", "s", true, []layer{{"s/b/c": "2", "s/b/d": "3"}, {"s/b/.wh.c": "", "s/e": ""}}, "b=/ b/d=3 e=", 2},
		{"a file instead of a folder below", "s", true, []layer{{"s/b/c": "2"}, {"s/b": "x"}}, "b=x", 2},
		{"a folder instead of a file below", "s", true, []layer{{"s/b": "x"}, {"s/b/c": "2"}}, "b=/ b/c=2", 2},
		{"a closed folder", "s", true, []layer{{"s/b/c": "2", "s/x": "1"}, {"s/b/.wh..wh..opq": "", "s/b/": ""}}, "b=/ x=1", 2},
		{"everything", "", true, []layer{{"a/b": "1"}, {"c": "2", "a/.wh.b": ""}}, "a=/ c=2", 2},
		{"everything, closed", "", true, []layer{{"a/b": "1"}, {"c": "2", ".wh..wh..opq": ""}}, "c=2", 1},
		{"other marks", "", true, []layer{{"c": "2", ".wh..wh.plnk/": "", ".wh..wh.aufs": ""}}, "c=2", 1},
		{"no name", "", true, []layer{{"a/.wh...": "2"}}, `a layer says that ".." is gone from "a"`, 1},
		{"nothing", "", true, []layer{{}}, "the image is empty", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, read, err := build(tt.want, tt.tree, tt.layers...)
			var list []string
			for _, name := range slices.Sorted(maps.Keys(got)) {
				list = append(list, name+"="+got[name])
			}
			text := strings.Join(list, " ")
			if err != nil {
				text = err.Error()
			}
			if text != tt.has && !(err != nil && strings.HasPrefix(text, tt.has)) {
				t.Errorf("got %q; want %q", text, tt.has)
			}
			if read != tt.read {
				t.Errorf("%d layers were read; want %d", read, tt.read)
			}
		})
	}
}

// apply is what the rules say, from the bottom up.
func apply(state map[string]string, l layer) {
	drop := func(name string, self bool) {
		for other := range state {
			if self && other == name || strings.HasPrefix(other, name+"/") {
				delete(state, other)
			}
		}
	}
	for name := range l {
		dir, base := path.Dir(name), path.Base(name)
		switch {
		case base == opaque:
			drop(dir, false)
		case strings.HasPrefix(base, white):
			drop(path.Join(dir, strings.TrimPrefix(base, white)), true)
		}
	}
	_, files := unpacked(l, func(name string, _ bool) bool { return !strings.HasPrefix(path.Base(name), white) })
	for name, content := range files {
		if content != "/" || state[name] != "/" {
			drop(name, true)
		}
	}
	maps.Copy(state, files)
}

func TestTopDownIsBottomUp(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "b", "c"}
	for round := range 5000 {
		var layers []layer
		for range 1 + rnd.IntN(4) {
			l := layer{}
			for range 1 + rnd.IntN(5) {
				name := names[rnd.IntN(3)]
				for range rnd.IntN(3) {
					name += "/" + names[rnd.IntN(3)]
				}
				switch dir, base := path.Dir(name), path.Base(name); rnd.IntN(5) {
				case 0:
					l[path.Join(dir, white+base)] = ""
				case 1:
					if dir != "." {
						l[dir+"/"+opaque] = ""
					}
				case 2:
					l[name+"/"] = ""
				default:
					l[name] = fmt.Sprint(rnd.IntN(100))
				}
			}
			for name := range maps.Clone(l) {
				if base := path.Base(name); !strings.HasPrefix(base, white) {
					for up := path.Dir(strings.TrimSuffix(name, "/")); up != "."; up = path.Dir(up) {
						l[up+"/"] = "" // archivers name folders
					}
				}
			}
			if consistent(l) {
				layers = append(layers, l)
			}
		}
		want := map[string]string{}
		for _, l := range layers {
			apply(want, l)
		}
		got, _, err := build("", true, layers...)
		if len(want) == 0 && err != nil && got == nil {
			continue
		}
		if err != nil || !maps.Equal(got, want) {
			t.Fatalf("round %d: %v\ngot  %v, %v\nwant %v", round, layers, got, err, want)
		}
	}
}

// consistent tells whether a layer has nothing below a file: no archive unpacks to that.
func consistent(l layer) bool {
	for a := range l {
		if strings.HasSuffix(a, "/") {
			if _, both := l[strings.TrimSuffix(a, "/")]; both {
				return false
			}
			continue
		}
		for b := range l {
			if strings.HasPrefix(b, a+"/") {
				return false
			}
		}
	}
	return true
}
