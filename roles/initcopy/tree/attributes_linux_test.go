package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

func stat(t *testing.T, path string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	return st
}

func TestSpecialBits(t *testing.T) {
	from := plant(t, map[string]string{"u": "", "g": "", "s/x": "", "d/x": ""})
	bits := map[string]uint32{"u": 0o4755, "g": 0o2755, "s": 0o1777, "d": 0o2750}
	for name, mode := range bits {
		must(t, unix.Chmod(filepath.Join(from, name), mode))
	}
	to, _, _ := copied(t, from, nil)
	for name, mode := range bits {
		if got := stat(t, filepath.Join(to, name)).Mode & 0o7777; got != mode {
			t.Errorf("%s has mode %04o; want %04o", name, got, mode)
		}
	}
	to, _, _ = copied(t, from, func(j *Job) { j.Rules.Special = false })
	for name, mode := range bits {
		if got := stat(t, filepath.Join(to, name)).Mode & 0o7777; got != mode&0o777 {
			t.Errorf("without special bits %s has mode %04o; want %04o", name, got, mode&0o777)
		}
	}
}

// TestVolumesPassOnTheirGroup: a volume with an fsGroup is a setgid folder, and the group has to get at what is put there.
func TestVolumesPassOnTheirGroup(t *testing.T) {
	from := plant(t, map[string]string{"f": "", "d/e/f": "", "l -> f": ""})
	volume := t.TempDir()
	group := os.Getgid()
	if os.Getuid() == 0 {
		group = 23456
		must(t, os.Chown(volume, 0, group))
	}
	must(t, unix.Chmod(volume, 0o2775))
	for _, special := range []bool{true, false} {
		to := filepath.Join(volume, map[bool]string{true: "a", false: "b"}[special])
		must(t, os.Mkdir(to, 0o700))
		copied(t, from, func(j *Job) { j.To, j.Rules.Special = to, special })
		for name, setgid := range map[string]uint32{"": unix.S_ISGID, "d": unix.S_ISGID, "d/e": unix.S_ISGID, "f": 0, "d/e/f": 0} {
			st := stat(t, filepath.Join(to, name))
			if int(st.Gid) != group || st.Mode&unix.S_ISGID != setgid {
				t.Errorf("special bits %v: %q has mode %04o and group %d; want setgid %04o, %d", special, name, st.Mode&0o7777, st.Gid, setgid, group)
			}
		}
	}
}

// TestRefusedOwnersAreCounted needs no rights: nobody but root may give files away.
func TestRefusedOwnersAreCounted(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may give files away")
	}
	from := plant(t, map[string]string{"a": "", "b/c": "", "l -> a": ""})
	must(t, unix.Chmod(filepath.Join(from, "a"), 0o6755))
	to, _, r := copied(t, from, func(j *Job) { j.Rules.UID, j.Rules.GID = 12345, 12346 })
	if r.ChownRefused != 5 || r.FirstChownRefused != "." {
		t.Errorf("Copy = %+v; want 5 items of the wrong owner, the root first", r)
	}
	if st := stat(t, filepath.Join(to, "a")); st.Mode&0o7777 != 0o755 {
		t.Errorf("a file of the wrong owner has mode %04o; want no setuid and setgid", st.Mode&0o7777)
	}
}

func TestOwnersAreKept(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may give files away")
	}
	from := plant(t, map[string]string{"a": "1", "b/c": "2", "l -> a": "", "long": strings.Repeat("x", smallFile+1)})
	for i, name := range []string{"a", "b", "b/c", "l", "long", ""} {
		must(t, os.Lchown(filepath.Join(from, name), 1000+i, 2000+i))
	}
	must(t, unix.Chmod(filepath.Join(from, "a"), 0o6755))
	to, _, r := copied(t, from, nil)
	if got, want := look(t, to), look(t, from); got != want || r.ChownRefused != 0 {
		t.Errorf("Copy = %+v and\n%s; want\n%s", r, got, want)
	}
	to, _, _ = copied(t, from, func(j *Job) { j.Rules.GID, j.Rules.Owner = 77, false })
	for _, name := range []string{"a", "b", "b/c", "l"} {
		if st := stat(t, filepath.Join(to, name)); st.Uid != 0 || st.Gid != 77 {
			t.Errorf("%s belongs to %d:%d; want 0:77", name, st.Uid, st.Gid)
		}
	}
}

func TestRulesChangeModes(t *testing.T) {
	from := plant(t, map[string]string{"a": "1", "d/x": "2"})
	must(t, os.Chmod(filepath.Join(from, "d/x"), 0o755))
	chmod, err := item.ParseChanges("g+rwX,D2770")
	must(t, err)
	to, _, _ := copied(t, from, func(j *Job) { j.Rules.Chmod, j.Rules.Umask = chmod, 0o007 })
	for name, want := range map[string]uint32{"a": 0o660, "d": 0o2770, "d/x": 0o770, "": 0o2770} {
		if got := stat(t, filepath.Join(to, name)).Mode & 0o7777; got != want {
			t.Errorf("%q has mode %04o; want %04o", name, got, want)
		}
	}
}

func TestMtimeCanBeSet(t *testing.T) {
	from := plant(t, map[string]string{"a": "1", "d/x": "2", "l -> a": ""})
	want := time.Unix(1, 5).UnixNano()
	to, _, _ := copied(t, from, func(j *Job) { j.Mtime = func(int) int64 { return want } })
	for _, name := range []string{"", "a", "d", "d/x", "l"} {
		if st := stat(t, filepath.Join(to, name)); st.Mtim.Nano() != want {
			t.Errorf("%q was changed at %d; want %d", name, st.Mtim.Nano(), want)
		}
	}
}

