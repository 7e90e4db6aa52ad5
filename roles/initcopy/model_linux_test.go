package initcopy

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/meter"
	"github.com/sidecar-kit/sidecar/internal/role"
)

// TestRunsAgreeWithTheRules changes source and target at random, as their owners and others would, copies, and compares
// the target with what the manual says. Every copy is followed by one that must write nothing.
func TestRunsAgreeWithTheRules(t *testing.T) {
	for _, publish := range []string{"auto", "entries", "symlink", "by name"} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("%s-%d", publish, seed), func(t *testing.T) {
				t.Parallel()
				m := newModel(t, publish, seed)
				for range 8 {
					m.step()
				}
			})
		}
	}
}

// seen is what the rules speak of. The rest is for telling whether anything was written.
type seen struct {
	mode    fs.FileMode
	content string // of a file, or where a link leads
	ino     uint64
	changed syscall.Timespec
	mtime   int64
}

func (s seen) looks() string {
	if s.mode.Type() == fs.ModeSymlink {
		return "link " + s.content
	}
	return s.mode.String() + " " + s.content
}

type model struct {
	*testing.T
	rand          *rand.Rand
	dir, src, dst string
	cfg           Config
	ours          map[string]seen // what the last copy left, by path
}

func newModel(t *testing.T, publish string, seed uint64) *model {
	m := &model{T: t, rand: rand.New(rand.NewPCG(seed, 1)), dir: t.TempDir(), cfg: Default()}
	m.src, m.dst = filepath.Join(m.dir, "src"), filepath.Join(m.dir, "volume/app")
	m.check(os.MkdirAll(m.src, 0o755))
	m.check(os.Mkdir(filepath.Dir(m.dst), 0o755))
	m.cfg.Src, m.cfg.Dst, m.cfg.Publish = []string{m.src + "/"}, m.dst, publish
	if publish == "by name" {
		m.cfg.Src, m.cfg.Dst, m.cfg.Publish = []string{m.src}, filepath.Dir(m.dst), "auto"
		m.dst = filepath.Join(filepath.Dir(m.dst), "src")
	}
	for range 6 {
		m.mutate(m.src, "ours")
	}
	return m
}

func (m *model) check(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// look lists what is below root, without what initcopy keeps there for itself.
func (m *model) look(root string) map[string]seen {
	m.Helper()
	all := map[string]seen{}
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return all
	}
	m.check(filepath.WalkDir(real, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == real || hidden(name) {
			return err
		}
		fi, err := d.Info()
		m.check(err)
		st := fi.Sys().(*syscall.Stat_t)
		s := seen{mode: fi.Mode(), ino: st.Ino, changed: st.Ctim, mtime: fi.ModTime().UnixNano()}
		switch fi.Mode().Type() {
		case 0:
			data, err := os.ReadFile(name)
			m.check(err)
			s.content = string(data)
		case fs.ModeSymlink:
			s.content, err = os.Readlink(name)
			m.check(err)
		}
		rel, err := filepath.Rel(real, name)
		all[rel] = s
		return err
	}))
	return all
}

// mutate does something that somebody might do to a tree.
func (m *model) mutate(root, text string) {
	m.Helper()
	all := m.look(root)
	names := slices.Sorted(maps.Keys(all))
	folders := []string{"."}
	for _, name := range names {
		if all[name].mode.IsDir() && strings.Count(name, "/") < 3 {
			folders = append(folders, name)
		}
	}
	pick := func(from []string) string { return filepath.Join(root, from[m.rand.IntN(len(from))]) }
	if m.rand.IntN(2) == 0 || len(names) == 0 {
		name := filepath.Join(pick(folders), string(rune('a'+m.rand.IntN(5))))
		m.check(os.RemoveAll(name))
		switch m.rand.IntN(4) {
		case 0:
			m.check(os.Mkdir(name, 0o755))
		case 1:
			m.check(os.Symlink([]string{"a", "../b", "nowhere"}[m.rand.IntN(3)], name))
		default:
			m.check(os.WriteFile(name, fmt.Appendf(nil, "%s %d", text, m.rand.IntN(1000)), 0o644))
		}
		return
	}
	name := pick(names)
	fi, err := os.Lstat(name)
	m.check(err)
	switch {
	case m.rand.IntN(3) == 0:
		m.check(os.RemoveAll(name))
	case fi.Mode().Type() == fs.ModeSymlink:
	case fi.Mode().IsRegular() && m.rand.IntN(2) == 0: // other content, of the same length and time
		m.check(os.WriteFile(name, fmt.Appendf(nil, "%0*d", int(fi.Size()), m.rand.IntN(1000)), 0o644))
		m.check(os.Chtimes(name, fi.ModTime(), fi.ModTime()))
	default:
		m.check(os.Chmod(name, []fs.FileMode{0o755, 0o700, 0o750}[m.rand.IntN(3)]))
	}
}

