package e2e

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/e2e/engine"
)

// inspected is the part of `image inspect` that is promised.
type inspected struct {
	Config struct {
		User         string
		Entrypoint   []string
		Cmd          []string
		StopSignal   string
		Env          []string
		Volumes      map[string]any
		ExposedPorts map[string]any
		Labels       map[string]string
	}
	RootFS struct{ Layers []string }
	Size   int64
}

func inspect(t *testing.T, e engine.Engine, ref string) inspected {
	t.Helper()
	text, err := e.Do(t.Context(), "image", "inspect", ref)
	if err != nil {
		t.Fatal(err)
	}
	var list []inspected
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) != 1 {
		t.Fatalf("inspect: %d images, %v", len(list), err)
	}
	return list[0]
}

func TestImageIsWhatTheDocsPromise(t *testing.T) {
	e := containers(t)
	got := inspect(t, e, image)
	c := got.Config
	if c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/sidecar"}) || c.StopSignal != "SIGTERM" {
		t.Errorf("user %q, entrypoint %q, stop signal %q", c.User, c.Entrypoint, c.StopSignal)
	}
	if len(c.Cmd) != 0 || len(c.Volumes) != 0 || len(c.ExposedPorts) != 0 {
		t.Errorf("cmd %q, volumes %v, ports %v; want none", c.Cmd, c.Volumes, c.ExposedPorts)
	}
	for _, env := range c.Env {
		if !strings.HasPrefix(env, "PATH=") {
			t.Errorf("the image presets %s, which would hide a user's setting", env)
		}
	}
	for _, key := range []string{"title", "description", "version", "revision", "created", "source", "documentation", "licenses", "vendor", "base.name"} {
		if c.Labels["org.opencontainers.image."+key] == "" {
			t.Errorf("label %s is missing", key)
		}
	}
	if got.Size > 22_500_000 { // the program, certificates and a few lines
		t.Errorf("image is %d bytes; want at most 22.5 MB", got.Size)
	}
	t.Logf("image size: %.1f MB", float64(got.Size)/1e6)
}

func TestImageHoldsNothingElse(t *testing.T) {
	e := containers(t)
	want := map[string]string{
		"etc/":                              "drwxr-xr-x 0:0",
		"etc/group":                         "-rw-r--r-- 0:0",
		"etc/passwd":                        "-rw-r--r-- 0:0",
		"etc/ssl/":                          "drwxr-xr-x 0:0",
		"etc/ssl/certs/":                    "drwxr-xr-x 0:0",
		"etc/ssl/certs/ca-certificates.crt": "-rw-r--r-- 0:0",
		"sidecar":                           "-rwxr-xr-x 0:0",
	}
	got := imageFiles(t, e)
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if want[name] != got[name] {
			t.Errorf("%s is %q; want %q", name, got[name], want[name])
		}
	}
	for name := range want {
		if got[name] == "" {
			t.Errorf("%s is missing", name)
		}
	}
}

// imageFiles lists the saved image's layers, which engines name in different ways.
func imageFiles(t *testing.T, e engine.Engine) map[string]string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	if _, err := e.Do(t.Context(), "save", "-o", path, image); err != nil {
		t.Fatal(err)
	}
	var manifest []struct{ Layers []string }
	archive(t, path, func(h *tar.Header, r io.Reader) {
		if h.Name == "manifest.json" {
			if err := json.NewDecoder(r).Decode(&manifest); err != nil {
				t.Fatal(err)
			}
		}
	})
	if len(manifest) != 1 {
		t.Fatalf("%d manifests in the saved image; want 1", len(manifest))
	}
	files := map[string]string{}
	archive(t, path, func(h *tar.Header, r io.Reader) {
		if slices.Contains(manifest[0].Layers, h.Name) {
			each(t, tar.NewReader(r), func(h *tar.Header, _ io.Reader) {
				files[h.Name] = fmt.Sprintf("%s %d:%d", h.FileInfo().Mode(), h.Uid, h.Gid)
			})
		}
	})
	return files
}

func archive(t *testing.T, path string, visit func(*tar.Header, io.Reader)) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	each(t, tar.NewReader(f), visit)
}

func each(t *testing.T, r *tar.Reader, visit func(*tar.Header, io.Reader)) {
	t.Helper()
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		visit(h, r)
	}
}

// TestImageIsReproducible builds everything twice, in different places and without the
// engine's cache, which would hide a difference in times.
func TestImageIsReproducible(t *testing.T) {
	e := containers(t)
	var layers [2][]string
	for i := range layers {
		dir, ref := t.TempDir(), fmt.Sprintf("sidecar:again-%d", i)
		cmd := exec.Command("make", "-C", "..", "image", "BUILDFLAGS=--no-cache", "IMAGE="+ref,
			"BIN="+filepath.Join(dir, "sidecar"), "CONTEXT="+filepath.Join(dir, "context"))
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make image: %v: %s", err, b)
		}
		layers[i] = inspect(t, e, ref).RootFS.Layers
		if _, err := e.Do(t.Context(), "rmi", ref); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(layers[0], layers[1]) {
		t.Errorf("two builds gave layers %v and %v", layers[0], layers[1])
	}
}
