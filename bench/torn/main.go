// Command torn reads published trees without a pause while pushes run without a pause.
// A reader opens the link's target once and walks it through that handle; every file
// repeats its commit's number. A walk is torn when two files disagree, and incomplete
// when a file was missing (the tree was removed under the reader): counted apart.
//
//	go -C bench run ./torn -walks 1000000 -sidecar ../bin/sidecar
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
	"github.com/sidecar-kit/sidecar/bench/site"
)

// Result is what -json prints.
type Result struct {
	Walks, Torn, Incomplete int64
	Pushes, Published       int64 // moves of the branch; distinct commits the readers met
	Seconds                 float64
}

// goal is what must be reached before the readers stop.
type goal struct{ walks, changes int64 }

// limit ends a run whose publisher has died; the counts then tell.
const limit = 20 * time.Minute

// commits is how many states the branch cycles through.
const commits = 400

func main() {
	walks := flag.Int64("walks", 10_000, "how many walks")
	files := flag.Int("files", 24, "files in the tree")
	changes := flag.Int64("changes", 100, "keep walking until the tree has changed this often, too")
	readers := flag.Int("readers", 2, "readers at the same time")
	binary := flag.String("sidecar", "../bin/sidecar", "the program under test")
	peer := flag.Bool("peer", false, "test the git CLI loop instead")
	server := flag.String("gitserver", "", "the gitserver program; built when empty")
	asJSON := flag.Bool("json", false, "print the result as JSON")
	flag.Parse()
	res, err := run(goal{*walks, *changes}, *files, *readers, *binary, *server, *peer)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if *asJSON {
		json.NewEncoder(os.Stdout).Encode(res)
	} else {
		fmt.Printf("%d walks in %.1f s: %d torn, %d incomplete; %d pushes, %d changes of the tree met\n",
			res.Walks, res.Seconds, res.Torn, res.Incomplete, res.Pushes, res.Published)
	}
	if res.Torn > 0 {
		os.Exit(1)
	}
}

func run(until goal, files, readers int, binary, server string, peer bool) (Result, error) {
	var res Result
	dir, err := os.MkdirTemp("", "torn-*")
	if err != nil {
		return res, err
	}
	defer os.RemoveAll(dir)
	if server == "" {
		server = filepath.Join(dir, "gitserver")
		if out, err := exec.Command("go", "build", "-o", server, "./gitserver").CombinedOutput(); err != nil {
			return res, fmt.Errorf("build gitserver: %w: %s", err, out)
		}
	}
	repo, err := site.Create(filepath.Join(dir, "srv", "site.git"))
	if err != nil {
		return res, err
	}
	hashes, err := prepare(repo, files)
	if err != nil {
		return res, err
	}
	s, err := lab.StartServer(server, filepath.Join(dir, "srv"))
	if err != nil {
		return res, err
	}
	defer s.Close()
	tool := lab.Sidecar(binary)
	if peer {
		tool = lab.GitLoop()
	}
	root := filepath.Join(dir, "root")
	argv := tool.Watch(s.URL+"/site.git", root, 10*time.Millisecond)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return res, err
	}
	defer func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	}()
	if _, ok := lab.WaitPublished(root, hashes[0], 30*time.Second); !ok {
		return res, fmt.Errorf("nothing published in 30 s")
	}
	return observe(repo, hashes, filepath.Join(root, lab.Link), until, files, readers)
}

// prepare makes the commits; every file of commit n holds n.
func prepare(repo site.Repo, files int) ([]string, error) {
	var hashes []string
	parent := ""
	for n := range commits {
		content := map[string][]byte{}
		for i := range files {
			content[fmt.Sprintf("d%d/f%02d", i%5, i)] = fmt.Appendf(nil, "%d\n", n)
		}
		hash, err := repo.Commit(parent, content)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
		parent = hash
	}
	return hashes, repo.Move(hashes[0])
}

func observe(repo site.Repo, hashes []string, link string, until goal, files, readers int) (Result, error) {
	var res Result
	var walks, torn, incomplete, published atomic.Int64
	start := time.Now()
	stop := make(chan struct{})
	var pusher, group sync.WaitGroup
	var pushErr error
	pusher.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			if pushErr = repo.Move(hashes[i%len(hashes)]); pushErr != nil {
				return
			}
			res.Pushes++
		}
	})
	for range readers {
		group.Go(func() {
			last := ""
			for time.Since(start) < limit && (walks.Load() < until.walks || published.Load() < until.changes*int64(readers)) {
				walks.Add(1)
				number, n, same := walk(link)
				if !same {
					torn.Add(1)
				}
				if n != files {
					incomplete.Add(1)
				}
				if number != last {
					published.Add(1)
					last = number
				}
			}
		})
	}
	group.Wait()
	close(stop)
	pusher.Wait()
	res.Walks, res.Torn, res.Incomplete, res.Published = walks.Load(), torn.Load(), incomplete.Load(), published.Load()/int64(readers)
	res.Seconds = time.Since(start).Seconds()
	return res, pushErr
}
