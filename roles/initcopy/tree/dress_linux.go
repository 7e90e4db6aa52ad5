package tree

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// dresser gives copies their attributes. It is shared by the workers of one copy.
type dresser struct {
	rules  item.Rules
	xattrs bool
	birth  birth

	uidRefused atomic.Bool // nobody who may not give away one file may give away another
	noXattrs   atomic.Bool // the source's file system has none

	mu          sync.Mutex
	gidsRefused map[int]bool
	chown       refusals
	xattr       refusals
}

// xattrMax is how long the list of names and each value can be on Linux.
const xattrMax = 64 << 10

// refusals counts items that lack something.
type refusals struct {
	n     int
	first string
}

func (r *refusals) add(path string) {
	if r.n++; r.first == "" || item.Compare(path, r.first) < 0 {
		r.first = path
	}
}

func (d *dresser) report(r *Result) {
	r.ChownRefused, r.FirstChownRefused = d.chown.n, d.chown.first
	r.XattrsRefused, r.FirstXattrRefused = d.xattr.n, d.xattr.first
}

// birth is what a new file in the target has before anything is set, so that nothing needs to be set twice.
type birth struct {
	known    bool
	uid, gid int
	perm     uint32 // what is left of mode 0777: umask or a default ACL took the rest
	inherits bool   // the root passes its group on, as volumes with an fsGroup do
	group    int    // which group that is
}

func (d *dresser) init(root int, rules item.Rules, xattrs bool) {
	d.rules, d.xattrs = rules, xattrs
	var st unix.Stat_t
	if unix.Fstat(root, &st) == nil && st.Mode&unix.S_ISGID != 0 {
		d.birth.inherits, d.birth.group = true, int(st.Gid)
	}
	fd, err := unix.Openat(root, ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o777)
	if err != nil {
		return // a file system without unnamed files: every new one is asked
	}
	defer unix.Close(fd)
	if unix.Fstat(fd, &st) == nil {
		d.birth.known, d.birth.uid, d.birth.gid, d.birth.perm = true, int(st.Uid), int(st.Gid), st.Mode&0o777
	}
}

// owner is who an item should belong to, item.Keep for whoever makes it. The group that a volume passes on stays, unless
// the user asked for another.
func (d *dresser) owner(it *item.Item) (uid, gid int) {
	uid, gid = d.rules.OwnerOf(it)
	if d.birth.inherits && d.rules.GID == item.Keep {
		gid = item.Keep
	}
	return uid, gid
}

// outfit is a dresser in the hand of one worker.
type outfit struct {
	*dresser
	names, value []byte
}

// birthMode is the mode to create a file with. exact says that it then is as it should be: nothing about the file is
// secret for longer than its final mode allows, and nobody else owns it afterwards.
func (o *outfit) birthMode(it *item.Item, xattrs []string) (mode uint32, exact bool) {
	mode = o.rules.ModeOf(it)
	uid, gid := o.owner(it)
	b := &o.birth
	same := b.known && (uid == item.Keep || uid == b.uid) && (gid == item.Keep || gid == b.gid)
	if same && mode&^b.perm == 0 && len(xattrs) == 0 {
		return mode, true
	}
	return 0o600, false
}

// file dresses a new file: owner, attributes, mode, times, in this order, because each takes away something of the later.
func (o *outfit) file(fd, src int, it *item.Item, mtime int64, exact bool, xattrs []string) error {
	if exact {
		return setTime(fd, mtime)
	}
	var st unix.Stat_t
	if o.birth.known {
		st.Uid, st.Gid = uint32(o.birth.uid), uint32(o.birth.gid)
	} else if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	mode := o.rules.ModeOf(it)
	mode &^= o.own(it, &st, func(uid, gid int) error { return unix.Fchown(fd, uid, gid) })
	if err := o.copyXattrs(fd, src, xattrs, it); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, mode); err != nil {
		return err
	}
	return setTime(fd, mtime)
}

