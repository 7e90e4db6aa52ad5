// Package unpack makes the files of an archive (tar, tar.gz, tar.zst, zip and what is a zip by another name, such as a
// war) in an empty folder.
//
// It promises that nothing outside of the folder is read, made or changed, whatever the archive says: every name is
// checked, folders are entered one component at a time through os.Root, files are only ever made new, and symbolic
// links are made last, when it is known where all of them lead. An archive that tries any of the known tricks is
// refused as a whole. It promises that limits hold before the bytes are written, and that a file whose digest it
// reports has exactly that content.
//
// It does not promise an atomic result: after an error the folder holds a part, and the caller throws it away. While
// it works, folders are open to their owner only; they get their modes last. It is not for folders that have content.
//
// The package docs/decisions/0080-hostile-archives.md lists what is refused, dropped and kept.
package unpack

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// Limits bound what an archive may make. Zero or less is no limit, except where the format has one of its own.
type Limits struct {
	// Bytes is the sum of the sizes of the files that are made.
	Bytes int64
	// Entries counts members, taken or not, and folders that no member names.
	Entries int64
	// Ratio is how many bytes may come out for one that goes in. The first MiB is free.
	Ratio int64
	// Name is the length of a path in bytes. A component never has more than 255.
	Name int
	// Depth is the number of components of a path.
	Depth int
}

// Default is enough for applications and far from what hurts a machine.
func Default() Limits {
	return Limits{Bytes: 8 << 30, Entries: 200_000, Ratio: 200, Name: 1024, Depth: 64}
}

// Formats are the values of Options.Format.
func Formats() []string { return []string{"auto", "tar", "tar.gz", "tar.zst", "zip"} }

// What happens to devices, FIFOs and sockets, and to symbolic links that lead out of the folder.
const (
	Refuse = "refuse" // the archive is refused; the default
	Skip   = "skip"   // the member is left out
	Keep   = "keep"   // the link is made as it is; nothing is ever written through it
)

// Options say what is taken and how. The zero value takes everything, with no limits and no attributes but a mode of
// what Rules say; start from Limits: Default().
type Options struct {
	// Format is one of Formats; "" and auto look at the first bytes, never at the name.
	Format string
	Limits Limits
	Rules  item.Rules
	// Filter, when set, is asked for every path (after Strip) and for every folder above it, folders once; what it refuses is left
	// out, with everything below it. It is called from one goroutine.
	Filter func(path string, dir bool) bool
	// Strip leading components are removed from every name; members with no more than that are left out.
	Strip int
	// Workers unpack members of a zip at the same time; 0 is one for each processor.
	Workers int
	// Specials is Refuse or Skip, for devices, FIFOs and sockets.
	Specials string
	// Links is Refuse, Skip or Keep, for symbolic links that lead out of the folder.
	Links string
	// Done, when set, is told what has been written since it was last called. Workers call it at the same time.
	Done func(files int, bytes int64)
}

// Report sums up what was made and what was not.
type Report struct {
	Format  string // what the archive turned out to be
	Files   int    // without the hard links
	Folders int
	Links   int   // symbolic links
	Hard    int   // further names of files
	Bytes   int64 // sizes of the files
	Skipped int   // devices, FIFOs, sockets and links that were left out because of Specials and Links
	Left    int   // members that Filter or Strip left out
	Unowned int   // entries whose owner could not be set
}

