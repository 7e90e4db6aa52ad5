package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshConn keeps one ssh connection and opens a channel on it for each command.
type sshConn struct {
	cfg     Config
	loc     location
	addr    string
	command string

	mu     sync.Mutex
	client *ssh.Client
}

func openSSH(cfg Config, loc location) (Remote, error) {
	if len(cfg.SSHKeys) == 0 {
		return nil, fmt.Errorf("--repo %s: %w: ssh needs a private key: set --ssh-key-file", loc, ErrConfig)
	}
	if cfg.SSHKnownHosts && cfg.SSHKnownHostsFile == "" {
		return nil, fmt.Errorf("--repo %s: %w: set --ssh-known-hosts-file, or trust any server with --ssh-known-hosts=false", loc, ErrConfig)
	}
	addr := loc.host
	if _, _, err := net.SplitHostPort(addr); err != nil {
		addr = net.JoinHostPort(strings.Trim(addr, "[]"), "22")
	}
	c := &sshConn{cfg: cfg, loc: loc, addr: addr, command: "git-upload-pack " + shellQuote(loc.path)}
	return &streamRemote{cfg: cfg, loc: loc, open: c.session, close: c.close}, nil
}

// shellQuote quotes as git does: servers with git-shell parse exactly this.
func shellQuote(s string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(s) + "'"
}

func (c *sshConn) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil {
		return nil
	}
	err := c.client.Close()
	c.client = nil
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// session runs git-upload-pack. A kept connection that turns out to be dead is replaced once.
func (c *sshConn) session(ctx context.Context) (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		s, err := c.channel(ctx, c.client)
		if err == nil {
			return s, nil
		}
		_ = c.client.Close()
		c.client = nil
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	client, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	s, err := c.channel(ctx, client)
	if err != nil {
		_ = client.Close()
		return nil, transportError(ctx, err)
	}
	c.client = client
	return s, nil
}

// channel starts the command on a connection. A server that does not answer in time loses the connection.
func (c *sshConn) channel(ctx context.Context, client *ssh.Client) (*session, error) {
	limited, cancel := context.WithTimeout(ctx, c.cfg.Timeouts.Dial)
	defer cancel()
	stop := context.AfterFunc(limited, func() { _ = client.Close() })
	defer stop()
	ch, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	stderr := &capped{}
	ch.Stderr = stderr
	w, err := ch.StdinPipe()
	if err != nil {
		return nil, err
	}
	r, err := ch.StdoutPipe()
	if err != nil {
		return nil, err
	}
	// Refused by servers whose AcceptEnv lacks it: they answer with the old protocol, which works too.
	_ = ch.Setenv("GIT_PROTOCOL", "version=2")
	if err := ch.Start(c.command); err != nil {
		_ = ch.Close()
		return nil, err
	}
	explain := func(err error) error { return c.explain(ch, stderr, err) }
	return &session{r: r, w: w, close: ch.Close, explain: explain}, nil
}

// explain prefers what the server wrote to standard error, which is where it says what is wrong.
func (c *sshConn) explain(ch *ssh.Session, stderr *capped, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrLimit) {
		return err
	}
	timer := time.AfterFunc(lastWords, func() { _ = ch.Close() })
	defer timer.Stop()
	_ = ch.Wait()
	said := strings.TrimSpace(stderr.String())
	if said == "" {
		return err
	}
	server := c.cfg.serverError(said)
	if errors.Is(server, ErrNotFound) {
		return fmt.Errorf("check --repo and what the key of --ssh-key-file may read: %w", server)
	}
	return server
}

// dial connects and proves who both ends are.
func (c *sshConn) dial(ctx context.Context) (*ssh.Client, error) {
	signers, err := readKeys(c.cfg.SSHKeys)
	if err != nil {
		return nil, err
	}
	trust, err := newHostTrust(c.cfg, c.addr)
	if err != nil {
		return nil, err
	}
	asked := false
	conf := &ssh.ClientConfig{
		User: c.user(),
		Auth: []ssh.AuthMethod{ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
			asked = true
			return signers, nil
		})},
		HostKeyCallback:   trust.check,
		HostKeyAlgorithms: trust.algorithms,
		ClientVersion:     "SSH-2.0-sidecar",
	}
	d := net.Dialer{Timeout: c.cfg.Timeouts.Dial, KeepAlive: 30 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return nil, transportError(ctx, err)
	}
	_ = conn.SetDeadline(time.Now().Add(c.cfg.Timeouts.Dial))
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	sc, channels, requests, err := ssh.NewClientConn(conn, c.addr, conf)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case trust.refused != nil:
			return nil, trust.refused
		case asked:
			return nil, fmt.Errorf("%w: the server accepts none of the %d keys for user %s: check --ssh-key-file and the user in --repo", ErrAuth, len(signers), c.user())
		}
		return nil, fmt.Errorf("%w: %s", ErrUnreachable, c.cfg.quote(err.Error()))
	}
	_ = conn.SetDeadline(time.Time{})
	return ssh.NewClient(sc, channels, requests), nil
}

func (c *sshConn) user() string {
	if c.loc.user != "" {
		return c.loc.user
	}
	return "git"
}

// readKeys reads private keys for each connection, so that a renewed key needs no restart.
func readKeys(paths []string) ([]ssh.Signer, error) {
	var out []ssh.Signer
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("--ssh-key-file: %w: %w", ErrConfig, err)
		}
		s, err := ssh.ParsePrivateKey(b)
		var locked *ssh.PassphraseMissingError
		if errors.As(err, &locked) {
			return nil, fmt.Errorf("--ssh-key-file %s: %w: the key has a passphrase and nobody is there to type it: use a key without one", path, ErrConfig)
		}
		if err != nil {
			return nil, fmt.Errorf("--ssh-key-file %s: %w: it is not a private key in OpenSSH or PEM form", path, ErrConfig)
		}
		out = append(out, s)
	}
	return out, nil
}
