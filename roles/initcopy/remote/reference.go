package remote

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

var (
	hostForm = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?$`)
	nameForm = regexp.MustCompile(`^[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*$`)
	tagForm  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
)

const maxName = 255

// ImageScheme begins the address of an image.
const ImageScheme = "oci://"

// Reference is the address of an image, and of a place in it: oci://registry/name[:tag][@sha256:...][:/path].
type Reference struct {
	Registry string // host, or host:port
	Name     string
	Tag      string
	Digest   item.Sum // zero for none
	Path     string   // without slashes at either end; "" is the root
	Content  bool     // what is in Path is meant, not Path itself
}

// ParseReference reads the address of an image.
func ParseReference(text string) (r Reference, err error) {
	rest, ok := strings.CutPrefix(text, ImageScheme)
	r.Registry, rest, _ = strings.Cut(rest, "/")
	if !ok || !hostForm.MatchString(r.Registry) {
		return r, errors.New("want oci://registry/name@sha256:...:/path, with the name of a host and no user")
	}
	rest, inside, hasPath := strings.Cut(rest, ":/")
	rest, digest, hasDigest := strings.Cut(rest, "@")
	r.Name, r.Tag, ok = strings.Cut(rest, ":")
	switch {
	case !nameForm.MatchString(r.Name) || len(r.Name) > maxName:
		return r, fmt.Errorf("image name %.60q: want oci://registry/name@sha256:...:/path, the name in lower case", secret.Redact(r.Name))
	case ok && !tagForm.MatchString(r.Tag):
		return r, fmt.Errorf("image tag %.60q: want letters, digits, and . _ - in it", r.Tag)
	}
	if hasDigest {
		if r.Digest, ok = item.ParseSum(digest); !ok || !strings.HasPrefix(digest, "sha256:") {
			return r, fmt.Errorf("image digest %.80q: want sha256: and 64 hexadecimal digits", digest)
		}
	}
	if !hasPath {
		r.Content = true
		return r, nil
	}
	r.Content = inside == "" || strings.HasSuffix(inside, "/") || strings.HasSuffix(inside, "/.")
	if strings.ContainsRune(inside, 0) || slices.Contains(strings.Split(inside, "/"), "..") {
		return r, fmt.Errorf("path in the image /%.80q: want it without \"..\" parts", inside)
	}
	r.Path = strings.Trim(path.Clean("/"+inside), "/")
	return r, nil
}

// dockerHub is the registry whose name is not that of its server.
const dockerHub = "docker.io"

// home is where the registry answers, and the name that the image has there.
func (r Reference) home() (host, name string) {
	if r.Registry != dockerHub && r.Registry != "index."+dockerHub {
		return r.Registry, r.Name
	}
	if !strings.Contains(r.Name, "/") {
		return "registry-1." + dockerHub, "library/" + r.Name
	}
	return "registry-1." + dockerHub, r.Name
}

// String is the reference without its place in the image.
func (r Reference) String() string {
	text := r.Registry + "/" + r.Name
	if r.Tag != "" {
		text += ":" + r.Tag
	}
	if !r.Digest.IsZero() {
		text += "@" + r.Digest.String()
	}
	return text
}

// loopback tells whether a host is this machine.
func loopback(u *url.URL) bool {
	host := u.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Platform is what an image was made for.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

// ParsePlatform reads os/architecture[/variant]. An empty text is Linux on this processor.
func ParsePlatform(text string) (Platform, error) {
	if text == "" {
		return Platform{OS: "linux", Architecture: runtime.GOARCH}, nil
	}
	f := strings.Split(text, "/")
	if len(f) < 2 || len(f) > 3 || f[0] == "" || f[1] == "" || len(f) == 3 && f[2] == "" {
		return Platform{}, fmt.Errorf("%.60q: want os/architecture, such as linux/arm64", text)
	}
	return Platform{f[0], f[1], strings.Join(f[2:], "")}, nil
}

func (p Platform) String() string {
	if p.Variant != "" {
		return p.OS + "/" + p.Architecture + "/" + p.Variant
	}
	return p.OS + "/" + p.Architecture
}

// fits tells whether an image for p is one for want.
func (p Platform) fits(want Platform) bool {
	return p.OS == want.OS && p.Architecture == want.Architecture && (want.Variant == "" || p.Variant == want.Variant)
}
