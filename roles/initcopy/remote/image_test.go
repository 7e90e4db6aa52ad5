package remote

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/remote/remotetest"
)

func descriptorOf(platform string, d map[string]any) map[string]any {
	p, _ := ParsePlatform(platform)
	out := map[string]any{"platform": map[string]any{"os": p.OS, "architecture": p.Architecture, "variant": p.Variant}}
	for k, v := range d {
		out[k] = v
	}
	return out
}

// registered is a registry with one image for two platforms, and the reference of its index.
func registered(t *testing.T) (*remotetest.Registry, *httptest.Server, Reference) {
	t.Helper()
	r := remotetest.NewRegistry("team/app")
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	arm := r.Image(r.Layer(remotetest.Member{Name: "arm", Content: "arm"}))
	amd := r.Image(r.Layer(remotetest.Member{Name: "a", Content: "lower"}), r.Layer(remotetest.Member{Name: "b", Content: "upper"}))
	index := r.Manifest(ociIndex, map[string]any{"manifests": []any{
		descriptorOf("unknown/unknown", amd), descriptorOf("linux/arm64/v8", arm), descriptorOf("linux/amd64", amd),
	}})
	r.Tag("v1", index)
	ref, err := ParseReference("oci://" + strings.TrimPrefix(s.URL, "http://") + "/team/app@" + index["digest"].(string))
	if err != nil {
		t.Fatal(err)
	}
	return r, s, ref
}

func amd64() Platform { return Platform{OS: "linux", Architecture: "amd64"} }

// readLayer is the packed content of a layer.
func readLayer(t *testing.T, im *Image, n int) ([]byte, error) {
	t.Helper()
	var all []byte
	err := im.Layer(t.Context(), n, func(_ context.Context, _ string, r io.Reader) (err error) {
		all, err = io.ReadAll(r)
		return err
	})
	return all, err
}

func TestImageOfThePlatform(t *testing.T) {
	_, s, ref := registered(t)
	c, _ := client(t, Options{})
	im, err := c.Image(t.Context(), ref, amd64())
	if err != nil {
		t.Fatal(err)
	}
	if im.Layers() != 2 || im.Digest != ref.Digest || im.Manifest == im.Digest {
		t.Errorf("Image = %d layers, %s, %s; want 2, the index, and its manifest", im.Layers(), im.Digest, im.Manifest)
	}
	want := remotetest.Tar("tar.gz", remotetest.Member{Name: "b", Content: "upper"})
	if got, err := readLayer(t, im, 1); err != nil || !bytes.Equal(got, want) {
		t.Errorf("Layer(1) = %d bytes, %v; want the upper one", len(got), err)
	}
	if im, err = c.Image(t.Context(), ref, Platform{OS: "linux", Architecture: "arm64"}); err != nil || im.Layers() != 1 {
		t.Errorf("Image for arm64 = %v", err)
	}
	_, err = c.Image(t.Context(), ref, Platform{OS: "linux", Architecture: "s390x"})
	if err == nil || !strings.Contains(err.Error(), `nothing for linux/s390x, only for "linux/arm64/v8", "linux/amd64"`) {
		t.Errorf("Image for s390x = %v; want a list", err)
	}
	tagged, err := ParseReference("oci://" + strings.TrimPrefix(s.URL, "http://") + "/team/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	if im, err = c.Image(t.Context(), tagged, amd64()); err != nil || im.Digest != ref.Digest {
		t.Errorf("Image by tag = %v; want %s", err, ref.Digest)
	}
}

func TestLayerIsTakenUpWhereItBroke(t *testing.T) {
	r, _, ref := registered(t)
	c, _ := client(t, Options{})
	im, err := c.Image(t.Context(), ref, amd64())
	if err != nil {
		t.Fatal(err)
	}
	want := remotetest.Tar("tar.gz", remotetest.Member{Name: "a", Content: "lower"})
	for _, faults := range []string{"cut 50", "cut 50,norange", "cut 50,cut 20,status 503", "cut 50,shift 7", "cut 0"} {
		r.Blobs.Fail(strings.Split(faults, ",")...)
		if got, err := readLayer(t, im, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: Layer = %d bytes, %v; want %d", faults, len(got), err, len(want))
		}
	}
	for faults, says := range map[string]string{"lie": "and the manifest says sha256:", "cut 50,lie": "and the manifest says sha256:", "status 404": "404"} {
		r.Blobs.Fail(strings.Split(faults, ",")...)
		if _, err := readLayer(t, im, 0); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "layer 1 of 2") {
			t.Errorf("%s: Layer = %v; want %q", faults, err, says)
		}
	}
	stop := errors.New("enough")
	if err := im.Layer(t.Context(), 0, func(context.Context, string, io.Reader) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Layer = %v; want the reader's error", err)
	}
}

