// Package state is what logship knows after a kill: which contents of files there are (generations), how far each output has
// come in them, and which batches were under way, range by range. It is a journal with checksums in one folder, made durable by
// group commit, with a snapshot now and then.
package state

// Identity is how a file is known again. Which parts are set depends on the file system.
type Identity struct {
	Dev, Ino uint64
	Born     int64  // birth time, nanoseconds since 1970; 0 where the file system has none
	HeadLen  int32  // bytes that Head covers: it grows with the file up to 1,024
	Head     uint64 // hash of the first HeadLen bytes, after decompression
}

// Gen is a generation: one content of one file, from its first byte to its last. A file that is truncated and written again
// begins a new one; a file that is renamed, copied or compressed goes on with its own.
type Gen struct {
	ID      uint64 // random, never 0
	Input   string
	Path    string // where it was found first
	Now     string // where it was seen last; empty: nowhere any more
	Compact string // "", "gzip" or "zstd": Now has to be decompressed
	Ident   Identity
	Size    int64  // bytes at the end, once it is over
	Over    bool   // nothing will be added any more
	Made    int64  // nanoseconds since 1970
	Start   int64  // reading begins here: what was there before is not wanted
	Mid     bool   // Start lies within a line, whose rest is not wanted either
	Unsure  bool   // it may be a copy of another one, and is none yet that anybody reads
	Lost    string // not empty: why what was not read of it is nowhere any more
}

// Pos is a place between two events. Mid says that it is within a line that is longer than a line may be.
type Pos struct {
	Off int64
	Mid bool
}

// Range is a part of a generation. Two ranges that touch are two where an event ended at the border though the text would go on.
type Range struct {
	Gen      uint64
	From, To Pos
	Check    uint64 // hash of the (up to) 64 bytes before To
	Skip     bool   // not events: what was filtered, cut or lost
}

// Manifest is what a batch is made of.
type Manifest struct {
	Output string
	Seq    uint64 // rising for each output
	Read   int64  // nanoseconds since 1970: the time of events that state none
	Events int32
	Ranges []Range
}