// folder dresses a folder whose content is there.
func (o *outfit) folder(fd, src int, it *item.Item, mtime int64) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	mode := o.rules.ModeOf(it) | st.Mode&unix.S_ISGID
	o.own(it, &st, func(uid, gid int) error { return unix.Fchown(fd, uid, gid) })
	names, err := o.list(src)
	if err == nil {
		err = o.copyXattrs(fd, src, names, it)
	}
	if err != nil {
		return err
	}
	if err := unix.Fchmod(fd, mode); err != nil {
		return err
	}
	return setTime(fd, mtime)
}

// symlink dresses a link itself. It has no mode.
func (o *outfit) symlink(dir int, name string, it *item.Item, mtime int64) error {
	var st unix.Stat_t
	if o.birth.known {
		st.Uid, st.Gid = uint32(o.birth.uid), uint32(o.birth.gid)
	} else if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	o.own(it, &st, func(uid, gid int) error { return unix.Fchownat(dir, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW) })
	err := unix.UtimesNanoAt(dir, name, times(mtime), unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil // a file system whose links have no time
	}
	return err
}

// own changes the owner as far as that is permitted and counts where it is not. drop are the bits that a file of the
// wrong owner must not have: setuid to somebody else would be worse than none.
func (o *outfit) own(it *item.Item, st *unix.Stat_t, chown func(uid, gid int) error) (drop uint32) {
	uid, gid := o.owner(it)
	if uid == int(st.Uid) {
		uid = item.Keep
	}
	if gid == int(st.Gid) {
		gid = item.Keep
	}
	if uid == item.Keep && gid == item.Keep {
		return 0
	}
	if uid != item.Keep && !o.uidRefused.Load() {
		if chown(uid, gid) == nil {
			return 0
		}
		if chown(uid, item.Keep) == nil {
			uid = item.Keep
		} else {
			o.uidRefused.Store(true)
		}
	}
	if uid != item.Keep {
		drop |= item.Setuid
	}
	if gid != item.Keep && !o.ownGroup(gid, chown) {
		drop |= item.Setgid
	}
	if drop != 0 {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.chown.add(it.Path)
	}
	return drop
}

// ownGroup changes the group alone, which is permitted to members.
func (o *outfit) ownGroup(gid int, chown func(uid, gid int) error) bool {
	o.mu.Lock()
	refused := o.gidsRefused[gid]
	o.mu.Unlock()
	if refused {
		return false
	}
	if chown(item.Keep, gid) == nil {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gidsRefused == nil {
		o.gidsRefused = make(map[int]bool)
	}
	o.gidsRefused[gid] = true
	return false
}

// list returns the names of the extended attributes of src that are to be copied. They are those that a user can have
// meant: his own, ACLs, capabilities. Labels of security modules belong to the place, not to the file.
func (o *outfit) list(src int) ([]string, error) {
	if !o.xattrs || src < 0 || o.noXattrs.Load() {
		return nil, nil
	}
	if o.names == nil {
		o.names = make([]byte, xattrMax)
	}
	n, err := unix.Flistxattr(src, o.names)
	if errors.Is(err, unix.EOPNOTSUPP) {
		o.noXattrs.Store(true)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list extended attributes: %w", err)
	}
	if n == 0 {
		return nil, nil
	}
	var names []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(o.names[:n]), "\x00"), "\x00") {
		if o.wanted(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// copyXattrs copies the attributes of these names, and counts the item if that is refused.
func (o *outfit) copyXattrs(fd, src int, names []string, it *item.Item) error {
	refused := false
	for _, name := range names {
		if o.value == nil {
			o.value = make([]byte, xattrMax)
		}
		n, err := unix.Fgetxattr(src, name, o.value)
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err == nil {
			err = unix.Fsetxattr(fd, name, o.value[:n], 0)
		}
		switch {
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
			refused = true
		case err != nil:
			return fmt.Errorf("extended attribute %s: %w", name, err)
		}
	}
	if refused {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.xattr.add(it.Path)
	}
	return nil
}

func (d *dresser) wanted(name string) bool {
	switch {
	case strings.HasPrefix(name, "user."), name == "system.posix_acl_access", name == "system.posix_acl_default":
		return true
	}
	return name == "security.capability" && d.rules.Special
}
