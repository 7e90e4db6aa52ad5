package e2e

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/e2e/engine"
	"github.com/sidecar-kit/sidecar/e2e/kubelet"
)

// war makes a web application whose page holds the words, and whose files carry one fixed time, as those of an image
// that was built to be reproducible do.
func war(t *testing.T, path, words string) {
	t.Helper()
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(out)
	for name, content := range map[string]string{
		"WEB-INF/web.xml": `<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="5.0"/>`,
		"index.html":      "<h1>" + words + "</h1>",
		"padding.bin":     strings.Repeat("x", 1<<20),
	} {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
		if err == nil {
			_, err = f.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), out.Close(), os.Chtimes(path, time.Unix(1e9, 0), time.Unix(1e9, 0))); err != nil {
		t.Fatal(err)
	}
}

// payload builds an image with a WAR: from ours, as deploy/tomcat-war/Dockerfile does, or of nothing but files.
func payload(t *testing.T, e engine.Engine, words string, filesOnly bool) string {
	t.Helper()
	dir := t.TempDir()
	war(t, filepath.Join(dir, "sample.war"), words)
	dockerfile, err := os.ReadFile("../deploy/tomcat-war/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	text := string(dockerfile)
	if filesOnly {
		text = "FROM scratch\nCOPY sample.war /payload/\n"
	}
	text = strings.Replace(text, "--chmod=0644 ", "", 1) // needs a newer builder than a test may ask for
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	tag := podName("payload") + ":1"
	if _, err := e.Do(t.Context(), "build", "-t", tag, dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = e.Do(context.Background(), "rmi", "-f", tag) })
	return tag
}

func tomcatOptions(t *testing.T, e engine.Engine, words string) kubelet.Options {
	t.Helper()
	start, err := filepath.Abs("testdata/tomcat.sh")
	if err != nil {
		t.Fatal(err)
	}
	return kubelet.Options{
		Base: base,
		Images: map[string]kubelet.Image{
			image:                {Ref: image},
			"sample-war:1":       {Ref: payload(t, e, words, false)},
			"sample-war-files:1": {Ref: payload(t, e, words, true)},
			"tomcat:10.1":        {Ref: base, Command: []string{"/tomcat.sh"}, Binds: []string{start + ":/tomcat.sh:ro"}},
		},
	}
}

func servesAt(pod *kubelet.Pod, path, words string) func() error {
	return func() error {
		body, err := fetch(pod, path)
		if err == nil && !strings.Contains(body, words) {
			err = fmt.Errorf("page is %q", body)
		}
		return err
	}
}

// TestTomcatServesTheWar starts each manifest of deploy/tomcat-war with a real Tomcat: the init container is the scratch
// image as user 65532 with a read-only root and 32 MiB; a second run changes nothing, and a new WAR is picked up.
func TestTomcatServesTheWar(t *testing.T) {
	e := containers(t)
	for _, variant := range warVariants {
		t.Run(variant, func(t *testing.T) {
			opts := tomcatOptions(t, e, "first words")
			pod := startPod(t, e, variant, opts)
			eventually(t, 60*time.Second, "first page", servesAt(pod, "/sample/", "first words"))

			_, spec := podSpec(t, variant)
			if err := pod.Finish(t.Context(), spec, opts); err != nil {
				t.Fatal(err)
			}
			if log := pod.Logs("war-again-0"); !strings.Contains(log, `"message":"unchanged"`) {
				t.Errorf("the second run did not find everything unchanged:\n%s", log)
			}

			if err := pod.Finish(t.Context(), spec, tomcatOptions(t, e, "second words")); err != nil {
				t.Fatal(err)
			}
			took := eventually(t, 60*time.Second, "page of the new WAR", servesAt(pod, "/sample/", "second words"))
			t.Logf("new WAR to new page: %s", took.Round(time.Millisecond))

			log := pod.AllLogs("tomcat")
			for _, line := range strings.Split(log, "\n") {
				deploys := strings.Contains(line, "Deploying web application") || strings.Contains(line, "Deployment of web application")
				if deploys && !strings.Contains(line, "webapps/sample") || strings.Contains(line, "ZipException") {
					t.Errorf("Tomcat saw what it should not: %s", line)
				}
			}
		})
	}
}

// TestCopiesAsAnyUser: OpenShift gives a random uid with group 0, others their own pair. Nothing but the volume can be
// written, and there is no capability.
func TestCopiesAsAnyUser(t *testing.T) {
	e := containers(t)
	ref := payload(t, e, "words", false)
	for _, user := range []string{"12345:0", "12345:12345", "65532:65532"} {
		t.Run(user, func(t *testing.T) {
			volume := podName("any")
			if _, err := e.Do(t.Context(), "volume", "create", volume); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _, _ = e.Do(context.Background(), "volume", "rm", "-f", volume) })
			if _, err := e.Do(t.Context(), "run", "--rm", "-v", volume+":/v", base, "sh", "-c", "chown 0:2000 /v && chmod 2775 /v"); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{
				{"/payload/sample.war", "/v/"}, {"/payload/", "/v/tree"}, {"--unpack", "/payload/sample.war", "/v/app"}, {"--self", "/v/sidecar"},
			} {
				for _, want := range []string{"published", "unchanged"} {
					run := []string{
						"run", "--rm", "--user", user, "--group-add", "2000", "--read-only", "--cap-drop", "ALL", "--network", "none",
						"--security-opt", "no-new-privileges", "--memory", "24m", "-v", volume + ":/v", ref, "initcopy", "--owner=false", "--report", "json",
					}
					out, err := e.Do(t.Context(), append(run, args...)...)
					if err != nil || !strings.Contains(out, `"result":"`+want+`"`) {
						t.Errorf("%v: %s, %v; want %s", args, out, err, want)
					}
				}
			}
			out, err := e.Do(t.Context(), "run", "--rm", "-v", volume+":/v:ro", base, "sh", "-c", "stat -c '%u:%g %a %n' /v/sample.war /v/tree /v/app/WEB-INF /v/sidecar")
			uid, _, _ := strings.Cut(user, ":")
			want := uid + ":2000 644 /v/sample.war\n" + uid + ":2000 2755 /v/tree\n" + uid + ":2000 2755 /v/app/WEB-INF\n" + uid + ":2000 555 /v/sidecar"
			if err != nil || out != want {
				t.Errorf("the volume holds\n%s, %v; want\n%s", out, err, want)
			}
		})
	}
}
