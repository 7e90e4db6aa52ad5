package listen

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	defaultMode = 0o660
	maxPath     = 107 // of a unix socket, on Linux
)

// socketFile is the file of a unix socket, as we made it.
type socketFile struct {
	path string
	info fs.FileInfo
}

// remove takes the file away unless somebody replaced it meanwhile.
func (f *socketFile) remove() {
	if f == nil {
		return
	}
	if now, err := os.Lstat(f.path); err == nil && os.SameFile(now, f.info) {
		_ = os.Remove(f.path)
	}
}

// bindFile makes a unix socket. It gets its mode under another name and is
// renamed then: nobody can connect before, and a stale one is replaced at once.
func bindFile(ctx context.Context, c *Config) (net.Listener, *socketFile, error) {
	if err := vacant(ctx, c.Address); err != nil {
		return nil, nil, err
	}
	name := filepath.Join(filepath.Dir(c.Address), "."+rand.Text()[:8])
	if len(name) > maxPath {
		return nil, nil, fmt.Errorf("%w: the folder's name is too long", syscall.ENAMETOOLONG)
	}
	if len(c.Address) > maxPath {
		return nil, nil, syscall.ENAMETOOLONG
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", name)
	if err != nil {
		return nil, nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	info, err := settle(c, name)
	if err != nil {
		_ = os.Remove(name)
		_ = l.Close()
		return nil, nil, err
	}
	return l, &socketFile{c.Address, info}, nil
}

// settle gives the socket its mode, owner and name.
func settle(c *Config, name string) (fs.FileInfo, error) {
	mode := c.Mode
	if mode == 0 {
		mode = defaultMode
	}
	owner, group := c.Owner, c.Group
	if owner == 0 {
		owner = -1
	}
	if group == 0 {
		group = -1
	}
	if owner >= 0 || group >= 0 {
		if err := os.Lchown(name, owner, group); err != nil {
			return nil, fmt.Errorf("give the socket its owner: %w", err)
		}
	}
	if err := os.Chmod(name, mode); err != nil {
		return nil, fmt.Errorf("give the socket its mode: %w", err)
	}
	if err := os.Rename(name, c.Address); err != nil {
		return nil, fmt.Errorf("give the socket its name: %w", err)
	}
	return os.Lstat(c.Address)
}

// vacant accepts a path that is free, or that of a socket on which nobody
// answers: the process that made it is gone.
func vacant(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return errors.New("the path exists and is no socket\nhint: remove it, or choose another path")
	}
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = conn.Close()
		return syscall.EADDRINUSE
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return fmt.Errorf("find out whether the socket there is in use: %w", err)
	}
}
