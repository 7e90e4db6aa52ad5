// Command killtest kills sync with SIGKILL at random instants of whole syncs, first syncs
// and updates mixed, and asks two things: does one clean start afterwards reach the newest
// commit with the right content, and was published content readable at every moment?
//
//	go -C bench run ./killtest -n 2000 -sidecar ../bin/sidecar
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
	"github.com/sidecar-kit/sidecar/bench/site"
)

// Result is what -json prints.
type Result struct {
	Kills, BeforePublish, AfterPublish int
	Wedges, WrongTrees                 int
	UnreadableSeconds, WatchedSeconds  float64
	Looks                              int64
	Seed                               uint64
}

type test struct {
	tool  lab.Tool
	repo  site.Repo
	url   string
	dir   string
	files int
	rng   *rand.Rand
	first time.Duration // an undisturbed first sync, the span that kills fall into
	later time.Duration // an undisturbed update, the same for the kills after it
	next  int           // number of the next commit
	head  string
	res   Result
}

func main() {
	lab.MeterMain()
	n := flag.Int("n", 300, "how many kills")
	files := flag.Int("files", 600, "files in the repository")
	binary := flag.String("sidecar", "../bin/sidecar", "the program under test")
	peer := flag.Bool("peer", false, "test the git CLI loop instead")
	server := flag.String("gitserver", "", "the gitserver program; built when empty")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random instants")
	asJSON := flag.Bool("json", false, "print the result as JSON")
	flag.Parse()
	res, err := run(*n, *files, *binary, *server, *peer, *seed)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if *asJSON {
		json.NewEncoder(os.Stdout).Encode(res)
	} else {
		fmt.Printf("%d kills (%d before, %d after the new commit was visible), seed %d\n", res.Kills, res.BeforePublish, res.AfterPublish, res.Seed)
		fmt.Printf("wedges: %d   wrong trees: %d   unreadable: %.3f s of %.1f s watched in %d looks\n",
			res.Wedges, res.WrongTrees, res.UnreadableSeconds, res.WatchedSeconds, res.Looks)
	}
	if res.Wedges+res.WrongTrees > 0 || res.UnreadableSeconds > 0 {
		os.Exit(1)
	}
}

func run(n, files int, binary, server string, peer bool, seed uint64) (Result, error) {
	dir, err := os.MkdirTemp("", "killtest-*")
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(dir)
	t := &test{tool: lab.Sidecar(binary), dir: dir, files: files, rng: rand.New(rand.NewPCG(seed, 7))}
	if peer {
		t.tool = lab.GitLoop()
	}
	t.res.Seed = seed
	if server == "" {
		server = filepath.Join(dir, "gitserver")
		if out, err := exec.Command("go", "build", "-o", server, "./gitserver").CombinedOutput(); err != nil {
			return t.res, fmt.Errorf("build gitserver: %w: %s", err, out)
		}
	}
	if t.repo, err = site.Create(filepath.Join(dir, "srv", "site.git")); err != nil {
		return t.res, err
	}
	if err := t.push(files); err != nil {
		return t.res, err
	}
	s, err := lab.StartServer(server, filepath.Join(dir, "srv"))
	if err != nil {
		return t.res, err
	}
	defer s.Close()
	t.url = s.URL + "/site.git"
	if err := t.calibrate(); err != nil {
		return t.res, err
	}
	// Each root lives through several kills, as a volume does; then a new one starts with
	// kills during its first sync.
	for t.res.Kills < n {
		if err := t.oneRoot(min(8, n-t.res.Kills)); err != nil {
			return t.res, err
		}
	}
	return t.res, nil
}

// push commits changed files, all carrying the commit's number, and moves the branch.
// The first ones are changed each time; the others only with it at the first commit, so
// a tree is right when each file is at most as new as the marker and the watched are equal.
func (t *test) push(changed int) error {
	t.next++
	content := map[string][]byte{"MARK": stamp(t.next, 0, t.rng)}
	for i := range changed {
		content[site.Path(i)] = stamp(t.next, 200+t.rng.IntN(20_000), t.rng)
	}
	hash, err := t.repo.Commit(t.head, content)
	if err != nil {
		return err
	}
	t.head = hash
	return t.repo.Move(hash)
}

