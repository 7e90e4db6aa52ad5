package remote

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

const (
	// maxDocument is how long a manifest or an index may be; registries have the same limit.
	maxDocument = 4 << 20
	// maxLayers is far above what any builder makes.
	maxLayers = 1000
	// maxIndexes is how deep indexes may lie in each other.
	maxIndexes = 3
)

// Media types, see the specifications of OCI images and of docker's distribution.
const (
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
)

// acceptDocuments is the header for all of them.
const acceptDocuments = ociIndex + ", " + ociManifest + ", " + dockerList + ", " + dockerManifest

// document is an index or a manifest.
type document struct {
	MediaType string       `json:"mediaType"`
	Manifests []descriptor `json:"manifests"`
	Layers    []descriptor `json:"layers"`
	FSLayers  []any        `json:"fsLayers"` // of the format before this one
}

// descriptor points to a document or a layer.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    *Platform         `json:"platform"`
	URLs        []string          `json:"urls"`
	Annotations map[string]string `json:"annotations"`
	sum         item.Sum
}

// parseDocument reads an index or a manifest, and checks everything in it that is used. contentType is what the server
// calls it, which counts when the document does not say.
func parseDocument(data []byte, contentType string) (*document, error) {
	d := &document{}
	if err := json.Unmarshal(data, d); err != nil {
		return nil, errors.New("is no JSON of a manifest")
	}
	kind := d.MediaType
	if kind == "" {
		kind, _, _ = strings.Cut(contentType, ";")
	}
	index, manifest := kind == ociIndex || kind == dockerList, kind == ociManifest || kind == dockerManifest
	switch {
	case len(d.FSLayers) > 0:
		return nil, errors.New("is a manifest of version 1, which cannot be verified\nhint: push the image again with a tool of this decade")
	case len(d.Manifests) > 0 && len(d.Layers) > 0, index && len(d.Layers) > 0, manifest && len(d.Manifests) > 0:
		return nil, errors.New("is a manifest and an index at the same time; programs differ in what they take it for")
	case len(d.Manifests) == 0 && len(d.Layers) == 0:
		return nil, fmt.Errorf("holds no layers (its media type is %.80q)", kind)
	case len(d.Layers) > maxLayers || len(d.Manifests) > maxLayers:
		return nil, fmt.Errorf("lists more than %d entries", maxLayers)
	}
	for _, list := range [][]descriptor{d.Manifests, d.Layers} {
		for i := range list {
			if err := list[i].check(); err != nil {
				return nil, fmt.Errorf("entry %d %w", i+1, err)
			}
		}
	}
	return d, nil
}

func (d *descriptor) check() error {
	var ok bool
	switch d.sum, ok = item.ParseSum(d.Digest); {
	case !ok || !strings.HasPrefix(d.Digest, "sha256:"):
		return fmt.Errorf("has the digest %.80q; want sha256 and 64 digits", d.Digest)
	case d.Size < 0:
		return fmt.Errorf("has the size %d", d.Size)
	}
	return nil
}

// choose picks the manifest of a platform from an index.
func (d *document) choose(want Platform) (descriptor, error) {
	var there []string
	for _, m := range d.Manifests {
		if m.Platform == nil || m.Platform.OS == "unknown" || m.Annotations["vnd.docker.reference.type"] != "" {
			continue // attestations, signatures
		}
		if m.Platform.fits(want) {
			return m, nil
		}
		if name := fmt.Sprintf("%.40q", m.Platform.String()); len(there) < 20 && !slices.Contains(there, name) {
			there = append(there, name)
		}
	}
	if len(d.Manifests) == 1 && d.Manifests[0].Platform == nil {
		return d.Manifests[0], nil
	}
	if len(there) == 0 {
		return descriptor{}, errors.New("is an index that names no platforms\nhint: name one of its manifests by digest")
	}
	return descriptor{}, fmt.Errorf("has nothing for %s, only for %s\nhint: choose with --platform", want, strings.Join(there, ", "))
}

// layer refuses what is not a layer that a registry may hand out.
func (d *descriptor) layer() error {
	switch d.MediaType {
	case "application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar+zstd",
		"application/vnd.docker.image.rootfs.diff.tar", "application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.docker.image.rootfs.diff.tar.zstd":
		if len(d.URLs) == 0 {
			return nil
		}
		return errors.New("lies elsewhere than in the registry, where it is not fetched from")
	}
	if strings.Contains(d.MediaType, "nondistributable") || strings.Contains(d.MediaType, "foreign") {
		return errors.New("is one that registries do not hand out (non-distributable)\nhint: build the image from a base without such layers")
	}
	return fmt.Errorf("has the media type %.120q, which is none of an image's layers", d.MediaType)
}
