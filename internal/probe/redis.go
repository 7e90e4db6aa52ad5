package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/secret"
)

// replyMax is more than any status or error of redis.
const replyMax = 4 << 10

// redisWant is a server and who asks it.
type redisWant struct {
	host, addr string
	user       string
	password   secret.Value
	file       string // with the password
	trust      *trust // nil: without TLS
}

func openRedis(t target, o *options) (look, error) {
	u, err := t.network()
	if err != nil {
		return nil, err
	}
	w := &redisWant{}
	if w.host, w.addr, err = t.join(u, "6379"); err != nil {
		return nil, err
	}
	if db := strings.Trim(u.Path, "/"); u.RawQuery != "" || db != "" && !isNumber(db) {
		return nil, fmt.Errorf("%s: %w", t.shown, errShape)
	}
	w.file, _ = o.text("password-file")
	w.userinfo(u.User, o)
	if t.scheme == "rediss" {
		w.trust = o.trust()
	}
	return w.look, nil
}

func isNumber(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

func (w *redisWant) userinfo(u *url.Userinfo, o *options) {
	password, has := u.Password()
	w.user, w.password = u.Username(), secret.New(password)
	if has && w.file != "" {
		o.errs = append(o.errs, errors.New("a password in the address excludes the option password-file"))
	}
	if w.user != "" && !has && w.file == "" {
		o.errs = append(o.errs, errors.New("a user without a password: name a file that holds it with password-file"))
	}
}

func (w *redisWant) look(ctx context.Context) (string, error) {
	password := w.password
	if w.file != "" {
		var err error
		if password, err = secret.File(w.file); err != nil {
			return "", fmt.Errorf("option password-file: %w", err)
		}
	}
	conn, err := connect(ctx, "tcp", w.addr)
	if err != nil {
		return "", err
	}
	if w.trust != nil {
		secured, err := w.trust.handshake(ctx, conn, w.host)
		if err != nil {
			return "", err
		}
		conn = secured
	}
	defer conn.Close()
	reply, err := talk(conn, w.user, password)
	if err != nil {
		var scrub secret.Scrubber
		scrub.Add(password.Reveal())
		return "", unsaid(err, &scrub)
	}
	return reply, nil
}

// unsaid removes the password from what the server said.
func unsaid(err error, scrub *secret.Scrubber) error {
	if isOurs(err) {
		return err
	}
	return errors.New(scrub.Clean(err.Error()))
}

// talk says AUTH, where there is a password, and PING in one go and reads the replies.
func talk(conn net.Conn, user string, password secret.Value) (string, error) {
	var say []byte
	auth := password.Reveal() != ""
	switch {
	case auth && user != "":
		say = respCommand("AUTH", user, password.Reveal())
	case auth:
		say = respCommand("AUTH", password.Reveal())
	}
	if _, err := conn.Write(append(say, respCommand("PING")...)); err != nil {
		return "", plain(err, "connected, but the server does not listen")
	}
	r := bufio.NewReader(conn)
	if auth {
		if _, err := respReply(r); err != nil {
			return "", err
		}
	}
	return respReply(r)
}

// respCommand writes an array of bulk strings of the redis protocol
// (redis.io/docs/latest/develop/reference/protocol-spec).
func respCommand(words ...string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, w := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b
}

// respReply reads a status such as +PONG; an error such as -LOADING is an error.
func respReply(r *bufio.Reader) (string, error) {
	text, err := readLine(r, replyMax)
	if err != nil {
		return "", plain(err, "connected, but no answer")
	}
	if status, ok := strings.CutPrefix(text, "+"); ok {
		return status, nil
	}
	reply, ok := strings.CutPrefix(text, "-")
	if !ok {
		return "", fmt.Errorf("answered %q, is it redis?", text[:min(len(text), 80)])
	}
	switch word, _, _ := strings.Cut(reply, " "); word {
	case "NOAUTH":
		return "", fmt.Errorf("%s (name a file that holds the password with password-file)", reply)
	case "WRONGPASS":
		return "", fmt.Errorf("%s (user in the address, password in password-file)", reply)
	}
	return "", errors.New(reply)
}

var errLine = errors.New("its answer has no end of line, is it redis?")

// readLine reads up to the end of a line and drops it.
func readLine(r *bufio.Reader, limit int) (string, error) {
	var b []byte
	for len(b) < limit {
		c, err := r.ReadByte()
		if err != nil {
			return "", err
		}
		if c == '\n' {
			return strings.TrimSuffix(string(b), "\r"), nil
		}
		b = append(b, c)
	}
	return "", errLine
}