// always is how many files every commit rewrites: the ones that must equal the marker.
const always = 12

func stamp(n, size int, rng *rand.Rand) []byte {
	b := fmt.Appendf(nil, "commit %d\n", n)
	for len(b) < size {
		b = strconv.AppendUint(b, rng.Uint64(), 36)
	}
	return b
}

func (t *test) calibrate() error {
	root := filepath.Join(t.dir, "calibrate")
	for range 2 { // the first one finds nothing, the second one an update
		u, err := lab.Measure(t.dir, t.tool.Once(t.url, root)...)
		if err != nil {
			return err
		}
		if t.first == 0 {
			t.first = u.Wall
		}
		t.later = u.Wall
		if err := t.push(t.files / 2); err != nil {
			return err
		}
	}
	return os.RemoveAll(root)
}

func (t *test) oneRoot(kills int) error {
	root := filepath.Join(t.dir, "root-"+strconv.Itoa(t.res.Kills))
	w := watch(root)
	alive := true
	for i := 0; i < kills && alive; i++ {
		if i > 0 {
			if err := t.push(always + t.rng.IntN(t.files-always)); err != nil {
				return err
			}
		}
		span := t.later
		if lab.Published(root) == "" {
			span = t.first
		}
		if err := t.kill(root, span); err != nil {
			return err
		}
		// Three kills in a row now and then: a restart that is itself killed.
		if t.rng.IntN(3) > 0 {
			alive = t.cleanStart(root)
		}
	}
	if alive {
		t.cleanStart(root)
	}
	looks, unreadable, watched := w.stop()
	t.res.Looks += looks
	t.res.UnreadableSeconds += unreadable.Seconds()
	t.res.WatchedSeconds += watched.Seconds()
	return os.RemoveAll(root)
}

func (t *test) kill(root string, span time.Duration) error {
	argv := t.tool.Watch(t.url, root, 20*time.Millisecond)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	// Up to a half past an undisturbed sync, so that the last steps are met as well.
	time.Sleep(time.Duration(t.rng.Int64N(int64(span + span/2))))
	if lab.Published(root) == t.head {
		t.res.AfterPublish++
	} else {
		t.res.BeforePublish++
	}
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	cmd.Wait()
	t.res.Kills++
	return nil
}

// cleanStart is the one start that must suffice; it says whether this root can go on.
func (t *test) cleanStart(root string) bool {
	u, err := lab.Measure(t.dir, t.tool.Once(t.url, root)...)
	if err != nil || u.Exit != 0 || lab.Published(root) != t.head {
		t.res.Wedges++
		fmt.Fprintf(os.Stderr, "wedge after kill %d: published %q, newest %q: %v\n", t.res.Kills, lab.Published(root), t.head, err)
		return false
	}
	if err := t.verify(filepath.Join(root, lab.Link)); err != nil {
		t.res.WrongTrees++
		fmt.Fprintf(os.Stderr, "wrong tree after kill %d: %v\n", t.res.Kills, err)
		return false
	}
	return true
}

// verify compares the published tree with what git itself would check out.
func (t *test) verify(tree string) error {
	list, err := t.repo.Git(nil, "ls-tree", "-r", t.head)
	if err != nil {
		return err
	}
	var names strings.Builder
	want := map[string]string{}
	for line := range strings.Lines(list) {
		meta, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		want[name] = strings.Fields(meta)[2]
		fmt.Fprintln(&names, filepath.Join(tree, name))
	}
	hashes, err := t.repo.Git(strings.NewReader(names.String()), "hash-object", "--no-filters", "--stdin-paths")
	if err != nil {
		return err
	}
	got := strings.Fields(hashes)
	for i, name := range strings.Fields(names.String()) {
		rel, err := filepath.Rel(tree, name)
		if err != nil {
			return err
		}
		if got[i] != want[rel] {
			return fmt.Errorf("%s is blob %s; want %s", rel, got[i], want[rel])
		}
	}
	return nil
}
