package tree

import "github.com/sidecar-kit/sidecar/roles/initcopy/item"

// Job is one copy of a tree.
type Job struct {
	// From is the root that Items were listed from. To is the root of the copy: an existing folder that is empty, on
	// which nobody else works. Its own attributes are set if Items begin with ".".
	From, To string
	// Items are sorted as item.Compare says, and every folder is among them. Copy fills in Sum where Digest is set, and what
	// is newly known of files that are longer than stat said (those of /proc).
	Items  []item.Item
	Rules  item.Rules
	Xattrs bool // extended attributes, among them ACLs and capabilities
	Digest bool
	// Workers is how many files are copied at once; 0 chooses.
	Workers int
	// Old is the root of an earlier copy. Item i is a hard link to its counterpart there where Reuse[i] says so, unless
	// links are impossible; the caller vouches for content and attributes, and for Sum. Both may be empty.
	Old   string
	Reuse []bool
	// Mtime gives item i another time of change, in nanoseconds since 1970; nil keeps those of the source.
	Mtime func(i int) int64
	// Made, where it is as long as Items, is filled with what the kernel says of each new file; it stays zero for what is
	// no file, has several names, or is a link into Old.
	Made []Made
	// Done is told how many files and bytes were finished since it was last told; by several goroutines. nil is nobody.
	Done func(files int, bytes int64)
}

// Made is what the kernel says of a file that was made. It is zero when that is not known.
type Made struct {
	Ident item.Ident
	Mtime int64  // nanoseconds since 1970, as the file system keeps it
	Mode  uint32 // as the file system keeps it
}

// Result says what a copy could not do and how it was done.
type Result struct {
	// ChownRefused counts the items that belong to somebody else than they should, XattrsRefused those that lack an
	// extended attribute. The paths are those of one of them.
	ChownRefused, XattrsRefused          int
	FirstChownRefused, FirstXattrRefused string
	// Linked counts the items that are links into Old.
	Linked int
	// Written is how many bytes of content were copied.
	Written int64
}

// FileOptions are how a single file is copied.
type FileOptions struct {
	Rules  item.Rules
	Xattrs bool
	Digest bool
	// Mtime is the time of change of the copy in nanoseconds since 1970; nil keeps that of the source.
	Mtime *int64
	// Done is told of every piece of content, in bytes; nil is nobody.
	Done func(bytes int64)
}

// FileResult says what became of it.
type FileResult struct {
	// Item describes the source, with the path it was opened by, its true length, and the digest if there is one.
	Item item.Item
	// ChownRefused and XattrsRefused: the copy has another owner, or lacks an extended attribute.
	ChownRefused, XattrsRefused bool
}
