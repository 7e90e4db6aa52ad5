// Package ship tries shippers of log files: it writes numbered lines into a file that is rotated in one of many ways, kills the
// shipper, makes the receiver fail, and asks a strict sink what arrived. Used by bench and by e2e.
package ship

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// The ways to rotate.
const (
	None         = "none"
	Rename       = "rename"       // app.log becomes app.log.1, app.log.1 becomes app.log.2 and so on
	Late         = "late"         // as Rename, and the writer keeps its old handle for a while
	CopyTruncate = "copytruncate" // app.log is copied to app.log.1 and truncated
	Regrow       = "regrow"       // as CopyTruncate, and the file is longer than it was before anybody looks
	CopyGzip     = "copygzip"     // as CopyTruncate, and the copy is compressed at once
	Gzip         = "gzip"         // as Rename, and app.log.1 is compressed a moment later
	Symlink      = "symlink"      // app.log is a link that is swapped to a new file
	Delete       = "delete"       // app.log is removed while it is written to, and made anew
	Recreate     = "recreate"     // removed and made anew at once, so that the inode may be the same, with an equal head
)

// Kinds are all of them.
func Kinds() []string {
	return []string{Rename, Late, CopyTruncate, Regrow, CopyGzip, Gzip, Symlink, Delete, Recreate}
}

// Writer is an application that logs.
type Writer struct {
	Dir   string
	Lines int           // numbered from 1
	Rate  int           // a second
	Kind  string        // of rotation
	Every time.Duration // between rotations
	Keep  int           // rotated files that are kept; more are removed; 0: all
	Meet  bool          // no rotation before somebody has linked the file

	Begun chan struct{} // no rotation before it is closed; nil: from the start

	Rotations int

	file    *os.File
	old     *os.File // of Late
	oldTill time.Time
	serial  int
	packing chan error // of Gzip
}

func (w *Writer) path() string { return filepath.Join(w.Dir, "app.log") }

// Run writes all lines.
func (w *Writer) Run() error {
	if err := w.open(); err != nil {
		return err
	}
	const tick = 2 * time.Millisecond
	rotate := time.Now().Add(w.Every)
	begun := w.Begun == nil
	started := time.Now()
	var buf []byte
	for next := 1; next <= w.Lines; {
		due := min(int(time.Since(started).Seconds()*float64(w.Rate)), w.Lines)
		buf = buf[:0]
		for ; next <= due; next++ {
			buf = appendLine(buf, next)
			if len(buf) > 32<<10 || next%7 == 0 {
				if err := w.write(buf); err != nil {
					return err
				}
				buf = buf[:0]
			}
		}
		if err := w.write(buf); err != nil {
			return err
		}
		if !begun {
			select {
			case <-w.Begun:
				begun = true
			default:
			}
		}
		if begun && w.Kind != None && time.Now().After(rotate) && (!w.Meet || w.met()) {
			if err := w.rotate(); err != nil {
				return fmt.Errorf("%s: %w", w.Kind, err)
			}
			w.Rotations++
			rotate = time.Now().Add(w.Every)
		}
		time.Sleep(tick)
	}
	if w.packing != nil {
		if err := <-w.packing; err != nil {
			return err
		}
	}
	if w.old != nil {
		w.old.Close()
	}
	return w.file.Close()
}

// met tells whether the shipper keeps a link to the file.
func (w *Writer) met() bool {
	info, err := w.file.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return !ok || st.Nlink > 1
}

func appendLine(b []byte, seq int) []byte {
	return fmt.Appendf(b, `{"seq":%d,"t_ns":%d,"level":"info","msg":"request done","path":"/api/v1/items/%d","status":200,"ms":%d.5}`+"\n", seq, time.Now().UnixNano(), seq%97, seq%31)
}

// write writes to the file, in parts when it pleases: a line may come in two pieces.
func (w *Writer) write(b []byte) error {
	f := w.file
	if w.old != nil {
		if time.Now().Before(w.oldTill) {
			f = w.old
		} else {
			w.old.Close()
			w.old = nil
		}
	}
	if len(b) > 10 && rand.IntN(20) == 0 {
		cut := 1 + rand.IntN(len(b)-1)
		if _, err := f.Write(b[:cut]); err != nil {
			return err
		}
		b = b[cut:]
		time.Sleep(time.Millisecond)
	}
	if len(b) == 0 {
		return nil
	}
	_, err := f.Write(b)
	return err
}