func TestRegistryCredentials(t *testing.T) {
	login := basic("me:pw")
	auth := base64.StdEncoding.EncodeToString([]byte("me:pw"))
	tests := []struct {
		name, token, basic, login, file, want string
	}{
		{"anonymous token", "tok", "", "", "", ""},
		{"token for a password", "tok", "", login, `{"auths":{"HOST":{"auth":"` + auth + `"}}}`, ""},
		{"two fields", "tok", "", login, `{"auths":{"https://HOST/v2/":{"username":"me","password":"pw"}}}`, ""},
		{"refresh token", "tok", "", "refresh", `{"auths":{"HOST":{"identitytoken":"refresh"}}}`, ""},
		{"token of the file", "tok", "", "x", `{"auths":{"HOST":{"registrytoken":"tok"}}}`, ""},
		{"basic", "", login, "", `{"auths":{"HOST":{"auth":"` + auth + `"}}}`, ""},
		{"best entry", "", login, "", `{"auths":{"HOST":{"auth":"eDp5"},"HOST/team":{"auth":"` + auth + `"},"HOST/te":{"auth":"eDp5"}}}`, ""},
		{"none", "tok", "", login, "", "401 Unauthorized\nhint: give credentials with --auth-file"},
		{"wrong", "tok", "", login, `{"auths":{"HOST":{"username":"me","password":"geheim"}}}`, "401 Unauthorized"},
		{"of another", "", login, "", `{"auths":{"other:1":{"auth":"` + auth + `"}}}`, "401 Unauthorized"},
		{"helper", "", login, "", `{"credsStore":"desktop"}`, "helper program"},
		{"no json", "", login, "", `geheim`, "is no JSON"},
		{"no base64", "", login, "", `{"auths":{"HOST":{"auth":"geheim"}}}`, "in base64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, s, ref := registered(t)
			r.Token, r.Basic, r.Login = tt.token, tt.basic, tt.login
			o := Options{}
			if tt.file != "" {
				o.AuthFile = filepath.Join(t.TempDir(), "config.json")
				text := strings.ReplaceAll(tt.file, "HOST", strings.TrimPrefix(s.URL, "http://"))
				if err := os.WriteFile(o.AuthFile, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c, lines := client(t, o)
			im, err := c.Image(t.Context(), ref, amd64())
			if err == nil {
				_, err = readLayer(t, im, 0)
			}
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("Image = %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Image = %v; want %q", err, tt.want)
			}
			if text := lines.String() + fmt.Sprint(err); strings.Contains(text, "geheim") || strings.Contains(text, auth) {
				t.Errorf("%s holds a secret", text)
			}
		})
	}
}

