package publish

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const crashEnv = "PUBLISH_CRASH_ROOT"

func TestMain(m *testing.M) {
	if root := os.Getenv(crashEnv); root != "" {
		publishForever(root)
	}
	os.Exit(m.Run())
}

// publishForever is the child: it opens, says so, and publishes until it is killed.
func publishForever(root string) {
	t, err := Open(filepath.Join(root, "versions"), filepath.Join(root, "link"))
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	start := 0
	if _, version := t.Current(); version != "" {
		start, _ = strconv.Atoi(strings.TrimPrefix(version, "v"))
	}
	for n := start + 1; ; n++ {
		if _, err := tryCommit(t, fmt.Sprint("v", n/2), fmt.Sprint("v", n/2)); err != nil {
			fmt.Println("commit:", err)
			os.Exit(1)
		}
		if n == start+1 {
			fmt.Println("ready")
		}
		if _, _, err := t.Prune(0); err != nil {
			fmt.Println("prune:", err)
			os.Exit(1)
		}
	}
}

// whole tells whether what a directory handle shows is one version, and which.
func whole(root string) (string, error) {
	d, err := os.OpenRoot(filepath.Join(root, "link"))
	if err != nil {
		return "", err
	}
	defer d.Close()
	var text string
	for _, name := range []string{"a", "b", "c"} {
		data, err := d.ReadFile(name)
		if err != nil {
			return "", err
		}
		if text == "" {
			text = string(data)
		}
		if text != string(data) || text == "" {
			return "", fmt.Errorf("%s holds %q, another file %q", name, data, text)
		}
	}
	return text, nil
}

// TestKilledAtAnyInstantReadersSeeAWholeTree kills a publishing process again and again.
func TestKilledAtAnyInstantReadersSeeAWholeTree(t *testing.T) {
	root := t.TempDir()
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	for kill := range 60 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashEnv+"="+root)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if kill == 0 || kill%3 != 0 { // others are killed while they open and sweep
			if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
				t.Fatalf("kill %d: the next start said %q, %v", kill, line, err)
			}
		}
		time.Sleep(time.Duration(rnd.Int64N(int64(6 * time.Millisecond))))
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
		text, err := whole(root)
		if err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
		if target, err := os.Readlink(filepath.Join(root, "link")); filepath.Base(target) != text || err != nil {
			t.Fatalf("kill %d: link leads to %q, %v; its files say %q", kill, target, err, text)
		}
	}
	tr, err := Open(filepath.Join(root, "versions"), filepath.Join(root, "link"))
	if err != nil {
		t.Fatal(err)
	}
	commit(t, tr, "end", "end")
	wantSeen(t, root, "end", "end")
	for range 2 {
		if _, _, err := tr.Prune(0); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(t, root+"/versions") + ", " + list(t, root); got != "end, link versions" {
		t.Errorf("left %q", got)
	}
}

// TestReadersThroughAHandleNeverSeeAMixture reads while trees are swapped.
func TestReadersThroughAHandleNeverSeeAMixture(t *testing.T) {
	tr, root := tree(t)
	commit(t, tr, "v0", "v0")
	stop := make(chan struct{})
	result := make(chan error, 2)
	for range 2 {
		go func() {
			for reads := 0; ; reads++ {
				select {
				case <-stop:
					result <- nil
					return
				default:
				}
				if _, err := whole(root); err != nil {
					result <- fmt.Errorf("read %d: %w", reads, err)
					return
				}
			}
		}()
	}
	for n := range 150 {
		commit(t, tr, fmt.Sprint("v", n), fmt.Sprint("v", n))
		if _, _, err := tr.Prune(time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	for range 2 {
		if err := <-result; err != nil {
			t.Error(err)
		}
	}
}
