package unpack

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

func tree() []mem {
	return []mem{
		{kind: 'd', name: "./", mode: 0o750},
		{kind: 'f', name: "./b/run.sh", body: "#!/bin/sh\n", mode: 0o755},
		{kind: 'd', name: "b/", mode: 0o700},
		{kind: 'f', name: "b.txt", body: "text"},
		{kind: 'd', name: "b/empty/", mode: 0o755},
		{kind: 'd', name: "closed", mode: 0o500},
		{kind: 'f', name: "closed/in", body: strings.Repeat("closed ", 100_000), mode: 0o400},
		{kind: 'f', name: "b/\xff\xfe not UTF-8", body: ""},
		{kind: 'f', name: "CASE", body: "upper"},
		{kind: 'f', name: "case", body: "lower"},
		{kind: 'f', name: `unit\x2dname`, body: "backslash"},
		{kind: 'l', name: "b/link", link: "../closed/in"},
		{kind: 'l', name: "dangling", link: "b/nothing/../x"},
		{kind: 'f', name: "setuid", body: "s", mode: 0o6755},
		{kind: 'd', name: "tmp", mode: 0o1777},
		{kind: 'f', name: ".wh.gone", body: ""},
		{kind: 'f', name: "not/named/folder", body: "x"},
		{kind: 'f', name: "b//odd/./name", body: "odd"},
	}
}