func TestRegistryCredentialsStayWithTheRegistry(t *testing.T) {
	r, s, ref := registered(t)
	far := httptest.NewServer(&r.Blobs)
	defer far.Close()
	r.Elsewhere, r.Basic = far.URL, basic("me:pw")
	file := filepath.Join(t.TempDir(), "config.json")
	text := `{"auths":{"` + strings.TrimPrefix(s.URL, "http://") + `":{"username":"me","password":"pw"}}}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, lines := client(t, Options{AuthFile: file})
	im, err := c.Image(t.Context(), ref, amd64())
	if err != nil {
		t.Fatal(err)
	}
	r.Blobs.Fail("cut 50", "status 500")
	if _, err := readLayer(t, im, 0); err != nil {
		t.Fatal(err)
	}
	log := r.Blobs.Log()
	if got := strings.Join(log, ","); len(log) != 3 || strings.Contains(got, "Basic") || !strings.Contains(got, "bytes=50-") {
		t.Errorf("the other server saw %q; want three requests without credentials", got)
	}
	if strings.Contains(lines.String(), "geheim") {
		t.Errorf("log = %s; want no query", lines)
	}
	for _, realm := range []string{"http://192.0.2.1/token", "ftp://127.0.0.1/", "/token", "https://u:p@127.0.0.1/"} {
		r.Elsewhere, r.Basic, r.Token, r.Realm = "", "", "tok", realm
		if _, err := c.Image(t.Context(), ref, amd64()); err == nil || !strings.Contains(err.Error(), "get a token: the registry") {
			t.Errorf("realm %s: Image = %v; want a refusal", realm, err)
		}
	}
}

func TestForeignManifestsAreRefused(t *testing.T) {
	r, s, _ := registered(t)
	c, _ := client(t, Options{})
	ok := r.Layer()
	kind := func(k string) map[string]any {
		return map[string]any{"mediaType": k, "digest": ok["digest"], "size": 1}
	}
	loop := r.Image(ok)
	for range maxIndexes + 1 {
		loop = r.Manifest(ociIndex, map[string]any{"manifests": []any{descriptorOf("linux/amd64", loop)}})
	}
	tests := map[string]struct {
		doc  map[string]any
		want string
	}{
		"foreign": {r.Image(kind("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")), "do not hand out"},
		"nondist": {r.Image(kind("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")), "do not hand out"},
		"unknown": {r.Image(kind("text/html")), `media type "text/html"`},
		"urls":    {r.Image(map[string]any{"mediaType": ok["mediaType"], "digest": ok["digest"], "size": 1, "urls": []string{"https://a/"}}), "elsewhere"},
		"digest":  {r.Image(map[string]any{"mediaType": ok["mediaType"], "digest": "sha256:../../x", "size": 1}), `the digest "sha256:../../x"`},
		"size":    {r.Image(map[string]any{"mediaType": ok["mediaType"], "digest": ok["digest"], "size": -1}), "the size -1"},
		"both":    {r.Manifest(ociIndex, map[string]any{"manifests": []any{loop}, "layers": []any{ok}}), "at the same time"},
		"old":     {r.Manifest("application/vnd.docker.distribution.manifest.v1+prettyjws", map[string]any{"fsLayers": []any{1}}), "version 1"},
		"nothing": {r.Manifest("application/json", map[string]any{}), "holds no layers"},
		"loop":    {loop, "lie in each other"},
	}
	for name, tt := range tests {
		ref, err := ParseReference("oci://" + strings.TrimPrefix(s.URL, "http://") + "/team/app@" + tt.doc["digest"].(string))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Image(t.Context(), ref, amd64()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Image = %v; want %q", name, err, tt.want)
		}
	}
	other := r.Image(ok)
	r.Tag(other["digest"].(string), loop) // a registry that lies
	ref, _ := ParseReference("oci://" + strings.TrimPrefix(s.URL, "http://") + "/team/app@" + other["digest"].(string))
	if _, err := c.Image(t.Context(), ref, amd64()); err == nil || !strings.Contains(err.Error(), "and was asked for as") {
		t.Errorf("Image = %v; want a wrong digest", err)
	}
	long := r.Blob(ok["mediaType"].(string), remotetest.Tar("tar.gz"), "")
	long["size"] = long["size"].(int) - 1
	ref, _ = ParseReference("oci://" + strings.TrimPrefix(s.URL, "http://") + "/team/app@" + r.Image(long)["digest"].(string))
	im, err := c.Image(t.Context(), ref, amd64())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readLayer(t, im, 0); err == nil || !strings.Contains(err.Error(), "the limit is of the manifest") {
		t.Errorf("Layer = %v; want it too long", err)
	}
}

func TestParseReference(t *testing.T) {
	const hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, tt := range []struct {
		in, registry, name, tag, path string
		digest, content               bool
	}{
		{"oci://r.io/a/b@sha256:" + hex + ":/app/x.war", "r.io", "a/b", "", "app/x.war", true, false},
		{"oci://r.io:5000/a:v1@sha256:" + hex, "r.io:5000", "a", "v1", "", true, true},
		{"oci://localhost/a:v1:/srv/www/", "localhost", "a", "v1", "srv/www", false, true},
		{"oci://[::1]:5000/a:/", "[::1]:5000", "a", "", "", false, true},
		{"oci://r.io/a:/x:/y", "r.io", "a", "", "x:/y", false, false},
		{"oci://r.io/a:/x/./y/.", "r.io", "a", "", "x/y", false, true},
		{"oci://r.io/a:/a..b/..c", "r.io", "a", "", "a..b/..c", false, false},
	} {
		r, err := ParseReference(tt.in)
		if err != nil || r.Registry != tt.registry || r.Name != tt.name || r.Tag != tt.tag || r.Path != tt.path || r.Digest.IsZero() == tt.digest || r.Content != tt.content {
			t.Errorf("ParseReference(%q) = %+v, %v", tt.in, r, err)
		}
	}
	for _, bad := range []string{
		"", "oci://", "oci://a", "oci:///a", "oci://u:geheim@r.io/a", "oci://r.io/A", "oci://r.io/a@md5:1", "oci://r.io/a@" + hex, "oci://r.io/a:../x",
		"oci://r.io/a:/../x", "oci://r.io/a:/x/../../y", "oci://r.io/a/../b", "oci://r.io/a:-", "oci://r.io?x/a", "oci://r.io/a:/x\x00",
	} {
		if r, err := ParseReference(bad); err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("ParseReference(%q) = %+v, %v; want an error without secrets", bad, r, err)
		}
	}
	if host, name := (Reference{Registry: "docker.io", Name: "alpine"}).home(); host != "registry-1.docker.io" || name != "library/alpine" {
		t.Errorf("home = %s, %s", host, name)
	}
}

func TestParseChallenges(t *testing.T) {
	got := parseChallenges([]string{`Basic realm="a, \"b", Bearer realm="https://x/t",service=s ,scope="q"`, `Negotiate`, `Bearer`})
	want := `[{basic map[realm:a, "b]} {bearer map[realm:https://x/t scope:q service:s]} {negotiate map[]} {bearer map[]}]`
	if fmt.Sprint(got) != want {
		t.Errorf("parseChallenges = %v; want %s", got, want)
	}
}

func FuzzParseReference(f *testing.F) {
	f.Add("oci://r.io:5000/a/b:v1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855:/x/y/")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseReference(text)
		if err != nil {
			return
		}
		if strings.HasPrefix(r.Path, "/") || strings.Contains("/"+r.Path+"/", "/../") || strings.Contains(r.Name, "..") || strings.ContainsAny(r.Registry, "/@?#") {
			t.Errorf("ParseReference(%q) = %+v", text, r)
		}
		if again, err := ParseReference(ImageScheme + r.String()); err != nil || again.Name != r.Name || again.Digest != r.Digest || again.Tag != r.Tag {
			t.Errorf("ParseReference(%q) = %+v, %v; want %+v", r.String(), again, err, r)
		}
	})
}

func FuzzParseChallenges(f *testing.F) {
	f.Add(`Basic realm="a, \"b", Bearer realm="https://x/t",service=s ,scope="q"`)
	f.Add(`Negotiate abc==, Basic`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, c := range parseChallenges([]string{text}) {
			if c.scheme == "" || len(c.params) > maxChallenges {
				t.Errorf("parseChallenges(%q) = %+v", text, c)
			}
		}
	})
}