func (m *model) run(cfg Config) (report, error) {
	r, err := New(cfg, role.Env{Log: zerolog.Nop(), Metrics: new(meter.Registry), Stdout: io.Discard})
	m.check(err)
	err = r.Run(context.Background())
	return r.last, err
}

func (m *model) step() {
	m.Helper()
	for range m.rand.IntN(3) {
		m.mutate(m.src, "ours")
	}
	if real, err := filepath.EvalSymlinks(m.dst); err == nil {
		for range m.rand.IntN(3) {
			m.mutate(real, "theirs")
		}
	}
	wanted, before := m.look(m.src), m.look(m.dst)
	theirs, mixed := m.strangers(wanted, before)
	cfg := m.cfg
	cfg.Delete = m.rand.IntN(6) == 0
	clash := ""
	for name, w := range wanted {
		now, there := before[name]
		if there && now.mode.IsDir() && !w.mode.IsDir() && !cfg.Delete && (mixed[name] || m.ours[name].ino != now.ino) {
			clash = name
		}
	}
	rep, err := m.run(cfg)
	if clash != "" {
		if err == nil || !strings.Contains(err.Error(), "must become") {
			m.Fatalf("%s is in the way: %v; want an error", clash, err)
		}
		if after := m.look(m.dst); !maps.Equal(before, after) {
			m.Fatalf("after an error the target is %v; want %v", after, before)
		}
		m.check(os.RemoveAll(filepath.Join(m.dst, clash)))
		return
	}
	m.check(err)
	after := m.look(m.dst)
	m.compare(wanted, before, after, mixed)
	for name := range after {
		_, w := wanted[name]
		if !w && (cfg.Delete || !theirs[name] && !mixed[name]) {
			m.Errorf("%s is still there", name)
		}
	}
	for name := range theirs {
		if _, ok := after[name]; !ok && !cfg.Delete && !below(wanted, name) {
			m.Errorf("%s was put there by others, and is gone", name)
		}
	}
	if rep, err = m.run(m.cfg); err != nil || rep.Result != "unchanged" {
		m.Errorf("the second run = %+v, %v; want unchanged", rep, err)
	}
	if again := m.look(m.dst); !maps.Equal(after, again) {
		m.Errorf("the second run made %v of %v", again, after)
	}
	if left, _ := filepath.Glob(filepath.Join(m.dir, "volume/.initcopy-*")); len(left) > 0 {
		m.Errorf("left behind: %v", left)
	}
	if m.Failed() {
		m.FailNow()
	}
	m.ours = map[string]seen{}
	for name := range wanted {
		m.ours[name] = after[name]
	}
}

// strangers are what others put at the target, and the folders that hold such things.
func (m *model) strangers(wanted, before map[string]seen) (theirs, mixed map[string]bool) {
	theirs, mixed = map[string]bool{}, map[string]bool{}
	for name, now := range before {
		o, known := m.ours[name]
		same := known && o.ino == now.ino && o.mode.Type() == now.mode.Type() && (now.mode.IsDir() || o.changed == now.changed)
		if _, w := wanted[name]; w || same {
			continue
		}
		theirs[name] = true
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			mixed[dir] = true
		}
	}
	return theirs, mixed
}

// compare looks for everything that is wanted.
func (m *model) compare(wanted, before, after map[string]seen, mixed map[string]bool) {
	m.Helper()
	for name, w := range wanted {
		old, now := before[name], after[name]
		switch {
		case mixed[name] && now.mode.IsDir():
		case now.looks() != w.looks():
			m.Errorf("%s is %q; want %q", name, now.looks(), w.looks())
		case w.mode.IsRegular() && old.mode.IsRegular() && old.ino != 0 && old.content != w.content && now.mtime <= old.mtime:
			m.Errorf("%s changed, and its time did not", name)
		case w.mode.IsRegular() && old.looks() == w.looks() && now.ino != old.ino:
			m.Errorf("%s was written again for no reason", name)
		}
	}
}

// below tells whether a path lies below something that is wanted and no folder.
func below(wanted map[string]seen, name string) bool {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if w, ok := wanted[dir]; ok && !w.mode.IsDir() {
			return true
		}
	}
	return false
}
