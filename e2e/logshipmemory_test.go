package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// TestLogshipFitsIntoLittleMemory: with a limit of 64 MB it reads a line of a GiB and outlasts an outage of 30 s at 20,000 lines a second, and
// all other lines arrive, once.
func TestLogshipFitsIntoLittleMemory(t *testing.T) {
	t.Parallel()
	e := containers(t)
	const few, rate, outage = 2000, 20_000, 30
	logs, state := open(t), open(t)
	sink := strictSink(t, 1<<20)
	shipper := runShip(t, e, "--memory", "64m", "--memory-swap", "64m", "-v", logs+":/logs", "-v", state+":/state", "--",
		"--path", "/logs/*.log", "--state", "/state", "--long-lines", "cut", "--to", "elasticsearch+"+sink.URL+"/logs?"+patience)
	writes := func(from, count int) {
		if code := runApp(t, e, "65532:65532", "-v", logs+":/logs", "--", fmt.Sprintf("/logs/app.log:json:%d:%d:%d", from, count, rate)).wait(); code != "0" {
			t.Fatalf("the application ended with %s", code)
		}
	}
	writes(1, few)
	long := run(t, e, "long", "--user", "65532:65532", "-v", logs+":/logs", base, "sh", "-c", `{ head -c 1073741824 /dev/zero | tr '\0' x; echo; } >>/logs/app.log`)
	if code := long.wait(); code != "0" {
		t.Fatalf("writing the long line ended with %s", code)
	}
	writes(few+1, few)
	hasAll(t, sink, 2*few, 2*time.Minute)
	peak(t, shipper, "the long line")

	if err := sink.Fault("503", 1, outage*time.Second); err != nil {
		t.Fatal(err)
	}
	writes(2*few+1, outage*rate)
	counts := hasAll(t, sink, 2*few+outage*rate, 3*time.Minute)
	peak(t, shipper, "the outage")
	if counts.Faults < 3 || counts.Docs < counts.Unique+1 {
		t.Errorf("%+v; want some requests that failed, and what is left of the long line", counts)
	}
	verdict, err := e.Do(t.Context(), "inspect", "-f", "{{.State.OOMKilled}} {{.RestartCount}} {{.State.Running}}", shipper.name)
	if err != nil || verdict != "false 0 true" {
		t.Errorf("state %q, %v; want it running, and never out of memory", verdict, err)
	}
	if code := shipper.term(); code != "0" {
		t.Errorf("exit code %s; want 0", code)
	}
}

// peak logs the most memory that the process of a container has had, where its engine tells what that is.
func peak(t *testing.T, c contained, when string) {
	t.Helper()
	pid, err := c.e.Do(t.Context(), "inspect", "-f", "{{.State.Pid}}", c.name)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/" + pid + "/status")
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if err != nil || m == nil {
		t.Logf("peak of memory after %s: not known here: %v", when, err)
		return
	}
	kib, err := strconv.Atoi(string(m[1]))
	t.Logf("peak of memory after %s: %d KiB", when, kib)
	if err != nil || kib > 64<<10 {
		t.Errorf("peak of memory after %s: %d KiB, %v; want less than the limit", when, kib, err)
	}
}
