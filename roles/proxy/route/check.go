package route

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/secret"
)

// What a name of HTTP may consist of (RFC 9110).
func isToken(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// ours are fields that say where a message ends or who is talking; a route must not change them.
func ours(name string) bool {
	switch strings.ToLower(name) {
	case "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "keep-alive", "proxy-connection", "expect", "host":
		return true
	}
	return false
}

func checkFieldName(name string) error {
	for i := range len(name) {
		if !isToken(name[i]) {
			return errors.New("want the name of a header field, such as X-Tenant")
		}
	}
	switch {
	case name == "":
		return errors.New("want the name of a header field, such as X-Tenant")
	case strings.EqualFold(name, "host"):
		return errors.New("want send-host for the Host field")
	case ours(name):
		return errors.New("the proxy decides about this field; leave it out")
	}
	return nil
}

func checkField(name, value string) error {
	if err := checkFieldName(name); err != nil {
		return err
	}
	if value == secret.Mask {
		return errors.New("the value was masked when it was printed; write it again")
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return errors.New("the value has a control character")
		}
	}
	return nil
}

func checkName(name string) error {
	if name == "" || strings.ContainsAny(name, " \t\r\n/:@?#*,") {
		return errors.New("want a name such as db1.example")
	}
	return nil
}

func checkHost(name string) error {
	if strings.ContainsFunc(name, func(r rune) bool { return r > '~' }) {
		return errors.New("want the name as clients send it, which is ASCII and begins with xn--")
	}
	if checkName(strings.TrimPrefix(name, "*.")) != nil {
		return errors.New("want a host such as www.example.com or *.example.com, without port")
	}
	return nil
}

func checkSendHost(name string) error {
	if name == "" || strings.ContainsAny(name, " \t\r\n/@?#*,") {
		return errors.New("want client, upstream, or a name such as app.example")
	}
	return nil
}

func checkPin(pin string) error {
	pin = strings.TrimPrefix(pin, "sha256/")
	raw, err := base64.StdEncoding.DecodeString(pin)
	if err != nil || len(raw) != 32 {
		return errors.New("want the sha256 of a public key in base64 (44 characters)")
	}
	return nil
}

func checkOwner(text string) error {
	uid, gid, _ := strings.Cut(text, ":")
	for _, id := range []string{uid, gid} {
		if _, err := strconv.ParseUint(id, 10, 31); id != "" && err != nil {
			return errors.New("want numbers such as 1000:2000, 1000 or :2000")
		}
	}
	if uid+gid == "" {
		return errors.New("want numbers such as 1000:2000, 1000 or :2000")
	}
	return nil
}
