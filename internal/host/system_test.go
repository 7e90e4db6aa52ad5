package host

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func errCanceled() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx.Err()
}

func TestCgroupLimit(t *testing.T) {
	tests := []struct {
		name     string
		files    map[string]string
		want     int64
		wantFrom string
	}{
		{"none", nil, 0, ""},
		{"v2 in a container", map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "67108864\n",
		}, 64 << 20, "/sys/fs/cgroup/memory.max"},
		{"v2 unlimited", map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n",
		}, 0, ""},
		{"v2 tightest parent", map[string]string{
			"proc/self/cgroup":             "0::/a/b\n",
			"sys/fs/cgroup/a/memory.max":   "1000\n",
			"sys/fs/cgroup/a/b/memory.max": "2000\n",
		}, 1000, "/sys/fs/cgroup/a/memory.max"},
		{"v1 with the path of the host", map[string]string{
			"proc/self/cgroup":                           "12:cpu:/x\n5:memory:/kubepods/pod1/c1\n1:name=systemd:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "33554432\n",
		}, 32 << 20, "/sys/fs/cgroup/memory/memory.limit_in_bytes"},
		{"v1 unlimited", map[string]string{
			"proc/self/cgroup":                           "5:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 0, ""},
		{"climbs no higher than the root", map[string]string{
			"proc/self/cgroup": "0::/../../x\n", "memory.max": "1\n", "sys/fs/cgroup/memory.max": "9\n",
		}, 9, "/sys/fs/cgroup/memory.max"},
		{"garbage", map[string]string{"proc/self/cgroup": "hello\n0:\n\n"}, 0, ""},
	}
	for _, tt := range tests {
		root := t.TempDir()
		for name, content := range tt.files {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, from := cgroupLimit(root); got != tt.want || from != tt.wantFrom {
			t.Errorf("%s: cgroupLimit = %d, %q; want %d, %q", tt.name, got, from, tt.want, tt.wantFrom)
		}
	}
}

func TestVersionOfTheLinkerWins(t *testing.T) {
	if got := version("v1.2.3"); got != "v1.2.3" {
		t.Errorf("version(v1.2.3) = %q", got)
	}
	if got := version(""); got == "" {
		t.Error("version of a build without one is empty; want a word")
	}
}

func TestProbeAddresses(t *testing.T) {
	for in, want := range map[string]int{"": 2, "0.0.0.0": 2, "::": 2, "127.0.0.1": 1, "::1": 1, "pod": 1} {
		if got := hosts(in); len(got) != want {
			t.Errorf("hosts(%q) = %v; want %d addresses", in, got, want)
		}
	}
}

func TestStrangersAreTypingErrorsNotServices(t *testing.T) {
	c := testCommand(&settings{})
	got := c.strangers([]string{
		"SIDECAR_GIT_TEST_REPO=x", "SIDECAR_GIT_TEST_REPOO=x", "COMPAT_REPO=x", "SIDECAR_OTHER_REPOO=x",
		"SIDECAR_GIT_TEST_SERVICE_HOST=x", "SIDECAR_GIT_TEST_PORT=x", "SIDECAR_GIT_TEST_PORT_80_TCP_ADDR=x", "PATH=x",
	})
	if want := []string{"SIDECAR_GIT_TEST_REPOO"}; !slices.Equal(got, want) {
		t.Errorf("strangers = %v; want %v", got, want)
	}
}
