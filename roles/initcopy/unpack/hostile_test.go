package unpack

import (
	"strings"
	"testing"
)

// hostile is an archive that tries to write, link or read outside of the folder, or that programs may understand
// differently. The tricks are those of zip-slip, traversal-archives, safearchive, go-archive and go-extract.
type hostile struct {
	name    string
	members []mem
	want    string // in the error
	zip     string // the same for zip, where it differs; "-" where a zip cannot be like that
}

func hostiles() []hostile {
	f := func(name string) mem { return mem{kind: 'f', name: name, body: "evil"} }
	l := func(name, to string) mem { return mem{kind: 'l', name: name, link: to} }
	h := func(name, to string) mem { return mem{kind: 'h', name: name, link: to} }
	d := func(name string) mem { return mem{kind: 'd', name: name} }
	list := func(ms ...mem) []mem { return ms }
	const drive, dots, abs = "drive letter", `has ".." in its path`, "absolute path"
	return []hostile{
		{"slip", list(f("ok"), f("../evil")), `member "../evil" ` + dots, ""},
		{"slip deep", list(f("a/../../evil")), dots, ""},
		{"slip back in", list(f("../into/evil")), dots, ""},
		{"slip to a sibling with the same prefix", list(f("../into.txt")), dots, ""},
		{"slip contained", list(f("a/../evil")), dots, ""},
		{"slip many", list(f(strings.Repeat("../", 40) + "tmp/evil")), dots, ""},
		{"slip at the end", list(f("a/..")), dots, ""},
		{"slip folder", list(d("../evil")), dots, ""},
		{"slip sneaky", list(f("./.././evil")), dots, ""},
		{"absolute", list(f("/tmp/evil")), abs, ""},
		{"absolute twice", list(f("//tmp/evil")), abs, ""},
		{"absolute folder", list(d("/tmp/evil/")), abs, ""},
		{"backslash slip", list(f(`..\evil`)), `".." behind a backslash`, "backslash in its name"},
		{"backslash slip mixed", list(f(`a/..\..\evil`)), `".." behind a backslash`, "backslash in its name"},
		{"backslash absolute", list(f(`\evil`)), "begins with a backslash", "backslash in its name"},
		{"backslash share", list(f(`\\host\share\evil`)), "begins with a backslash", "backslash in its name"},
		{"drive", list(f(`C:\evil`)), drive, "backslash in its name"},
		{"drive with slash", list(f("c:/evil")), drive, ""},
		{"drive alone", list(d("C:")), drive, ""},
		{"no name", list(f("")), "without a name", ""},
		{"dot", list(f(".")), "named like a folder", ""},
		{"dot below", list(f("a/.")), "named like a folder", ""},
		{"dots", list(f("..")), dots, ""},
		{"slash at the end of a link", list(l("x/", "y")), "named like a folder", ""},
		{"long component", list(f(strings.Repeat("n", 256))), "name of 256 bytes", ""},
		{"long path", list(f(strings.Repeat("long/", 60) + strings.Repeat("n", 250) + "/" + strings.Repeat("/m", 300))), "--max-", ""},
		{"deep", list(f(strings.Repeat("d/", 65) + "x")), "--max-depth", ""},

		{"link absolute", list(l("x", "/etc/passwd")), `"/etc/passwd" and leads to an absolute path`, ""},
		{"link up", list(l("x", "../outside/passwd")), "leads out of the folder", ""},
		{"link up deep", list(l("a/b/x", "../../../outside")), "leads out of the folder", ""},
		{"link up through down", list(l("x", "a/../../outside")), "leads out of the folder", ""},
		{"link to the folder above", list(l("x", "..")), "leads out of the folder", ""},
		{"link to nothing", list(l("x", "")), "symbolic link to nothing", ""},
		{"link to itself", list(l("x", "x")), "in a circle", ""},
		{"links in a circle", list(l("a", "b/x"), l("b", "a/x")), "in a circle", ""},
		{"link chain", list(d("a"), d("a/b"), l("a/b/up", ".."), l("up2", "a/b/up/../.."), f("x")), "leads out of the folder", ""},
		{"link chain, last first", list(l("z", "y/../outside"), l("y", "a/b"), d("a/b")), "", ""},
		{"link chain by a folder that is a link", list(l("d", "a/b"), d("a/b"), l("e", "d/../../../x")), "leads out of the folder", ""},
		{"link chain that lexically stays", list(d("deep/er"), l("l", "deep/er"), l("deep/up", "../l/../../../x")), "leads out of the folder", ""},
		{"write through a link", list(l("x", "../outside"), f("x/evil")), `lies below "x", which is a symbolic link`, ""},
		{"write through a link that stays", list(d("real"), l("x", "real"), f("x/evil")), `lies below "x", which is a symbolic link`, ""},
		{"write through a chain", list(l("a", "."), l("a/b", ".."), f("a/b/evil")), `lies below "a", which is a symbolic link`, ""},
		{"link writer", list(l("x", "../outside/file"), f("x")), "is a file, but an earlier member made it a symbolic link", ""},
		{"link where a folder is", list(f("x/a"), l("x", "../outside"), f("x/b")), "is a symbolic link, but an earlier member made it a folder", ""},
		{"link for a folder", list(d("x"), l("x", "../outside")), "made it a folder", ""},
		{"folder for a link", list(l("x", "y"), d("x")), "made it a symbolic link", ""},
		{"below a file", list(f("x"), f("x/y")), `lies below "x", which is a file`, ""},
		{"file for a folder", list(f("x/y"), f("x")), "is a file, but an earlier member made it a folder", ""},
		{"folder for a file", list(f("x"), d("x")), "is a folder, but an earlier member made it a file", ""},
		{"file through a slash", list(f("x"), d("x/")), "is a folder, but an earlier member made it a file", ""},

		{"hard link out", list(h("x", "../outside/passwd")), `which has ".." in its path`, ""},
		{"hard link absolute", list(h("x", "/etc/passwd")), "which has an absolute path", ""},
		{"hard link to nothing", list(h("x", "y")), "not among the files", ""},
		{"hard link to itself", list(f("x"), h("x", "x")), "hard link to itself", ""},
		{"hard link to a link", list(l("s", "../outside/file"), h("x", "s"), f("x")), "which is a symbolic link", ""},
		{"hard link through a link", list(l("s", "../outside"), h("x", "s/file")), "not among the files", ""},
		{"hard link to a folder", list(d("d"), h("x", "d")), "which is a folder", ""},
		{"hard link without a name", list(h("x", "")), "without a name", ""},
		{"hard link to the root", list(d("."), h("x", ".")), "which is a folder", ""},

		{"character device", list(mem{kind: 'c', name: "null"}), "is a character device", "is a FIFO or socket"},
		{"block device", list(mem{kind: 'b', name: "sda"}), "is a block device", "is a FIFO or socket"},
		{"fifo", list(mem{kind: 'p', name: "pipe"}), "is a FIFO", ""},
		{"unknown type", list(mem{kind: 'f', name: "x", flag: 'Z'}), `unknown type "Z"`, ""},
		{"another volume", list(mem{kind: 'f', name: "x", flag: 'M'}), "another volume", ""},
	}
}

// TestHostileArchivesAreRefused is the promise of the package: whatever the format, an error that names archive and
// member, and nothing changed outside.
func TestHostileArchivesAreRefused(t *testing.T) {
	p := newPlace(t)
	for _, tt := range hostiles() {
		for form, archive := range forms(tt.members...) {
			want := tt.want
			if zip := form == "zip" || form == "war"; zip && tt.zip != "" {
				want = tt.zip
			}
			p.again()
			_, _, err := p.unpack(archive, standard())
			if want == "" {
				if err != nil {
					t.Errorf("%s, %s: %v; want no error", tt.name, form, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "unpack app.arc: ") {
				t.Errorf("%s, %s: %v; want %q", tt.name, form, err, want)
			}
			if bad := p.links(); bad != nil {
				t.Errorf("%s, %s: links lead out: %v", tt.name, form, bad)
			}
		}
	}
}
