package probe

import (
	"context"
	"net"
	"sync"
	"time"
)

// connect dials and binds the life of the connection to ctx: when it ends, what
// waits for the connection returns.
func connect(ctx context.Context, network, addr string) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, plain(err, "no connection")
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return &boundConn{conn, stop}, nil
}

type boundConn struct {
	net.Conn
	stop func() bool
}

func (c *boundConn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// askFirst holds back what the server says until something was said to it. To
// net/http a server that greets, as those for mail or ssh do, is one that answers what was
// not asked, and it writes that, with what was said, to the log of the process.
func askFirst(conn net.Conn) net.Conn {
	if conn == nil {
		return nil
	}
	return &askingConn{Conn: conn, asked: make(chan struct{})}
}

type askingConn struct {
	net.Conn
	asked chan struct{}
	once  sync.Once
}

func (c *askingConn) Read(p []byte) (int, error) {
	<-c.asked
	return c.Conn.Read(p)
}

func (c *askingConn) Write(p []byte) (int, error) {
	defer c.once.Do(func() { close(c.asked) })
	return c.Conn.Write(p)
}

func (c *askingConn) Close() error {
	c.once.Do(func() { close(c.asked) })
	return c.Conn.Close()
}

// touch is a look that connects and no more.
func touch(network, addr string) look {
	return func(ctx context.Context) (string, error) {
		conn, err := connect(ctx, network, addr)
		if err != nil {
			return "", err
		}
		_ = conn.Close()
		return "connected", nil
	}
}

func openTCP(t target, _ *options) (look, error) {
	_, addr, err := t.hostPort("")
	if err != nil {
		return nil, err
	}
	return touch("tcp", addr), nil
}

func openUnix(t target, _ *options) (look, error) {
	path, err := t.path()
	if err != nil {
		return nil, err
	}
	return touch("unix", path), nil
}