// TestTreesArriveWhole: kinds, modes, times, content and digests, in the order of a scan, from every format.
func TestTreesArriveWhole(t *testing.T) {
	want := []string{
		". folder 0750", "",
		".wh.gone file 0644 0", "CASE file 0644 5",
		"b folder 0700", "b/empty folder 0755", "b/link symbolic link ../closed/in", "b/odd folder 0755", "b/odd/name file 0644 3",
		"b/run.sh file 0755 10", "b/\xff\xfe not UTF-8 file 0644 0", "b.txt file 0644 4", "case file 0644 5",
		"closed folder 0500", "closed/in file 0400 700000", "dangling symbolic link b/nothing/../x",
		"not folder 0755", "not/named folder 0755", "not/named/folder file 0644 1",
		"setuid file 6755 1", "tmp folder 1777", `unit\x2dname file 0644 9`,
	}
	p := newPlace(t)
	for form, archive := range forms(tree()...) {
		want := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return s == "" })
		if form == "zip" || form == "war" {
			ms := slices.DeleteFunc(tree(), func(m mem) bool { return strings.Contains(m.name, `\`) || m.name == "./" })
			archive = forms(ms...)[form]
			want = slices.DeleteFunc(want, func(s string) bool { return strings.Contains(s, `\`) || strings.HasPrefix(s, ". ") })
		}
		p.again()
		var files atomic.Int64
		var bytes atomic.Int64
		o := standard()
		o.Done = func(f int, b int64) { files.Add(int64(f)); bytes.Add(b) }
		items, rep, err := p.unpack(archive, o)
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		var got []string
		for _, it := range items {
			line := fmt.Sprintf("%s %s %04o", it.Path, it.Kind, it.Mode)
			switch it.Kind {
			case item.File:
				line += fmt.Sprint(" ", it.Size)
			case item.Symlink:
				line = fmt.Sprintf("%s %s %s", it.Path, it.Kind, it.Link)
			}
			got = append(got, line)
			p.compare(form, it)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: items are\n%s\nwant\n%s", form, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if int64(rep.Files) != files.Load() || rep.Bytes != bytes.Load() || rep.Links != 2 {
			t.Errorf("%s: report %+v, but %d files and %d bytes were counted", form, rep, files.Load(), bytes.Load())
		}
	}
}

// compare looks at what was made of an item.
func (p *place) compare(form string, it item.Item) {
	st, err := p.into.Lstat(it.Path)
	if err != nil {
		p.t.Errorf("%s: %v", form, err)
		return
	}
	sys := st.Sys().(*syscall.Stat_t)
	if mode := uint32(sys.Mode) & 0o7777; it.Kind != item.Symlink && mode != it.Mode&item.Perm {
		p.t.Errorf("%s: %s has mode %04o; want %04o", form, it.Path, mode, it.Mode&item.Perm)
	}
	want := time.Unix(1700000000, 0)
	if form == "zip" || form == "war" {
		want = time.Date(2024, 5, 17, 12, 34, 56, 0, time.UTC)
	}
	if !st.ModTime().Equal(want) || it.Mtime != want.UnixNano() {
		p.t.Errorf("%s: %s has time %v and is said to have %d; want %v", form, it.Path, st.ModTime(), it.Mtime, want)
	}
	if it.Kind == item.File {
		content := p.read(it.Path)
		if sum := sha256.Sum256([]byte(content)); it.Sum != sum || it.Size != int64(len(content)) {
			p.t.Errorf("%s: %s has %d bytes, %s; want %d, %s", form, it.Path, len(content), item.Sum(sum), it.Size, it.Sum)
		}
	}
}

func TestRulesDecideOnModes(t *testing.T) {
	p := newPlace(t)
	chmod, err := item.ParseChanges("D2770,F0640")
	p.must(err)
	o := standard()
	o.Rules.Chmod, o.Rules.Special = chmod, true
	for form, archive := range forms(mem{kind: 'f', name: "d/f", body: "x"}, mem{kind: 'd', name: "d", mode: 0o755}) {
		p.again()
		if _, _, err := p.unpack(archive, o); err != nil {
			t.Fatal(form, err)
		}
		for name, want := range map[string]fs.FileMode{"d": fs.ModeDir | fs.ModeSetgid | 0o770, "d/f": 0o640} {
			if st, err := p.into.Stat(name); err != nil || st.Mode() != want {
				t.Errorf("%s: %s has mode %v, %v; want %v", form, name, st.Mode(), err, want)
			}
		}
	}
}

// TestSetgidOfTheVolumeStays: a volume with fsGroup has the bit, and folders below must keep it.
func TestSetgidOfTheVolumeStays(t *testing.T) {
	p := newPlace(t)
	for form, archive := range forms(mem{kind: 'd', name: "."}, mem{kind: 'd', name: "d", mode: 0o755}, mem{kind: 'f', name: "d/e/f", body: "x"}) {
		p.again()
		p.must(p.into.Chmod(".", fs.ModeSetgid|0o775))
		if form == "zip" || form == "war" {
			archive = forms(mem{kind: 'd', name: "d", mode: 0o755}, mem{kind: 'f', name: "d/e/f", body: "x"})[form]
		}
		if _, _, err := p.unpack(archive, standard()); err != nil {
			t.Fatal(form, err)
		}
		for _, name := range []string{".", "d", "d/e"} {
			if st, err := p.into.Stat(name); err != nil || st.Mode()&fs.ModeSetgid == 0 {
				t.Errorf("%s: %s has mode %v, %v; want setgid", form, name, st.Mode(), err)
			}
		}
	}
}

func TestHardLinks(t *testing.T) {
	p := newPlace(t)
	archive := tarOf(
		mem{kind: 'f', name: "m/first", body: "old"},
		mem{kind: 'h', name: "z", link: "./m/first"},
		mem{kind: 'h', name: "a", link: "z"},
		mem{kind: 'f', name: "m/first", body: "newer"}, // as tar -r appends
	)
	items, rep, err := p.unpack(archive, standard())
	if err != nil || rep.Hard != 2 {
		t.Fatalf("unpack = %+v, %v; want 2 hard links", rep, err)
	}
	var got []string
	for _, it := range items {
		got = append(got, it.Path+"="+it.Hard+":"+fmt.Sprint(it.Size))
	}
	if want := []string{"a=:3", "m=:0", "m/first=:5", "z=a:3"}; !slices.Equal(got, want) {
		t.Errorf("items = %v; want %v", got, want)
	}
	a, err1 := p.into.Stat("a")
	z, err2 := p.into.Stat("z")
	if err1 != nil || err2 != nil || !os.SameFile(a, z) || p.read("a") != "old" || p.read("m/first") != "newer" {
		t.Errorf("a is %q, m/first is %q, same file: %v; want old, newer, true", p.read("a"), p.read("m/first"), os.SameFile(a, z))
	}
}

func TestStripAndFilter(t *testing.T) {
	p := newPlace(t)
	for form, archive := range forms(
		mem{kind: 'd', name: "app-1.0/"},
		mem{kind: 'f', name: "app-1.0/WEB-INF/web.xml", body: "x"},
		mem{kind: 'f', name: "app-1.0/docs/a/b", body: "x"},
		mem{kind: 'f', name: "app-1.0/docs.txt", body: "x"},
		mem{kind: 'l', name: "app-1.0/docs/up", link: "../../.."}, // not taken, so not refused
		mem{kind: 'f', name: "README", body: "x"},
	) {
		p.again()
		o := standard()
		o.Strip = 1
		asked := map[string]int{}
		o.Filter = func(path string, dir bool) bool {
			asked[path]++
			return !(dir && path == "docs")
		}
		items, rep, err := p.unpack(archive, o)
		var got []string
		for _, it := range items {
			got = append(got, it.Path)
		}
		if want := []string{"WEB-INF", "WEB-INF/web.xml", "docs.txt"}; err != nil || !slices.Equal(got, want) || rep.Left != 4 {
			t.Errorf("%s: items %v, %+v, %v; want %v and 4 left", form, got, rep, err, want)
		}
		if asked["docs"] != 1 || asked["docs/a/b"] != 0 {
			t.Errorf("%s: the filter was asked %v; want docs once and nothing below", form, asked)
		}
	}
}

func TestSpecialsAndLinksCanBeSkippedOrKept(t *testing.T) {
	p := newPlace(t)
	for form, archive := range forms(
		mem{kind: 'p', name: "pipe"}, mem{kind: 'c', name: "dev/null"}, mem{kind: 'l', name: "out", link: "/etc/passwd"}, mem{kind: 'f', name: "x", body: "x"},
	) {
		p.again()
		o := standard()
		o.Specials, o.Links = Skip, Skip
		items, rep, err := p.unpack(archive, o)
		if err != nil || len(items) != 1 || rep.Skipped != 3 {
			t.Errorf("%s: skip: %v, %+v, %v; want one item and 3 skipped", form, items, rep, err)
		}
		p.again()
		o.Links = Keep
		_, rep, err = p.unpack(archive, o)
		if to, lerr := p.into.Readlink("out"); err != nil || lerr != nil || to != "/etc/passwd" || rep.Links != 1 {
			t.Errorf("%s: keep: %q, %+v, %v, %v; want a link to /etc/passwd", form, to, rep, err, lerr)
		}
	}
}

func TestSparseFilesKeepTheirHoles(t *testing.T) {
	const size = 8 << 20
	data := strings.Repeat("data", 1024)
	var b bytes.Buffer
	b.Write(pax('x', "GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", "disk", "GNU.sparse.realsize", fmt.Sprint(size)))
	content := string(padded(fmt.Sprintf("2\n%d\n%d\n%d\n0\n", 1<<20, len(data), size))) + data
	b.Write(tarHead('0', "GNUSparseFile.0/disk", "", 0o644, int64(len(content))))
	b.Write(padded(content))
	b.Write(make([]byte, 2*block))
	p := newPlace(t)
	items, _, err := p.unpack(b.Bytes(), standard())
	if err != nil || len(items) != 1 {
		t.Fatalf("unpack = %v, %v", items, err)
	}
	want := make([]byte, size)
	copy(want[1<<20:], data)
	got := p.read("disk")
	if got != string(want) || items[0].Sum != sha256.Sum256(want) {
		t.Error("disk has other content than the archive")
	}
	st, err := p.into.Stat("disk")
	p.must(err)
	if used := st.Sys().(*syscall.Stat_t).Blocks * 512; used > 1<<20 {
		t.Errorf("disk takes %d bytes; want a few thousand", used)
	}
}

// TestZipTimesAndOwners: the best time there is, and owners only where a rule asks for them.
func TestZipTimesAndOwners(t *testing.T) {
	unix, ntfs := time.Unix(1600000001, 0), time.Unix(1500000000, 123456700)
	ticks := uint64(ntfs.Unix()+11644473600)*1e7 + uint64(ntfs.Nanosecond()/100)
	extNTFS := field(0x000a, uint32(0), uint16(1), uint16(24), ticks, ticks, ticks)
	extUnix := field(0x5455, byte(1), int32(unix.Unix()))
	archive := zipOf(nil,
		zmem{name: "dos"},
		zmem{name: "unix", extra: slices.Concat(extUnix, extNTFS)},
		zmem{name: "ntfs", extra: extNTFS},
		zmem{name: "owned", extra: field(0x7875, byte(1), byte(4), uint32(1234), byte(4), uint32(5678))},
		zmem{name: "odd", extra: []byte{1, 2, 3}},
	)
	p := newPlace(t)
	o := standard()
	o.Rules.Owner = os.Geteuid() == 0
	items, _, err := p.unpack(archive, o)
	p.must(err)
	dos := time.Date(2024, 5, 17, 12, 34, 56, 0, time.UTC)
	for _, it := range items {
		want := map[string]time.Time{"unix": unix, "ntfs": ntfs}[it.Path]
		if want.IsZero() {
			want = dos
		}
		st, err := p.into.Stat(it.Path)
		p.must(err)
		if !st.ModTime().Equal(want) {
			t.Errorf("%s has time %v; want %v", it.Path, st.ModTime(), want)
		}
		uid := st.Sys().(*syscall.Stat_t).Uid
		if want := uint32(1234); o.Rules.Owner && (it.Path == "owned") != (uid == want) {
			t.Errorf("%s belongs to %d; only owned is to belong to %d", it.Path, uid, want)
		}
		if it.Mode != 0o644 {
			t.Errorf("%s has mode %04o; want 0644, since the archive says nothing", it.Path, it.Mode)
		}
	}
}

func TestTimesOutOfRangeAreClamped(t *testing.T) {
	p := newPlace(t)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	p.must(w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "x", Mode: 0o644, ModTime: time.Unix(1<<40, 0), Format: tar.FormatGNU}))
	p.must(w.Close())
	items, _, err := p.unpack(b.Bytes(), standard())
	if err != nil || items[0].Mtime < 1<<62 {
		t.Errorf("items = %v, %v; want a time far ahead", items, err)
	}
}

// TestSomebodyElseInTheFolder: names that are there already are never written to or followed.
func TestSomebodyElseInTheFolder(t *testing.T) {
	p := newPlace(t)
	plant := map[string]func(){
		"link for a folder":  func() { p.must(p.into.Symlink("../outside", "d")) },
		"link for a file":    func() { p.must(p.into.Mkdir("d", 0o755)); p.must(p.into.Symlink("../../outside/file", "d/file")) },
		"file that is there": func() { p.must(p.into.WriteFile("d", nil, 0o644)) },
	}
	for name, make := range plant {
		for form, archive := range forms(mem{kind: 'f', name: "d/file", body: "evil"}) {
			p.again()
			make()
			if _, _, err := p.unpack(archive, standard()); err == nil || !strings.Contains(err.Error(), "is there already") {
				t.Errorf("%s, %s: %v; want that it is there already", name, form, err)
			}
		}
	}
}
