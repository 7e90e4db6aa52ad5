package h2

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails when tests leave goroutines or open files behind.
func TestMain(m *testing.M) {
	files := open()
	code := m.Run()
	for wait := time.Now().Add(10 * time.Second); code == 0; time.Sleep(10 * time.Millisecond) {
		left := left()
		if left == "" && open() <= files+2 { // two for the poller
			break
		}
		if time.Now().After(wait) {
			fmt.Fprintf(os.Stderr, "%d files open, %d before; goroutines left:\n%s\n", open(), files, left)
			code = 1
		}
	}
	os.Exit(code)
}

// left are goroutines that are not the test's own.
func left() string {
	buf := make([]byte, 1<<20)
	var all []string
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if !strings.Contains(g, "testing.(*M)") && strings.Contains(g, "net") {
			all = append(all, g)
		}
	}
	return strings.Join(all, "\n\n")
}

func open() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // another system
	}
	return len(entries)
}
