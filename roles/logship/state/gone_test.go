package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"
)

func TestARemovedFolderIsWrittenAnew(t *testing.T) {
	for name, remove := range map[string]func(dir string) error{
		"folder":   os.RemoveAll,
		"journal":  func(dir string) error { return os.Remove(filepath.Join(dir, "journal")) },
		"replaced": func(dir string) error { return errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(t.TempDir()))) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			s := open(t, dir)
			s.PutGen(Gen{ID: 7, Input: "app"})
			s.Begin(manifest(1, span1(7, 0, 10)))
			s.Done("es", 1)
			syncs(t, s)
			if err := remove(dir); err != nil {
				t.Fatal(err)
			}
			s.Begin(manifest(2, span1(7, 10, 20)))
			syncs(t, s)
			want := known(s)
			if _, err := Open(dir, zerolog.Nop()); !errors.Is(err, ErrLocked) {
				t.Errorf("Open of a second process = %v; want ErrLocked", err)
			}
			s.kill()
			if got := known(open(t, dir)); got != want {
				t.Errorf("after a kill the store says\n%q; want\n%q", got, want)
			}
		})
	}
}

func TestARemovedFolderThatAnotherProcessHasIsLeftToIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	s.PutGen(Gen{ID: 7, Input: "app"})
	if err := s.Sync(t.Context()); !errors.Is(err, ErrLocked) {
		t.Errorf("Sync() = %v; want ErrLocked", err)
	}
}
