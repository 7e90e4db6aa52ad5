package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLogshipWhereLinksAreImpossible: the volume is read-only, or its files belong to somebody else. Files are renamed and removed while the
// receiver is away, and every line arrives once.
func TestLogshipWhereLinksAreImpossible(t *testing.T) {
	t.Parallel()
	e := containers(t)
	const each = 5000
	for _, test := range []struct{ name, user, mode, says string }{
		{"read-only", "65532:65532", ":ro", "read-only file system"},
		{"of another user", "1234:1234", "", "not permitted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			logs, state := open(t), open(t)
			sink := strictSink(t, 4*each)
			shipper := runShip(t, e, "-v", logs+":/logs"+test.mode, "-v", state+":/state", "--",
				"--path", "/logs/app.log", "--state", "/state", "--to", "elasticsearch+"+sink.URL+"/logs?"+patience)
			writes := func(part int) {
				if code := runApp(t, e, test.user, "-v", logs+":/logs", "--", fmt.Sprintf("/logs/app.log:json:%d:%d:20000", part*each+1, each)).wait(); code != "0" {
					t.Fatalf("the application ended with %s", code)
				}
			}
			writes(0)
			hasAll(t, sink, each, time.Minute)
			if err := sink.Fault("503", 1, 3*time.Second); err != nil {
				t.Fatal(err)
			}
			writes(1)
			if err := os.Rename(filepath.Join(logs, "app.log"), filepath.Join(logs, "app.log.1")); err != nil {
				t.Fatal(err)
			}
			writes(2)
			eventually(t, time.Minute, "the new file is open", func() error { return shipper.hasOpen(filepath.Join(logs, "app.log")) })
			if err := os.Remove(filepath.Join(logs, "app.log")); err != nil {
				t.Fatal(err)
			}
			writes(3)
			hasAll(t, sink, 4*each, time.Minute)
			shipper.killed()
			hasAll(t, sink, 4*each, time.Minute)
			if code := shipper.term(); code != "0" {
				t.Errorf("exit code %s; want 0", code)
			}
			if said := e.AllLogs(shipper.name); !strings.Contains(said, test.says) {
				t.Errorf("%s is not in the log:\n%s", test.says, said)
			}
			if _, err := os.Stat(filepath.Join(logs, ".sidecar-logship", "journal")); err == nil {
				t.Error("the state is in the volume of the logs")
			}
		})
	}
}

// TestLogshipCopiesWhatNoLinkKeeps: in an outage a file that cannot be linked is removed, and then logship is killed: what was not delivered is in
// a copy, and arrives.
func TestLogshipCopiesWhatNoLinkKeeps(t *testing.T) {
	t.Parallel()
	e := containers(t)
	const each = 5000
	logs, state := open(t), open(t)
	sink := strictSink(t, 2*each)
	shipper := runShip(t, e, "-v", logs+":/logs:ro", "-v", state+":/state", "--",
		"--path", "/logs/app.log", "--state", "/state", "--to", "elasticsearch+"+sink.URL+"/logs?"+patience)
	writes := func(part int) {
		if code := runApp(t, e, "1234:1234", "-v", logs+":/logs", "--", fmt.Sprintf("/logs/app.log:json:%d:%d:20000", part*each+1, each)).wait(); code != "0" {
			t.Fatalf("the application ended with %s", code)
		}
	}
	if err := sink.Fault("503", 1, 0); err != nil {
		t.Fatal(err)
	}
	writes(0)
	app := filepath.Join(logs, "app.log")
	eventually(t, time.Minute, "the file is open", func() error { return shipper.hasOpen(app) })
	info, err := os.Stat(app)
	if err := errors.Join(err, os.Remove(app)); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "a copy", func() error {
		list, err := filepath.Glob(filepath.Join(state, "spool", "*-*"))
		if err != nil || len(list) != 1 {
			return fmt.Errorf("%q, %w", list, err)
		}
		if got, err := os.Stat(list[0]); err != nil || got.Size() < info.Size() {
			return fmt.Errorf("%s has not all of %d bytes, %w", list[0], info.Size(), err)
		}
		return nil
	})
	shipper.killed()
	writes(1)
	if err := sink.Fault("none", 1, 0); err != nil {
		t.Fatal(err)
	}
	hasAll(t, sink, 2*each, time.Minute)
	if code := shipper.term(); code != "0" {
		t.Errorf("exit code %s; want 0", code)
	}
	if used, err := filepath.Glob(filepath.Join(state, "spool", "*-*")); err != nil || len(used) > 0 {
		t.Logf("copies that are left: %q, %v", used, err)
	}
}

// hasOpen is nil when the process of a container has a file open.
func (c contained) hasOpen(path string) error {
	want, err := os.Stat(path)
	if err != nil {
		return err
	}
	pid, err := c.e.Do(c.t.Context(), "inspect", "-f", "{{.State.Pid}}", c.name)
	if err != nil {
		return err
	}
	list, err := filepath.Glob("/proc/" + pid + "/fd/*")
	for _, fd := range list {
		if got, err := os.Stat(fd); err == nil && os.SameFile(got, want) {
			return nil
		}
	}
	return fmt.Errorf("none of %d descriptors is of %s, %w", len(list), path, err)
}

// TestLogshipTellsOfFilesThatItMayNotRead: one unreadable file disturbs no other, and is read when it may be.
func TestLogshipTellsOfFilesThatItMayNotRead(t *testing.T) {
	t.Parallel()
	e := containers(t)
	const each = 500
	logs, state := open(t), open(t)
	hidden := filepath.Join(logs, "hidden.log")
	var text strings.Builder
	for n := range each {
		fmt.Fprintf(&text, "seq=%d\n", each+n+1)
	}
	written(t, logs, map[string]string{"hidden.log": text.String()})
	if err := os.Chmod(hidden, 0o600); err != nil { // root's
		t.Fatal(err)
	}
	sink := strictSink(t, 2*each)
	shipper := runShip(t, e, "-v", logs+":/logs", "-v", state+":/state", "--", "--path", "/logs/*.log", "--state", "/state", "--to", "elasticsearch+"+sink.URL+"/logs?"+patience)
	if code := runApp(t, e, "65532:65532", "-v", logs+":/logs", "--", fmt.Sprintf("/logs/app.log:plain:1:%d:20000", each)).wait(); code != "0" {
		t.Fatalf("the application ended with %s", code)
	}
	hasAll(t, sink, each, time.Minute)
	eventually(t, time.Minute, "a complaint", func() error {
		if said := e.AllLogs(shipper.name); !strings.Contains(said, "/logs/hidden.log") || !strings.Contains(said, "permission denied") {
			return fmt.Errorf("the log is\n%s", said)
		}
		return nil
	})
	if err := os.Chmod(hidden, 0o644); err != nil {
		t.Fatal(err)
	}
	hasAll(t, sink, 2*each, time.Minute)
	if code := shipper.term(); code != "0" {
		t.Errorf("exit code %s; want 0", code)
	}
}