func TestExtendedAttributes(t *testing.T) {
	from := plant(t, map[string]string{"f": "1", "d/x": "2", "ro": "3", "long": strings.Repeat("x", smallFile+1)})
	value := []byte("a\x00b\xff")
	for _, name := range []string{"f", "d", "ro", "long"} {
		err := unix.Setxattr(filepath.Join(from, name), "user.sidecar", value, 0)
		if errors.Is(err, unix.EOPNOTSUPP) {
			t.Skip("this file system has no extended attributes")
		}
		must(t, err)
	}
	must(t, os.Chmod(filepath.Join(from, "ro"), 0o400))
	to, _, r := copied(t, from, nil)
	for _, name := range []string{"f", "d", "ro", "long"} {
		got := make([]byte, 64)
		n, err := unix.Getxattr(filepath.Join(to, name), "user.sidecar", got)
		if err != nil || !bytes.Equal(got[:n], value) {
			t.Errorf("%s has %q, %v; want %q", name, got[:max(n, 0)], err, value)
		}
	}
	if st := stat(t, filepath.Join(to, "ro")); st.Mode&0o777 != 0o400 || r.XattrsRefused != 0 {
		t.Errorf("mode %04o, %+v; want 0400 and nothing refused", st.Mode&0o777, r)
	}
	to, _, _ = copied(t, from, func(j *Job) { j.Xattrs = false })
	if n, err := unix.Getxattr(filepath.Join(to, "f"), "user.sidecar", make([]byte, 64)); err == nil {
		t.Errorf("without Xattrs f has %d bytes of one", n)
	}
}

// acl is a POSIX ACL as the kernel takes it: owner, one more user, group, mask, others.
func acl(perms [5]uint16, user uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for i, tag := range []uint16{0x01, 0x02, 0x04, 0x10, 0x20} {
		id := uint32(0xffffffff)
		if tag == 0x02 {
			id = user
		}
		b = binary.LittleEndian.AppendUint16(b, tag)
		b = binary.LittleEndian.AppendUint16(b, perms[i])
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	return b
}

func TestACLs(t *testing.T) {
	const access, defaults = "system.posix_acl_access", "system.posix_acl_default"
	from := plant(t, map[string]string{"f": "1", "d/x": "2"})
	want := map[[2]string][]byte{
		{"f", access}:   acl([5]uint16{6, 6, 4, 6, 0}, 4242),
		{"d", access}:   acl([5]uint16{7, 5, 5, 5, 0}, 4242),
		{"d", defaults}: acl([5]uint16{7, 7, 5, 7, 0}, 4243),
	}
	for k, v := range want {
		err := unix.Setxattr(filepath.Join(from, k[0]), k[1], v, 0)
		if errors.Is(err, unix.EOPNOTSUPP) {
			t.Skip("this file system has no ACLs")
		}
		must(t, err)
	}
	to, _, _ := copied(t, from, nil)
	for k, v := range want {
		got := make([]byte, 256)
		n, err := unix.Getxattr(filepath.Join(to, k[0]), k[1], got)
		if err != nil || !bytes.Equal(got[:n], v) {
			t.Errorf("%s of %s = %x, %v; want %x", k[1], k[0], got[:max(n, 0)], err, v)
		}
	}
	if got, want := look(t, to), look(t, from); got != want {
		t.Errorf("Copy made\n%s; want\n%s", got, want)
	}
}

// TestDefaultACLOfTheTarget: the mode of the source counts, whatever new files in the target begin with.
func TestDefaultACLOfTheTarget(t *testing.T) {
	from := plant(t, map[string]string{"f": "1", "d/x": "2"})
	to := t.TempDir()
	err := unix.Setxattr(to, "system.posix_acl_default", acl([5]uint16{7, 7, 7, 7, 7}, 4242), 0)
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("this file system has no ACLs")
	}
	must(t, err)
	must(t, os.Chmod(filepath.Join(from, "f"), 0o640))
	for _, xattrs := range []bool{false, true} {
		sub := filepath.Join(to, map[bool]string{true: "a", false: "b"}[xattrs])
		must(t, os.Mkdir(sub, 0o700))
		copied(t, from, func(j *Job) { j.To, j.Xattrs = sub, xattrs })
		if got, want := look(t, sub), look(t, from); got != want {
			t.Errorf("Copy made\n%s; want\n%s", got, want)
		}
	}
}

func TestHolesStayHoles(t *testing.T) {
	from := plant(t, map[string]string{"small": "x", "large": "x", "full": strings.Repeat("x", 100_000)})
	must(t, os.Truncate(filepath.Join(from, "small"), 200_000))
	must(t, os.Truncate(filepath.Join(from, "large"), 40<<20))
	to, j, _ := copied(t, from, nil)
	for _, name := range []string{"small", "large", "full"} {
		a, b := stat(t, filepath.Join(from, name)), stat(t, filepath.Join(to, name))
		if a.Size != b.Size || b.Blocks > a.Blocks+128 {
			t.Errorf("%s: %d bytes in %d blocks; want %d in %d", name, b.Size, b.Blocks, a.Size, a.Blocks)
		}
	}
	if bytes, inodes := Need(j.Items, 4096); bytes > 1<<20 || bytes < 100_000 || inodes != 4 {
		t.Errorf("Need = %d bytes, %d inodes; want holes not counted, 4", bytes, inodes)
	}
}
