package hold

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string) *os.File {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func needsLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("links by descriptor exist on Linux only")
	}
}

func TestAPinOutlivesTheFile(t *testing.T) {
	needsLinux(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	f := write(t, path, "old\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, path, "new\n") // the name is another file by now
	p := NewPins()
	if err := errors.Join(p.Pin(dir, f, 0xabc), p.Pin(dir, f, 0xabc)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path + ".1"); err != nil {
		t.Fatal(err)
	}
	gens, err := p.List(dir)
	if err != nil || !slices.Equal(gens, []uint64{0xabc}) {
		t.Errorf("List() = %x, %v; want abc", gens, err)
	}
	kept, err := p.Open(dir, 0xabc)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if data, err := io.ReadAll(kept); err != nil || string(data) != "old\n" {
		t.Errorf("the pin says %q, %v; want what the file said", data, err)
	}
	if err := errors.Join(Claim(dir), p.Sweep(dir, func(uint64) bool { return true })); err != nil {
		t.Error(err)
	}
	if err := errors.Join(p.Unpin(dir, 0xabc), p.Unpin(dir, 0xabc), p.Sweep(dir, func(uint64) bool { return false })); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, Folder)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of pins: %v; want it gone when it is empty", err)
	}
}

func TestAFolderThatIsNotOursIsRefused(t *testing.T) {
	needsLinux(t)
	for name, make := range map[string]func(dir string) error{
		"link":  func(dir string) error { return os.Symlink("/tmp", dir) },
		"open":  func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777)) },
		"file":  func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
		"other": func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o720)) },
	} {
		dir := t.TempDir()
		f := write(t, filepath.Join(dir, "a.log"), "x\n")
		if err := make(filepath.Join(dir, Folder)); err != nil {
			t.Fatal(err)
		}
		p := NewPins()
		if err := p.Pin(dir, f, 1); err == nil {
			t.Errorf("%s: Pin() = nil; want a refusal", name)
		}
		if err := Claim(dir); err == nil {
			t.Errorf("%s: Claim() = nil; want a refusal", name)
		}
	}
}

func TestAReadOnlyVolumeIsToldOnce(t *testing.T) {
	needsLinux(t)
	p := NewPins()
	f := write(t, filepath.Join(t.TempDir(), "a.log"), "x\n")
	err := p.Pin("/proc/self", f, 1) // nobody can make folders there
	if !errors.Is(err, ErrImpossible) {
		t.Errorf("Pin in a folder that allows nothing = %v; want %v", err, ErrImpossible)
	}
	if again := p.Pin("/proc/self", f, 1); again != err {
		t.Errorf("the second Pin() = %v; want the same error", again)
	}
}

func TestPunchGivesBlocksBack(t *testing.T) {
	needsLinux(t)
	text := strings.Repeat("0123456789abcde\n", 1<<14)
	f := write(t, filepath.Join(t.TempDir(), "a.log"), text)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	const below = 200_000
	n, err := Punch(f, below)
	if err != nil {
		t.Skip("not on this file system: ", err)
	}
	if n == 0 || n > below {
		t.Errorf("Punch() = %d; want some bytes, at most %d", n, below)
	}
	data, err := io.ReadAll(f)
	if err != nil || len(data) != len(text) || string(data[below:]) != text[below:] {
		t.Errorf("after Punch the file has %d bytes, %v; want the size and everything from %d on", len(data), err, below)
	}
	if n, err := Punch(f, 100); n != 0 || err != nil {
		t.Errorf("Punch of less than a block = %d, %v; want 0", n, err)
	}
}

func TestSpoolKeepsCopies(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenSpool(dir, 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Append(7, 100, []byte("abc")), s.Append(7, 103, []byte("def")), s.Sync(7)); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(7, 200, []byte("x")); err == nil || !strings.Contains(err.Error(), "ends at 106") {
		t.Errorf("Append with a hole = %v; want where the copy ends", err)
	}
	if err := s.Append(8, 0, []byte("12345")); !errors.Is(err, ErrFull) {
		t.Errorf("Append beyond the limit = %v; want %v", err, ErrFull)
	}
	s, err = OpenSpool(dir, 10) // another process
	if err != nil {
		t.Fatal(err)
	}
	if base, end, ok := s.Part(7); base != 100 || end != 106 || !ok || s.Used() != 6 || !slices.Equal(s.Gens(), []uint64{7}) {
		t.Errorf("Part(7) = %d, %d, %v of %d bytes; want 100 to 106", base, end, ok, s.Used())
	}
	if err := errors.Join(s.Append(7, 106, []byte("gh")), s.Close()); err != nil {
		t.Fatal(err)
	}
	c, err := s.Open(7)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 10)
	if n, err := c.ReadAt(buf, 102); string(buf[:n]) != "cdefgh" || err != io.EOF {
		t.Errorf("ReadAt(102) = %q, %v; want cdefgh and the end", buf[:n], err)
	}
	if _, err := c.ReadAt(buf, 99); err == nil {
		t.Error("ReadAt before the copy = nil; want an error")
	}
	if err := errors.Join(s.Remove(7), s.Remove(7)); err != nil || s.Used() != 0 {
		t.Errorf("Remove() = %v with %d bytes left; want 0", err, s.Used())
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}