func FuzzParseDocument(f *testing.F) {
	f.Add([]byte(`{"mediaType":"`+ociIndex+`","manifests":[{"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":3,"platform":{"os":"linux"}}]}`), "")
	f.Add([]byte(`{"layers":[{"mediaType":"text/html","digest":"x"}]}`), ociManifest)
	f.Fuzz(func(t *testing.T, data []byte, kind string) {
		d, err := parseDocument(data, kind)
		if err != nil {
			return
		}
		if len(d.Layers) > 0 && len(d.Manifests) > 0 {
			t.Error("both")
		}
		_, _ = d.choose(amd64())
		for i := range d.Layers {
			_ = d.Layers[i].layer()
			if d.Layers[i].sum == (item.Sum{}) && !strings.HasSuffix(d.Layers[i].Digest, strings.Repeat("0", 64)) {
				t.Errorf("layer %+v has no digest", d.Layers[i])
			}
		}
	})
}

func FuzzFindLogin(f *testing.F) {
	f.Add([]byte(`{"auths":{"r.io/a":{"auth":"bWU6cHc="},"https://index.docker.io/v1/":{"username":"u","password":"p"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = findLogin(data, Reference{Registry: "r.io", Name: "a/b"})
	})
}

func FuzzContentRange(f *testing.F) {
	f.Add("bytes 5-9/10")
	f.Fuzz(func(t *testing.T, text string) {
		if first, total, ok := contentRange(text); ok && (first < 0 || total >= 0 && first >= total) {
			t.Errorf("contentRange(%q) = %d, %d", text, first, total)
		}
	})
}
