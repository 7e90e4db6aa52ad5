package probe

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

func TestFile(t *testing.T) {
	path := write(t, "state: ready\n")
	dir := t.TempDir()
	old := write(t, "")
	if err := os.Chtimes(old, time.Now(), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	ahead := write(t, "")
	if err := os.Chtimes(ahead, time.Now(), time.Now().Add(2*time.Hour+time.Second)); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"file://" + path:                             `^ok file://.*: 13 bytes, last written \S+ ago in `,
		"file:" + path + "#body=^state: ready$":      "does not match",
		"file:" + path + "#body=(?m)^state: ready$":  "^ok ",
		"file://" + path + "#max-age=1h&min-size=13": "^ok ",
		"file://" + path + "#min-size=14":            "^failed .*: 13 bytes, want at least 14$",
		"file://" + old + "#max-age=59m":             `^failed .*: last written 1h0m0s ago, want at most 59m0s ago$`,
		"file://" + ahead:                            `^ok .*: 0 bytes, last written 2h0m0s in the future in `,
		"file://" + ahead + "#max-age=1h":            `^failed .*: last written 2h0m0s in the future, want at most 1h0m0s ago$`,
		"file://" + old + "#min-size=1":              "^failed .*: 0 bytes, want at least 1$",
		"file://" + path + "#absent":                 "^failed .*: is there, want it absent$",
		"file://" + dir + "/nope#absent":             "^ok .*: absent in ",
		"file://" + dir + "/nope":                    "^failed .*: no such file or directory$",
		"file://" + path + "/nope":                   "^failed .*: not a directory$",
		"file://" + dir:                              "^ok .*: a directory in ",
		"file://" + dir + "#body=x":                  "not a regular file",
		"file://" + fifo:                             "^ok ",
		"file://" + fifo + "#body=x":                 "not a regular file",
	} {
		expect(t, address, want)
	}
}

// A file system that hangs does not hold the check, nor is it asked twice at once.
func TestAFileSystemThatHangsIsLeftInTime(t *testing.T) {
	asked, release := make(chan bool, 2), make(chan bool)
	c := &Check{look: patient(func() (string, error) {
		asked <- true
		<-release
		return "there", nil
	}, "the file system gave no answer")}
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if r := c.Do(ctx); r.OK || r.kind != "the file system gave no answer" {
			t.Errorf("Do = %+v; want no answer", r)
		}
		cancel()
	}
	if len(asked) != 1 {
		t.Errorf("asked %d times while it hangs; want once", len(asked))
	}
	close(release)
	if r := c.Do(t.Context()); !r.OK {
		t.Errorf("Do = %+v once it works again; want ok", r)
	}
}

func TestPID(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	name := filepath.Base(os.Args[0])
	zombie := exec.Command("true")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	dead := strconv.Itoa(zombie.Process.Pid)
	for see(t, "pid:"+dead).OK { // it ends soon
	}
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	})
	for address, want := range map[string]string{
		"pid:" + self:                   "^ok pid:" + self + ": process " + self + " is running in ",
		"pid:" + self + "#name=" + name: "^ok ",
		"pid:" + self + "#name=nginx":   "^failed .*: process " + self + " is not nginx",
		"pid:" + dead:                   "^failed .*: process " + dead + " is a zombie, not running$",
		"pid:4194304":                   "^failed .*: process 4194304 is not running$",
		"pid:name=sleep":                "^ok pid:name=sleep: process ",
		"pid:name=no-such-program":      "^failed .*: no process is called no-such-program",
		"pid://" + write(t, self+"\n"):  "^ok ",
		"pid:" + write(t, " "+self+" \n/var/lib/x\n5432\n"): "^ok ",
		"pid://" + write(t, self+"\n") + "#name=nginx":      "is not nginx",
		"pid://" + write(t, ""):                             "the pid file is empty$",
		"pid://" + write(t, "-1\n"):                         "is no process id$",
		"pid://" + write(t, "x"):                            "is no process id$",
		"pid://" + filepath.Join(t.TempDir(), "none"):       "no such file or directory$",
		"pid://" + t.TempDir():                              "not a regular file",
	} {
		expect(t, address, want)
	}
	if err := zombie.Wait(); err != nil {
		t.Fatal(err)
	}
	expect(t, "pid:"+dead, "^failed .*: process "+dead+" is not running$")
}

func FuzzParsePID(f *testing.F) {
	for _, s := range []string{"1\n", " 42 \nx", "-1", "", "99999999999999999999", "0x10", "1\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := parsePID(text); err == nil && (n < 1 || n > pidMax) {
			t.Errorf("parsePID(%q) = %d; want within 1 and %d", text, n, pidMax)
		}
	})
}
