package remotetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Digest is the digest of content in the field's notation.
func Digest(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

// Member is an entry of a layer. A name that ends with a slash is a folder; Link makes a symbolic link; Hard a hard one.
type Member struct {
	Name, Content, Link, Hard string
	Mode                      int64
	Type                      byte
}

// Tar packs members, as "tar", "tar.gz" or "tar.zst".
func Tar(format string, members ...Member) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range members {
		h := &tar.Header{Name: m.Name, Typeflag: tar.TypeReg, Mode: m.Mode, Size: int64(len(m.Content)), ModTime: Modified(), Format: tar.FormatPAX}
		switch {
		case m.Type != 0:
			h.Typeflag = m.Type
		case strings.HasSuffix(m.Name, "/"):
			h.Typeflag = tar.TypeDir
		case m.Link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, m.Link
		case m.Hard != "":
			h.Typeflag, h.Linkname = tar.TypeLink, m.Hard
		}
		if h.Mode == 0 {
			h.Mode = map[bool]int64{true: 0o755, false: 0o644}[h.Typeflag == tar.TypeDir]
		}
		must(w.WriteHeader(h))
		_, err := w.Write([]byte(m.Content))
		must(err)
	}
	must(w.Close())
	switch format {
	case "tar.gz":
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, err := z.Write(buf.Bytes())
		must(err)
		must(z.Close())
		return packed.Bytes()
	case "tar.zst":
		z, err := zstd.NewWriter(nil)
		must(err)
		return z.EncodeAll(buf.Bytes(), nil)
	}
	return buf.Bytes()
}

func must(err error) {
	if err != nil {
		panic(err) // a test wrote something impossible
	}
}

// Registry is an image registry with one repository. Faults of Blobs hold for layers.
type Registry struct {
	Name  string // of the repository
	Blobs Web
	// Token is what a Bearer has to be, Basic what user:password has to be in Authorization; "" for anonymous.
	Token, Basic string
	// Realm is the address of the token service; "" is /token of this server, which takes Login ("" for everybody).
	Realm, Login string
	// Elsewhere is the address of a server that blobs lie on: they are redirected there.
	Elsewhere string

	mu        sync.Mutex
	blobs     map[string][]byte
	manifests map[string][]byte
	log       []string
}

// NewRegistry makes an empty one.
func NewRegistry(name string) *Registry {
	r := &Registry{Name: name, blobs: map[string][]byte{}, manifests: map[string][]byte{}}
	r.Blobs.Find = func(path string) ([]byte, bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		data, ok := r.blobs[path[strings.LastIndexByte(path, '/')+1:]]
		return data, ok
	}
	return r
}

// Log is what was asked for, layers included.
func (r *Registry) Log() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.log...)
}

// Blob adds a blob, under the digest of something else where that is set, and returns its descriptor.
func (r *Registry) Blob(mediaType string, data []byte, as string) map[string]any {
	if as == "" {
		as = Digest(data)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blobs[as] = data
	return map[string]any{"mediaType": mediaType, "digest": as, "size": len(data)}
}

// Layer is Blob for a layer packed with gzip.
func (r *Registry) Layer(members ...Member) map[string]any {
	return r.Blob("application/vnd.oci.image.layer.v1.tar+gzip", Tar("tar.gz", members...), "")
}

// Image adds a manifest of layers, the lowest first, and returns its descriptor.
func (r *Registry) Image(layers ...map[string]any) map[string]any {
	return r.Manifest("application/vnd.oci.image.manifest.v1+json", map[string]any{
		"config": map[string]any{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest(nil), "size": 0}, "layers": layers,
	})
}

// Manifest adds any document, and returns its descriptor.
func (r *Registry) Manifest(mediaType string, doc map[string]any) map[string]any {
	doc["schemaVersion"], doc["mediaType"] = 2, mediaType
	data, err := json.Marshal(doc)
	must(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.manifests[Digest(data)] = data
	return map[string]any{"mediaType": mediaType, "digest": Digest(data), "size": len(data)}
}

// Tag names a manifest; a digest can be named falsely.
func (r *Registry) Tag(tag string, d map[string]any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.manifests[tag] = r.manifests[d["digest"].(string)]
}

// ServeHTTP is one request.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.log = append(r.log, Line(req))
	r.mu.Unlock()
	if req.URL.Path == "/token" {
		r.token(w, req)
		return
	}
	if !r.admits(w, req) {
		return
	}
	if what, ok := strings.CutPrefix(req.URL.Path, "/v2/"+r.Name+"/manifests/"); ok {
		r.mu.Lock()
		data, ok := r.manifests[what]
		r.mu.Unlock()
		if !ok {
			http.NotFound(w, req)
			return
		}
		var doc struct{ MediaType string }
		must(json.Unmarshal(data, &doc))
		w.Header().Set("Content-Type", doc.MediaType)
		_, _ = w.Write(data)
		return
	}
	if strings.HasPrefix(req.URL.Path, "/v2/"+r.Name+"/blobs/") {
		if r.Elsewhere != "" {
			http.Redirect(w, req, r.Elsewhere+req.URL.Path+"?X-Signature=geheim", http.StatusTemporaryRedirect)
			return
		}
		r.Blobs.ServeHTTP(w, req)
		return
	}
	w.WriteHeader(http.StatusNotFound)
}

func (r *Registry) admits(w http.ResponseWriter, req *http.Request) bool {
	got, scheme := req.Header.Get("Authorization"), "http"
	if req.TLS != nil {
		scheme = "https"
	}
	switch {
	case r.Token != "" && got != "Bearer "+r.Token:
		realm := r.Realm
		if realm == "" {
			realm = scheme + "://" + req.Host + "/token"
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s",service="here",scope="repository:%s:pull"`, realm, r.Name))
	case r.Basic != "" && got != r.Basic:
		w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
	default:
		return true
	}
	w.WriteHeader(http.StatusUnauthorized)
	return false
}

func (r *Registry) token(w http.ResponseWriter, req *http.Request) {
	_ = req.ParseForm()
	if r.Login != "" && req.Header.Get("Authorization") != r.Login && req.PostForm.Get("refresh_token") != r.Login {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if req.Form.Get("scope") != "repository:"+r.Name+":pull" || req.Form.Get("service") != "here" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, `{"token":%q}`, r.Token)
}
