package run

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// account is the user a job runs as.
type account struct {
	name   string
	home   string
	uid    uint32
	gid    uint32
	groups []uint32
}

// lookAccount finds a user in /etc/passwd. An image without one can still name
// users by number: UID or UID:GID.
func lookAccount(name string) (*account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		if a, ok := numeric(name); ok {
			return a, nil
		}
		if name == "root" { // in an image without /etc/passwd, too
			return &account{name: name, home: "/root"}, nil
		}
		var unknown user.UnknownUserError
		if errors.As(err, &unknown) {
			err = errors.New("no such user in /etc/passwd")
		}
		return nil, fmt.Errorf("user %s: %w\nhint: a number works without /etc/passwd: user=1000 or user=1000:1000", name, err)
	}
	a := &account{name: u.Username, home: u.HomeDir}
	if a.uid, err = id(u.Uid); err == nil {
		a.gid, err = id(u.Gid)
	}
	if err != nil {
		return nil, fmt.Errorf("user %s in /etc/passwd: %w", name, err)
	}
	groups, err := u.GroupIds()
	if err != nil {
		groups = nil // no /etc/group: the user has the one group
	}
	for _, g := range groups {
		if n, err := id(g); err == nil {
			a.groups = append(a.groups, n)
		}
	}
	return a, nil
}

func numeric(name string) (*account, bool) {
	first, second, pair := strings.Cut(name, ":")
	if !pair {
		second = first
	}
	uid, err := id(first)
	if err != nil {
		return nil, false
	}
	gid, err := id(second)
	if err != nil {
		return nil, false
	}
	return &account{name: first, home: "/", uid: uid, gid: gid}, true
}

func id(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	return uint32(n), err
}

func (a *account) credential() *syscall.Credential {
	return &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: a.groups}
}

func (a *account) env() []string {
	return []string{"HOME=" + a.home, "USER=" + a.name, "LOGNAME=" + a.name}
}