func (w *Writer) open() error {
	name := w.path()
	if w.Kind == Symlink {
		w.serial++
		name = filepath.Join(w.Dir, fmt.Sprintf("data-%04d", w.serial))
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	w.file = f
	if w.Kind == Symlink {
		tmp := w.path() + ".tmp"
		if err := os.Symlink(filepath.Base(name), tmp); err != nil {
			return err
		}
		return os.Rename(tmp, w.path())
	}
	if w.Kind == Recreate { // what makes heads equal
		_, err = f.WriteString("this is the log of an application that always begins like this\n")
	}
	return err
}

func (w *Writer) rotate() error {
	switch w.Kind {
	case CopyTruncate, Regrow, CopyGzip:
		return w.truncate()
	case Symlink:
		w.file.Close()
		return w.open()
	case Delete, Recreate:
		if err := os.Remove(w.path()); err != nil {
			return err
		}
		w.file.Close()
		return w.open()
	}
	if err := w.shift(); err != nil {
		return err
	}
	if w.Kind == Late {
		if w.old != nil {
			w.old.Close()
		}
		w.old, w.oldTill = w.file, time.Now().Add(min(300*time.Millisecond, w.Every/2))
		w.file = nil
		return w.open()
	}
	w.file.Close()
	if err := w.open(); err != nil {
		return err
	}
	if w.Kind == Gzip {
		return w.pack()
	}
	return nil
}

// shift renames app.log.N to app.log.N+1, and app.log to app.log.1.
func (w *Writer) shift() error {
	if w.packing != nil {
		if err := <-w.packing; err != nil {
			return err
		}
		w.packing = nil
	}
	name := func(i int, end string) string { return fmt.Sprintf("%s.%d%s", w.path(), i, end) }
	last := 1
	for exists(name(last, "")) || exists(name(last, ".gz")) {
		last++
	}
	for i := last - 1; i >= 1; i-- {
		for _, end := range []string{"", ".gz"} {
			if !exists(name(i, end)) {
				continue
			}
			if w.Keep > 0 && i >= w.Keep {
				if err := os.Remove(name(i, end)); err != nil {
					return err
				}
				continue
			}
			if err := os.Rename(name(i, end), name(i+1, end)); err != nil {
				return err
			}
		}
	}
	if w.Kind == CopyTruncate || w.Kind == Regrow || w.Kind == CopyGzip {
		return nil
	}
	return os.Rename(w.path(), name(1, ""))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// truncate does what logrotate's copytruncate does, while the application waits: what it would write in between is lost to anybody.
func (w *Writer) truncate() error {
	if err := w.shift(); err != nil {
		return err
	}
	to := w.path() + ".1"
	if w.Kind == CopyGzip {
		to += ".gz"
	}
	if err := copyFile(w.path(), to, w.Kind == CopyGzip); err != nil {
		return err
	}
	return os.Truncate(w.path(), 0)
}

func copyFile(from, to string, packed bool) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	var dst io.Writer = out
	var z *gzip.Writer
	if packed {
		z = gzip.NewWriter(out)
		dst = z
	}
	_, err = io.Copy(dst, in)
	if z != nil {
		err = errors.Join(err, z.Close())
	}
	return errors.Join(err, out.Close())
}

// pack compresses app.log.1 a moment after the rotation, as logrotate does, and removes it.
func (w *Writer) pack() error {
	w.packing = make(chan error, 1)
	go func() {
		time.Sleep(min(50*time.Millisecond, w.Every/2))
		from := w.path() + ".1"
		tmp := from + ".gz.tmp"
		err := copyFile(from, tmp, true)
		if err == nil {
			err = os.Rename(tmp, from+".gz")
		}
		if err == nil {
			err = os.Remove(from)
		}
		w.packing <- err
	}()
	return nil
}
