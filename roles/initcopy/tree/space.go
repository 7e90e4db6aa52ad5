package tree

import "github.com/sidecar-kit/sidecar/roles/initcopy/item"

// Unlimited stands for a file system without a limit of its own.
const Unlimited = -1

// Space is what a file system can still take for this process: bytes and inodes, or Unlimited, and how large its blocks
// are in bytes.
type Space struct{ Bytes, Inodes, Block int64 }

// Need is how many bytes and inodes a copy of items takes on a file system with blocks of so many bytes. Reused items are
// not to be among them.
func Need(items []item.Item, block int64) (bytes, inodes int64) {
	for i := range items {
		b, n := NeedOf(&items[i], block)
		bytes, inodes = bytes+b, inodes+n
	}
	return bytes, inodes
}

// NeedOf is Need for one item, for callers that do not have the items in a row.
func NeedOf(it *item.Item, block int64) (bytes, inodes int64) {
	if it.Hard != "" {
		return 0, 0
	}
	block = max(block, 1)
	size := it.Size
	switch {
	case it.Kind == item.Dir:
		size = block
	case it.Disk > 0:
		size = min(size, it.Disk)
	}
	return (size + block - 1) / block * block, 1
}
