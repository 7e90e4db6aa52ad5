// Package source finds log files, knows them again through everything that rotators do to them, and hands their lines to the outputs
// of logship, each at its own pace. No line is lost and none is read twice, as long as its bytes are somewhere.
//
// # Generations
//
// A generation is one content of one file, from its first byte to its last. It is what positions and ids refer to. Its states:
//
//	unsure     a name that belongs to an input has a file that nobody knows. It is open and pinned at once. While it is empty and its
//	           name could be that of a copy, or has a head that may become that of a known generation, it waits.
//	           -> live: no copy. It is put into the store before any of its lines is given to anyone.
//	           -> a copy: its head, and the bytes that were read last, are those of a generation whose rotated name it has. It is
//	              remembered as that and never read for itself.
//	live       the file is at the path where it was found. It grows; a last line without line end is held.
//	           -> loose: the path is another file's, or nobody's.
//	           -> seeking: its file is shorter, or has other bytes at its start or where it ended when it was seen last.
//	loose      renamed, moved or removed. Its writer may still have it open, so it is read on: at its new name, by its pin, or by the
//	           handle that is open.
//	           -> over: everything was read by every output, and it did not grow for Input.Quiet.
//	seeking    its file has other content now, which is the next generation of that path, or it is nowhere. A copy is looked for: any
//	           file of the folder, plain, gzip or zstd, with the same head and the same bytes before the positions of the outputs.
//	           -> over: a copy was found; the rest is read from there, up to its end. Or none was, within Input.Quiet: what was seen
//	              and not read is a gap, which is told (Block.Gap) and counted.
//	over       nothing will be added. The rest without line end is a line, too; Block.Last is told.
//	           -> loose: it grew after all.
//	           -> forgotten: every output is done with it (Store.Low) and no name is left, neither of the file nor of a copy.
//
// A file is known again by device, inode and birth time, and by a hash of its first bytes (up to 1,024). At each look its head and the
// 64 bytes before its last known size are compared; at each read the 64 bytes before the position come with the same system call as
// what is read. So a file that was truncated and has grown beyond the position again is noticed, too. What cannot be noticed is a file
// that is truncated and written again with the very same bytes between two looks.
//
// A name that no pattern has is read all the same when it can only be a piece of a file that is followed: it is that of a rotated file
// (app.log.1 for app.log), and the file is younger than the oldest generation that is known of app.log. So rotations that happen faster
// than one can look, or while logship is down, lose nothing.
//
// # Who does what
//
// Set.Run finds and judges: inotify tells which names to look at (coalesced within 3 ms), each second folders are looked at whose time
// changed, and every file is looked at each 30 seconds; on network volumes, which do not tell what others do, each second. Readers only
// read: with ReadAt, from the handle that the generation has, into a buffer of the pool. The engine remembers 64 bytes of a file and
// nothing else, so an idle file costs about a kilobyte. Set.mu guards everything but the reading itself.
//
// Order: of two generations of one path the older one is read first, as far as it is there. Otherwise files take turns of 256 KiB.
//
// # Engines
//
// engine: block is the package's own; engine: tail has github.com/nxadm/tail find the lines, about twenty times slower and a quarter
// of a second later. Both give the same lines at the same offsets, which the tests make sure of. Compressed files, ranges and the ends
// of files are read by block in any case. Named pipes (fifo: true) are copied into files of the spool, which are generations.
//
// When not to use it: for files that are rewritten in place. Each rewriting is a new generation.
package source
