package unpack

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// mem is a member for every format: f file, d folder, l symbolic link, h hard link, c b p devices and FIFO.
type mem struct {
	kind       byte
	name, link string
	body       string
	mode       uint32
	flag       byte // tar: instead of the kind's
}

// tarHead is a header as ustar has it, whatever the name.
func tarHead(flag byte, name, link string, mode uint32, size int64) []byte {
	b := make([]byte, block)
	copy(b, name)
	copy(b[100:], fmt.Sprintf("%07o\x00%07o\x00%07o\x00%011o\x00%011o\x00", mode, 1000, 1000, size, 1700000000))
	copy(b[148:], "        ")
	b[156] = flag
	copy(b[157:257], link)
	copy(b[257:], "ustar\x0000")
	return tarSum(b)
}

func tarSum(b []byte) []byte {
	copy(b[148:], "        ")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func padded(body string) []byte {
	return append([]byte(body), make([]byte, -len(body)&(block-1))...)
}

// pax is an extended header in front of a member.
func pax(flag byte, records ...string) []byte {
	var body string
	for i := 0; i < len(records); i += 2 {
		rest := " " + records[i] + "=" + records[i+1] + "\n"
		n := len(rest) + 1
		for len(fmt.Sprint(n))+len(rest) != n {
			n++
		}
		body += fmt.Sprint(n) + rest
	}
	return append(tarHead(flag, "pax", "", 0o644, int64(len(body))), padded(body)...)
}

func tarMembers(ms ...mem) []byte {
	var all []byte
	for _, m := range ms {
		flag := map[byte]byte{'f': '0', 'd': '5', 'l': '2', 'h': '1', 'c': '3', 'b': '4', 'p': '6'}[m.kind]
		if m.flag != 0 {
			flag = m.flag
		}
		mode := m.mode
		if mode == 0 {
			mode = 0o644
			if m.kind == 'd' {
				mode = 0o755
			}
		}
		var records []string
		if len(m.name) > 100 {
			records = append(records, "path", m.name)
		}
		if len(m.link) > 100 {
			records = append(records, "linkpath", m.link)
		}
		if records != nil {
			all = append(all, pax('x', records...)...)
		}
		all = append(all, tarHead(flag, m.name[:min(100, len(m.name))], m.link[:min(100, len(m.link))], mode, int64(len(m.body)))...)
		all = append(all, padded(m.body)...)
	}
	return all
}

// tarOf is a whole tar.
func tarOf(ms ...mem) []byte { return append(tarMembers(ms...), make([]byte, 2*block)...) }

func gzipOf(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

func zstdOf(b []byte, o ...zstd.EOption) []byte {
	z, err := zstd.NewWriter(nil, append(o, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(64<<10))...)
	if err != nil {
		panic(err)
	}
	defer z.Close()
	return z.EncodeAll(b, nil)
}

func deflateOf(b []byte) []byte {
	var out bytes.Buffer
	z, _ := flate.NewWriter(&out, 6)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

// zmem is a member of a zip of which every field can be a lie. Functions change the finished headers.
type zmem struct {
	name   string
	body   string
	unix   uint32 // type and mode; 0 for made on DOS
	method uint16
	flags  uint16
	packed []byte // instead of the body's
	extra  []byte // of the list
	local  func(h []byte) []byte
	list   func(h []byte) []byte
	tail   []byte // behind the content, such as a descriptor
}

// zipOf writes a zip. end changes the end of it: the records behind the list.
func zipOf(end func(b []byte) []byte, ms ...zmem) []byte {
	var all, list []byte
	for _, m := range ms {
		data := m.packed
		if data == nil {
			if data = []byte(m.body); m.method == deflated {
				data = deflateOf(data)
			}
		}
		at := len(all)
		h := make([]byte, lenLocal)
		copy(h, sigLocal)
		le.PutUint16(h[4:], 20)
		le.PutUint16(h[6:], m.flags)
		le.PutUint16(h[8:], m.method)
		le.PutUint16(h[10:], 12<<11|34<<5|28)        // 12:34:56
		le.PutUint16(h[12:], (2024-1980)<<9|5<<5|17) // 2024-05-17
		if m.flags&8 == 0 {
			le.PutUint32(h[14:], crc32.ChecksumIEEE([]byte(m.body)))
			le.PutUint32(h[18:], uint32(len(data)))
			le.PutUint32(h[22:], uint32(len(m.body)))
		}
		le.PutUint16(h[26:], uint16(len(m.name)))
		h = append(h, m.name...)
		c := make([]byte, lenMember)
		copy(c, sigMember)
		if m.unix != 0 {
			c[5] = 3
		}
		copy(c[6:], h[4:lenLocal])
		le.PutUint32(c[16:], crc32.ChecksumIEEE([]byte(m.body)))
		le.PutUint32(c[20:], uint32(len(data)))
		le.PutUint32(c[24:], uint32(len(m.body)))
		le.PutUint16(c[30:], uint16(len(m.extra)))
		le.PutUint16(c[32:], 0)
		le.PutUint32(c[38:], m.unix<<16)
		le.PutUint32(c[42:], uint32(at))
		c = append(append(c, m.name...), m.extra...)
		if m.local != nil {
			h = m.local(h)
		}
		if m.list != nil {
			c = m.list(c)
		}
		all = append(append(append(all, h...), data...), m.tail...)
		list = append(list, c...)
	}
	e := make([]byte, lenEnd)
	copy(e, sigEnd)
	le.PutUint16(e[8:], uint16(len(ms)))
	le.PutUint16(e[10:], uint16(len(ms)))
	le.PutUint32(e[12:], uint32(len(list)))
	le.PutUint32(e[16:], uint32(len(all)))
	if end != nil {
		e = end(e)
	}
	return append(append(all, list...), e...)
}

// zipMembers are members for zipOf; ok is false when a zip cannot have one of them.
func zipMembers(method uint16, ms ...mem) (out []zmem, ok bool) {
	for _, m := range ms {
		z := zmem{name: m.name, body: m.body, method: method, unix: 0o100644}
		if m.mode != 0 {
			z.unix = 0o100000 | m.mode
		}
		switch m.kind {
		case 'd':
			z.unix, z.method = 0o40755, stored
			if m.mode != 0 {
				z.unix = 0o40000 | m.mode
			}
			if !strings.HasSuffix(z.name, "/") {
				z.name += "/"
			}
		case 'l':
			z.unix, z.body = 0o120777, m.link
		case 'h':
			return nil, false
		case 'c':
			z.unix = 0o020644
		case 'b':
			z.unix = 0o060644
		case 'p':
			z.unix = 0o010644
		}
		if m.flag != 0 {
			return nil, false
		}
		out = append(out, z)
	}
	return out, true
}

// forms are all archives of the same members.
func forms(ms ...mem) map[string][]byte {
	t := tarOf(ms...)
	all := map[string][]byte{"tar": t, "tar.gz": gzipOf(t), "tar.zst": zstdOf(t)}
	if z, ok := zipMembers(stored, ms...); ok {
		all["zip"] = zipOf(nil, z...)
		z, _ = zipMembers(deflated, ms...)
		all["war"] = zipOf(nil, z...)
	}
	return all
}

// field is an extra field of a zip.
func field(id uint16, parts ...any) []byte {
	var v bytes.Buffer
	for _, p := range parts {
		_ = binary.Write(&v, le, p)
	}
	b := le.AppendUint16(nil, id)
	b = le.AppendUint16(b, uint16(v.Len()))
	return append(b, v.Bytes()...)
}

// place is a folder to unpack into, in the middle of files that must stay as they are.
type place struct {
	t      testing.TB
	dir    string
	into   *os.Root
	file   *os.File
	before string
}

func newPlace(t testing.TB) *place {
	t.Helper()
	p := &place{t: t, dir: t.TempDir()}
	for name, body := range map[string]string{"secret": "s", "outside/file": "f", "outside/passwd": "root", "into.txt": "sibling", "into-2/x": "sibling"} {
		p.must(os.MkdirAll(filepath.Dir(filepath.Join(p.dir, name)), 0o755))
		p.must(os.WriteFile(filepath.Join(p.dir, name), []byte(body), 0o644))
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "archive"))
	p.must(err)
	p.file = f
	t.Cleanup(func() { _ = f.Close(); _ = p.into.Close() })
	p.again()
	p.before = p.outside()
	return p
}

// again empties the folder. That is much faster than a new place.
func (p *place) again() {
	if p.into != nil {
		p.must(p.into.Close())
		p.must(os.RemoveAll(filepath.Join(p.dir, "into")))
	}
	p.must(os.Mkdir(filepath.Join(p.dir, "into"), 0o755))
	root, err := os.OpenRoot(filepath.Join(p.dir, "into"))
	p.must(err)
	p.into = root
}

func (p *place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// outside is the state of everything but the folder.
func (p *place) outside() string {
	var b strings.Builder
	p.must(filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == filepath.Join(p.dir, "into") {
			return fs.SkipDir
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %v %v", path, st.Mode(), st.Size())
		if path != p.dir {
			fmt.Fprintf(&b, " %v", st.ModTime())
		}
		if st.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %q", content)
		}
		b.WriteString("\n")
		return nil
	}))
	return b.String()
}

// unpack runs File on an archive and sees to it that nothing outside has changed.
func (p *place) unpack(archive []byte, o Options) ([]item.Item, Report, error) {
	p.t.Helper()
	p.must(p.file.Truncate(0))
	_, err := p.file.WriteAt(archive, 0)
	p.must(err)
	items, rep, err := File(p.t.Context(), "app.arc", p.file, p.into, o)
	if now := p.outside(); now != p.before {
		p.t.Errorf("unpacking changed what lies outside:\n%s\nwant\n%s", now, p.before)
	}
	return items, rep, err
}

// links are the symbolic links in the folder that lead out of it.
func (p *place) links() (bad []string) {
	base := filepath.Join(p.dir, "into")
	p.must(filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type() == fs.ModeSymlink {
			full, rerr := filepath.EvalSymlinks(path)
			if rerr == nil && full != base && !strings.HasPrefix(full, base+"/") {
				bad = append(bad, path)
			}
		}
		return err
	}))
	return bad
}

func (p *place) read(name string) string {
	p.t.Helper()
	f, err := p.into.Open(name)
	if err != nil {
		return "ERROR " + err.Error()
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	p.must(err)
	return string(b)
}

// standard are options as the flow sets them: attributes as the archive has them, but nobody's ownership.
func standard() Options {
	return Options{Limits: Default(), Rules: item.Rules{UID: item.Keep, GID: item.Keep}, Workers: 2}
}
