// Package item describes what initcopy copies: one file, folder or symbolic link of a tree, whatever it comes from (a
// folder, an archive, an image), and which attributes its copy gets. It does no I/O.
package item

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Kind is what an item is. Devices, FIFOs and sockets are no items: sources refuse them.
type Kind uint8

// The kinds, in no particular order.
const (
	File Kind = iota + 1
	Dir
	Symlink
)

func (k Kind) String() string {
	switch k {
	case File:
		return "file"
	case Dir:
		return "folder"
	case Symlink:
		return "symbolic link"
	}
	return "unknown"
}

// Bits of a mode beyond the permissions, as chmod(2) numbers them.
const (
	Setuid uint32 = 0o4000
	Setgid uint32 = 0o2000
	Sticky uint32 = 0o1000
	Perm   uint32 = 0o777
)

// Item is one entry of a tree.
type Item struct {
	// Path is relative to the root of the tree, separated by slashes, without "." and "..", in the bytes the source has
	// (which need not be UTF-8). The root itself is "." and comes first where it is listed.
	Path string
	Kind Kind
	Mode uint32 // permissions with setuid, setgid and sticky
	UID  uint32
	GID  uint32
	// Size is the length of a file in bytes; 0 for the others.
	Size int64
	// Disk is how many bytes the file takes on its disk, which is less than Size where it has holes; 0 when unknown.
	Disk int64
	// Mtime is in nanoseconds since 1970.
	Mtime int64
	// Link is where a symbolic link leads.
	Link string
	// Hard is the path of an item earlier in the same list that is the same file under another name; "" for none.
	Hard string
	// Ident tells the file apart from every other on this machine, and its state from every later one.
	Ident Ident
	// Sum is the SHA-256 of a file's content, zero when it is not known (yet).
	Sum Sum
}

// Ident is what the kernel says of a file that no user can set. It is zero for entries of archives.
type Ident struct {
	Dev, Ino uint64
	Ctime    int64 // nanoseconds since 1970
}

// Sum is a SHA-256 digest.
type Sum [sha256.Size]byte

// IsZero tells whether the digest is unknown.
func (s Sum) IsZero() bool { return s == Sum{} }

// String is the digest in the field's notation: sha256:<64 hex digits>.
func (s Sum) String() string { return "sha256:" + hex.EncodeToString(s[:]) }

// ParseSum reads sha256:<64 hex digits>; the prefix may be left out. ok is false for anything else.
func ParseSum(text string) (s Sum, ok bool) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "sha256:")
	if len(text) != 2*len(s) {
		return s, false
	}
	_, err := hex.Decode(s[:], []byte(strings.ToLower(text)))
	return s, err == nil
}

// Compare orders paths so that a folder comes before what is in it, and that before its next neighbour: bytewise, with the
// slash below every other byte. The root, ".", comes first.
func Compare(a, b string) int {
	if a == b {
		return 0
	}
	if a == "." || b == "." {
		if a == "." {
			return -1
		}
		return 1
	}
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	switch {
	case i == len(a):
		return -1
	case i == len(b):
		return 1
	case a[i] == '/':
		return -1
	case b[i] == '/':
		return 1
	case a[i] < b[i]:
		return -1
	}
	return 1
}