// File unpacks the archive f into the folder. name stands for the archive in errors. The items come sorted, parents
// first, bytewise by component, with what the archive says of each of them and the digest of every file; folders that
// no member names are among them, the root only when a member names it. f is read by offset; where it stands afterwards is undefined.
func File(ctx context.Context, name string, f *os.File, into *os.Root, o Options) ([]item.Item, Report, error) {
	r := newRun(name, into, o)
	size, err := length(f)
	if err != nil {
		return nil, r.rep, fmt.Errorf("unpack %s: %w", name, err)
	}
	if size < 0 { // a pipe
		return Stream(ctx, name, f, into, o)
	}
	in := newFileReader(f, size)
	format, head, err := detect(in, o.Format)
	if err != nil {
		return nil, r.rep, r.fail(err)
	}
	if format == "" {
		if _, zerr := findDirectory(f, size); zerr == nil {
			format = "zip" // with something in front, such as the program that unpacks it
		} else {
			return nil, r.rep, r.unknown(head)
		}
	}
	r.rep.Format = format
	if format == "zip" {
		err = r.zip(ctx, f, size)
	} else {
		err = r.stream(ctx, in)
	}
	return r.finish(ctx, err)
}

// Stream is File for what can only be read once. Zip archives cannot: their directory stands at the end.
func Stream(ctx context.Context, name string, src io.Reader, into *os.Root, o Options) ([]item.Item, Report, error) {
	r := newRun(name, into, o)
	in := newStreamReader(src)
	format, head, err := detect(in, o.Format)
	if err != nil {
		return nil, r.rep, r.fail(err)
	}
	r.rep.Format = format
	switch format {
	case "":
		return nil, r.rep, r.unknown(head)
	case "zip":
		return nil, r.rep, r.refuse("", "a zip cannot be read from a stream: the list of its members stands at its end",
			"give it as a file, or send a tar, tar.gz or tar.zst")
	}
	return r.finish(ctx, r.stream(ctx, in))
}

// Declared is what the directory of a zip says that its members come to: bytes, and how many they are. known is false
// for other formats, which do not say so beforehand, and for broken zips.
func Declared(f *os.File) (bytes, entries int64, known bool) {
	size, err := length(f)
	if err != nil || size < 0 {
		return 0, 0, false
	}
	d, err := findDirectory(f, size)
	if err != nil {
		return 0, 0, false
	}
	for m, err := range d.members(f) {
		if err != nil || bytes+m.size < bytes {
			return 0, 0, false
		}
		bytes += m.size
		entries++
	}
	return bytes, entries, true
}

// length is the size of a regular file, -1 for what has none.
func length(f *os.File) (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !st.Mode().IsRegular() {
		return -1, nil
	}
	return st.Size(), nil
}

// run is the unpacking of one archive.
type run struct {
	name string
	o    Options
	rep  Report
	plan plan
	cur  *cursor
	pick picker
	seen int64 // members so far
	mu   sync.Mutex
}

func newRun(name string, into *os.Root, o Options) *run {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	return &run{name: name, o: o, plan: newPlan(), cur: newCursor(into), pick: newPicker(o.Filter)}
}

// finish makes the links, gives the folders their attributes, and hands over the items.
func (r *run) finish(ctx context.Context, err error) ([]item.Item, Report, error) {
	defer r.cur.close()
	if err == nil {
		err = r.links(ctx)
	}
	if err == nil {
		err = r.folders(ctx)
	}
	if err != nil {
		return nil, r.rep, r.fail(err)
	}
	items := r.plan.sorted()
	for i := range items {
		if items[i].Kind == item.File && items[i].Hard == "" {
			r.rep.Files++
		}
	}
	return items, r.rep, nil
}

// done passes progress on.
func (r *run) done(files int, bytes int64) {
	if r.o.Done != nil {
		r.o.Done(files, bytes)
	}
}

func (r *run) unknown(head []byte) error {
	reason, hint := foreign(head)
	return r.refuse("", reason, hint)
}

// sortedFolders are the entries of folders, parents last.
func (r *run) sortedFolders() []int {
	var dirs []int
	for i := range r.plan.entries {
		if e := &r.plan.entries[i]; e.Kind == item.Dir && e.made {
			dirs = append(dirs, i)
		}
	}
	slices.SortFunc(dirs, func(a, b int) int { return item.Compare(r.plan.entries[b].Path, r.plan.entries[a].Path) })
	return dirs
}
