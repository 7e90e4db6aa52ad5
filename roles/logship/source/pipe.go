package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/source/ident"
)

// pipeFile is how large a file of the spool gets before the next one begins.
const pipeFile = 64 << 20

// pipe copies what a named pipe says into files of the spool, each a generation.
type pipe struct {
	set  *Set
	in   *Input
	path string
	src  *os.File
	done chan struct{}

	gen  *gen // what is written now; guarded by Set.mu
	file *os.File
	size int64

	ended bool // guarded by Set.mu
}

// openPipe begins to read a named pipe. It is opened for writing, too: then it never ends, however often its writers do.
func (s *Set) openPipe(in *Input, _ *folder, _, path string) {
	if s.pipes[path] != nil {
		return
	}
	if s.conf.Spool == "" {
		s.complain("kind", path, errors.New("pipes need a folder for what they say: set the folder of the state"))
		return
	}
	f, err := s.openRoot(in, path, os.O_RDWR|openFlags)
	if err == nil {
		var st ident.Stat
		if st, err = ident.Fstat(f); err == nil && st.Mode&fs.ModeNamedPipe == 0 {
			err = fmt.Errorf("open %s: it is no pipe", path)
		}
		if err != nil {
			f.Close()
		}
	}
	if err != nil {
		s.complain("open", path, err)
		return
	}
	p := &pipe{set: s, in: in, path: path, src: f, done: make(chan struct{})}
	s.pipes[path] = p
	go p.run()
}

// run copies until the pipe is closed.
func (p *pipe) run() {
	defer close(p.done)
	buf := make([]byte, 64<<10)
	for {
		if p.set.spoolFull() {
			if !p.pause() {
				return
			}
			continue
		}
		n, err := p.src.Read(buf)
		if n > 0 {
			err = errors.Join(err, p.write(buf[:n]))
		}
		if err != nil {
			if !errors.Is(err, os.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
				p.set.mu.Lock()
				p.set.complain("pipe", p.path, err)
				p.set.mu.Unlock()
			}
			return
		}
	}
}

// pause waits a little; false: the pipe was closed.
func (p *pipe) pause() bool {
	t := time.NewTimer(100 * time.Millisecond)
	defer t.Stop()
	<-t.C
	_, err := p.src.Stat()
	return err == nil
}

// spoolFull says that nothing more is read from pipes for now, so that their writers wait.
func (s *Set) spoolFull() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conf.SpoolMax > 0 && s.spooled() >= s.conf.SpoolMax
}

// write appends to the spool and says so.
func (p *pipe) write(b []byte) error {
	s := p.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.file == nil || p.size > pipeFile && b[0] == '\n' || p.size > 2*pipeFile {
		if err := p.next(); err != nil {
			return err
		}
	}
	n, err := p.file.Write(b)
	p.size += int64(n)
	if err != nil {
		return err
	}
	st, err := ident.Fstat(p.file)
	if err == nil {
		s.grow(p.gen, st)
	}
	return err
}

// next begins a file.
func (p *pipe) next() error {
	s := p.set
	f := s.folder(s.conf.Spool)
	if err := os.MkdirAll(f.path, 0o700); err != nil {
		return err
	}
	id := s.newID()
	path := filepath.Join(f.path, fmt.Sprintf("pipe-%016x", id))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	st, err := ident.Fstat(file)
	if err != nil {
		file.Close()
		return err
	}
	if p.file != nil {
		p.file.Close()
		p.gen.loose = true
	}
	g := s.newGen(p.in, f, p.path, st)
	g.Now, g.pipe = path, true
	s.add(g)
	f.names[filepath.Base(path)] = &entry{folder: f, name: filepath.Base(path), key: st.Key, gen: g}
	s.follows(g)
	p.gen, p.file, p.size = g, file, 0
	return nil
}

// drain reads what is in the pipe now, then closes it. It is called with Set.mu, which it gives away meanwhile.
func (p *pipe) drain() { p.end(time.Now().Add(20 * time.Millisecond)) }

// close closes the pipe at once.
func (p *pipe) close() { p.end(time.Now()) }

func (p *pipe) end(deadline time.Time) {
	if p.ended {
		return
	}
	p.ended = true
	_ = p.src.SetReadDeadline(deadline) // what is in it is read before that
	p.set.mu.Unlock()
	<-p.done
	p.set.mu.Lock()
	p.src.Close()
	if p.file != nil {
		p.file.Close()
	}
}

// findSpooled takes up what pipes said before the start.
func (s *Set) findSpooled() {
	if s.conf.Spool == "" {
		return
	}
	entries, err := os.ReadDir(s.conf.Spool)
	if err != nil {
		return
	}
	f := s.folder(s.conf.Spool)
	for _, e := range entries {
		path := filepath.Join(f.path, e.Name())
		st, err := ident.Lstat(path)
		if err != nil || !st.Regular() || !strings.HasPrefix(e.Name(), "pipe-") {
			continue
		}
		if g := s.known(st); g != nil {
			g.pipe, g.folder = true, f
			s.foundAt(g, f, e.Name(), path, "", st)
		}
	}
}
