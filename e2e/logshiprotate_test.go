package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/e2e/logsink"
)

// TestLogshipFollowsLogrotate: Debian's logrotate rotates files in eight modes while an application writes to them, logship reads the live
// names only, is killed twice, and delivers every line once.
func TestLogshipFollowsLogrotate(t *testing.T) {
	t.Parallel()
	logrotates(t, "always", "allowhardlink", "create", "nocreate", "compress", "delaycompress", "dateext", "maxsize", "copytruncate", "copycompress")
}

// TestLogshipFollowsLogrotateThatWantsNoLinks: without allowhardlink it neither rotates nor compresses files that have two links. Logship makes
// them for renamed files, or not at all.
func TestLogshipFollowsLogrotateThatWantsNoLinks(t *testing.T) {
	for pin, modes := range map[string][]string{"auto": {"create", "maxsize", "copytruncate"}, "never": {"create", "compress", "delaycompress", "copycompress"}} {
		t.Run(pin, func(t *testing.T) {
			t.Parallel()
			logrotates(t, pin, "", modes...)
		})
	}
}

func logrotates(t *testing.T, pin, links string, modes ...string) {
	t.Helper()
	e := containers(t)
	const each, rate = 6000, 600
	logs, state := open(t), open(t)
	for _, mode := range modes {
		for _, dir := range []string{filepath.Join(logs, mode), filepath.Join(logs, mode, "ctl")} {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(dir, 65532, 65532); err != nil { // logrotate wants folders that others cannot write to
				t.Fatal(err)
			}
		}
	}
	sink := strictSink(t, each*len(modes))
	front := &logsink.Front{Behind: sink.URL}
	shipper := runShip(t, e, "-v", logs+":/logs", "-v", state+":/state", "--",
		"--path", "/logs/*/app.log", "--pin", pin, "--state", "/state", "--to", "elasticsearch+http://127.0.0.1:"+serveAll(t, front)+"/logs?"+patience)
	rotator := run(t, e, "logrotate", append([]string{
		"--user", "65532:65532", "-e", "LINKS=" + links, "-v", logs + ":/logs", "-v", script(t, "logrotate.sh") + ":/logrotate.sh:ro", base, "bash", "/logrotate.sh",
	}, modes...)...)
	var apps []contained
	for i, mode := range modes {
		apps = append(apps, runApp(t, e, "65532:65532", "-v", logs+":/logs", "--", "-control", "/logs/"+mode+"/ctl", fmt.Sprintf("/logs/%s/app.log:plain:%d:%d:%d", mode, i*each+1, each, rate)))
	}
	for range 2 {
		time.Sleep(3 * time.Second)
		shipper.killed()
	}
	for i, app := range apps {
		if code := app.wait(); code != "0" {
			t.Errorf("%s: the application ended with %s", modes[i], code)
		}
	}
	rounds := map[string]int{}
	for line := range strings.Lines(e.AllLogs(rotator.name)) {
		mode, ok := strings.CutPrefix(strings.TrimSpace(line), "rotated ")
		if !ok || !slices.Contains(modes, mode) {
			t.Errorf("logrotate says %q", line)
		}
		rounds[mode]++
	}
	defer tell(t, front, logs, func(n int) string { return modes[min(len(modes)-1, (n-1)/each)] }, each*len(modes))
	counts := hasAll(t, sink, each*len(modes), time.Minute)
	if code := shipper.term(); code != "0" {
		t.Errorf("exit code %s; want 0", code)
	}
	t.Logf("rounds %v, %+v", rounds, counts)
	for _, mode := range modes {
		list, err := filepath.Glob(filepath.Join(logs, mode, "app.log?*"))
		if err != nil || len(list) < 2 || rounds[mode] < 4 {
			t.Errorf("%s: %d rounds, files %q, %v; want rotated files", mode, rounds[mode], list, err)
		}
	}
}

// tell says of a test that failed which lines are missing and which came twice, of which file: a few of each group.
func tell(t *testing.T, front *logsink.Front, logs string, group func(int) string, n int) {
	t.Helper()
	docs, err := front.Docs()
	if err != nil || !t.Failed() {
		return
	}
	first, told := map[int]logsink.Doc{}, map[string]int{}
	for _, d := range docs {
		n, _ := number(d)
		old, was := first[n]
		if !was {
			first[n] = d
			continue
		}
		if told[group(n)+" twice"]++; told[group(n)+" twice"] <= 2 {
			t.Logf("%s: number %d came as %s at %v and as %s at %v", group(n), n, old.ID, at(old, "log"), d.ID, at(d, "log"))
		}
	}
	for seq := 1; seq <= n; seq++ {
		if _, ok := first[seq]; ok {
			continue
		}
		if told[group(seq)+" missing"]++; told[group(seq)+" missing"] <= 2 {
			t.Logf("%s: number %d is missing; before it came %s at %v", group(seq), seq, first[seq-1].ID, at(first[seq-1], "log"))
			where, err := exec.Command("sh", "-c", fmt.Sprintf("ls -lai %s/%s; cd %s/%s; zgrep -nabF 'seq=%d ' * .sidecar-logship/*", logs, group(seq), logs, group(seq), seq)).CombinedOutput()
			t.Logf("%s %v", where, err)
		}
	}
	t.Logf("%v", told)
}
