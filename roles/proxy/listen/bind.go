package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// Bind takes the address. Connections queue up in the kernel from now on. An
// error names the address and the remedy.
func Bind(ctx context.Context, c Config) (*Socket, error) {
	s := &Socket{config: c, limiter: newPerIP(c.MaxPerIP), closing: make(chan struct{}), looped: make(chan struct{})}
	if c.MaxConns > 0 {
		s.slots = make(chan struct{}, c.MaxConns)
	}
	var err error
	switch {
	case strings.HasPrefix(c.Network, "tcp"):
		s.inner, err = bindTCP(ctx, &c)
	case c.Network != "unix":
		err = fmt.Errorf("unknown network %q", c.Network)
	case strings.HasPrefix(c.Address, "@"):
		s.inner, err = bindAbstract(ctx, &c)
	default:
		s.inner, s.file, err = bindFile(ctx, &c)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", c.Address, explain(err))
	}
	return s, nil
}

func bindTCP(ctx context.Context, c *Config) (net.Listener, error) {
	idle := c.KeepAlive
	if idle == 0 {
		idle = defaultKeepAlive
	}
	alive := net.KeepAliveConfig{Enable: idle > 0, Idle: idle, Interval: idle / 3, Count: 4}
	lc := net.ListenConfig{KeepAliveConfig: alive}
	if inherited || !alive.Enable { // not per connection
		lc.KeepAliveConfig, lc.KeepAlive = net.KeepAliveConfig{}, -1
	}
	lc.Control = func(_, _ string, raw syscall.RawConn) error { return prepare(raw, c.ReusePort, alive) }
	return lc.Listen(ctx, c.Network, c.Address)
}

func bindAbstract(ctx context.Context, c *Config) (net.Listener, error) {
	if c.Mode != 0 || c.Owner != 0 || c.Group != 0 {
		return nil, errors.New("an abstract socket has no mode and no owner\nhint: use a path, or leave mode, owner and group out")
	}
	var lc net.ListenConfig
	return lc.Listen(ctx, "unix", c.Address)
}

// explain adds the remedy and drops what the text of Bind says already.
func explain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	hint := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "another process or another route listens there, or it is the port of --admin; choose another port, or stop it"
	case errors.Is(err, syscall.EACCES):
		hint = "choose a port from 1024 on, or give the container the capability NET_BIND_SERVICE; for a unix socket, let the user write to its folder"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "no interface of this pod has that address; 0.0.0.0 or [::] means all"
	case errors.Is(err, syscall.ENOENT):
		hint = "make the folder of the unix socket, or mount a volume there"
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENAMETOOLONG):
		hint = "the path of a unix socket may have 107 bytes"
	}
	if hint == "" {
		return err
	}
	return fmt.Errorf("%w\nhint: %s", err, hint)
}
