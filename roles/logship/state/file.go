package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// compactAt is the least size at which a journal is replaced by a snapshot.
const compactAt = 4 << 20

func (s *Store) path() string { return filepath.Join(s.dir, "journal") }

// load reads the journal and cuts what a kill left unfinished.
func (s *Store) load() error {
	data, err := os.ReadFile(s.path())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err == nil && len(data) >= len(magic) && string(data[:len(magic)]) != magic {
		return fmt.Errorf("%s is no journal of logship, or of a newer version: move it away to begin anew", s.path())
	}
	good := 0
	if len(data) >= len(magic) {
		good = s.replay(data[len(magic):]) + len(magic)
	}
	if good < len(data) {
		if err := s.keepDamage(data, good); err != nil {
			return err
		}
	}
	if good < len(magic) || good < len(data) {
		return s.rewrite() // begins a new file: what was damaged is not written over
	}
	s.file, err = os.OpenFile(s.path(), os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if s.mine, err = s.file.Stat(); err != nil {
		return err
	}
	s.size, s.floor = int64(good), int64(len(s.snapshot()))
	s.bytes.Store(s.size)
	_, err = s.file.Seek(s.size, io.SeekStart)
	return err
}

// replay applies frames up to the first that is not whole and returns how many bytes that were.
func (s *Store) replay(data []byte) int {
	rest := data
	for len(rest) > 0 {
		payload, next, err := cutFrame(rest)
		if err != nil || s.apply(payload) != nil {
			break
		}
		rest = next
	}
	return len(data) - len(rest)
}

// keepDamage tells a torn end, which a kill leaves, from damage in the middle, of which a copy is kept.
func (s *Store) keepDamage(data []byte, good int) error {
	frames := 0
	for i := good + 1; i < len(data) && i < good+1<<20; i++ {
		if _, _, err := cutFrame(data[i:]); err == nil {
			frames++
			break
		}
	}
	if frames == 0 {
		s.log.Info().Int("bytes", len(data)-good).Msg("journal ended in the middle of a record: cut")
		return nil
	}
	aside := filepath.Join(s.dir, "journal.damaged")
	s.log.Error().Int("offset", good).Int("bytes", len(data)-good).Str("copy", aside).
		Msg("journal is damaged: what follows is lost, and lines of that time may be sent twice")
	return os.WriteFile(aside, data, 0o600)
}

// Sync makes everything durable that was said before. Calls at the same time share one write.
func (s *Store) Sync(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	want := s.said
	for s.durable < want {
		if s.busy != nil {
			busy := s.busy
			s.mu.Unlock()
			select {
			case <-busy:
				s.mu.Lock()
				continue
			case <-ctx.Done():
				s.mu.Lock()
				return ctx.Err()
			}
		}
		if err := s.write(); err != nil {
			return fmt.Errorf("state folder %s: %w", s.dir, err)
		}
	}
	return nil
}

// write takes what is pending to the disk. It is called with mu held, and lets it go meanwhile.
func (s *Store) write() error {
	buf, said := s.pending, s.said
	s.pending = nil
	var whole []byte
	if s.gone() {
		s.torn = true
	}
	if s.torn || s.size+int64(len(buf)) > max(compactAt, 4*s.floor) {
		whole = s.snapshot()
	}
	done := make(chan struct{})
	s.busy = done
	s.mu.Unlock()
	err := s.put(buf, whole)
	s.mu.Lock()
	s.busy = nil
	close(done)
	if err != nil {
		s.pending = append(buf, s.pending...)
		text := err.Error()
		s.failed.Store(&text)
		s.failures.Add(1)
		return err
	}
	s.durable = said
	s.failed.Store(nil)
	s.syncs.Add(1)
	s.bytes.Store(s.size)
	if s.pending == nil && cap(buf) <= 1<<20 {
		s.pending = buf[:0]
	}
	return nil
}

// put appends buf, or replaces the file by a snapshot that has it already. Where a snapshot finds no room, the journal goes on.
func (s *Store) put(buf, whole []byte) error {
	if s.torn && whole != nil {
		if err := s.again(); err != nil {
			return err
		}
	}
	if whole != nil {
		err := s.replace(whole)
		if err == nil || s.torn {
			return err
		}
	}
	if _, err := s.file.Write(buf); err != nil {
		return errors.Join(err, s.cut())
	}
	if err := datasync(s.file); err != nil {
		return errors.Join(err, s.cut())
	}
	s.size += int64(len(buf))
	return nil
}

// cut takes back what was written in part.
func (s *Store) cut() error {
	err := s.file.Truncate(s.size)
	if err == nil {
		_, err = s.file.Seek(s.size, io.SeekStart)
	}
	s.torn = err != nil
	return err
}

// gone says that the journal has its name no more: somebody removed the folder, or what is in it.
func (s *Store) gone() bool {
	if s.mine == nil {
		return false
	}
	named, err := os.Stat(s.path())
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	return !os.SameFile(named, s.mine)
}

// again makes the folder and locks it where it was removed under way. What is known is in memory, so nothing is lost with it.
func (s *Store) again() error {
	if !s.gone() {
		return nil
	}
	s.log.Warn().Str("folder", s.dir).Msg("the journal was removed by somebody: it is written anew")
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(s.dir, "lock")
	held, err := s.lock.Stat()
	if err != nil {
		return err
	}
	if named, err := os.Stat(path); err == nil && os.SameFile(named, held) {
		return nil
	}
	lock, err := lockFile(path)
	if err != nil {
		return err
	}
	s.lock.Close()
	s.lock = lock
	return nil
}

func (s *Store) rewrite() error { return s.replace(s.snapshot()) }

// replace puts a whole new journal in the place of the old one.
func (s *Store) replace(whole []byte) error {
	next := s.path() + ".new"
	f, err := os.OpenFile(next, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(whole)
	if err == nil {
		err = f.Sync()
	}
	var mine os.FileInfo
	if err == nil {
		mine, err = f.Stat()
	}
	if err == nil {
		err = os.Rename(next, s.path())
	}
	if err != nil {
		f.Close()
		os.Remove(next)
		return err
	}
	if s.file != nil {
		s.file.Close()
	}
	s.file, s.mine, s.size, s.floor, s.torn = f, mine, int64(len(whole)), int64(len(whole)), false
	s.bytes.Store(s.size)
	return syncDir(s.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
