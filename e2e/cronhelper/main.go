// Command cronhelper is a job for a container without any program: it leaves orphans to process 1, and exits as it is told.
//
//	cronhelper ORPHANS EXITCODE
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "middle" {
		// Its child outlives it, and so becomes a child of process 1.
		start("leaf")
		return
	}
	if len(os.Args) == 2 && os.Args[1] == "leaf" {
		time.Sleep(300 * time.Millisecond)
		os.Exit(3)
	}
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fail(err)
	}
	for range n {
		start("middle").Wait()
	}
	code, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fail(err)
	}
	os.Exit(code)
}

func start(what string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", what)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		fail(err)
	}
	return cmd
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(100)
}
