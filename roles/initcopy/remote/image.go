package remote

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// Image is an image whose manifest was read.
type Image struct {
	// Digest is what names the image: of the index, or of the manifest where there is no index.
	Digest item.Sum
	// Manifest is that of the platform.
	Manifest item.Sum

	reg    *registry
	shown  string
	layers []descriptor
}

// Image reads the manifest of an image, for one platform. Where the reference has a digest, that counts, not the tag.
func (c *Client) Image(ctx context.Context, ref Reference, platform Platform) (*Image, error) {
	im, err := c.image(ctx, ref, platform)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", ref, err)
	}
	return im, nil
}

func (c *Client) image(ctx context.Context, ref Reference, platform Platform) (*Image, error) {
	reg, err := c.open(ctx, ref)
	if err != nil {
		return nil, err
	}
	what := ref.Tag
	switch {
	case !ref.Digest.IsZero():
		what = ref.Digest.String()
	case what == "":
		what = "latest"
	}
	doc, sum, err := reg.document(ctx, what, ref.Digest)
	if err != nil {
		return nil, err
	}
	im := &Image{Digest: sum, Manifest: sum, reg: reg, shown: ref.String()}
	for depth := 1; len(doc.Manifests) > 0; depth++ {
		if depth > maxIndexes {
			return nil, fmt.Errorf("more than %d indexes lie in each other", maxIndexes)
		}
		entry, err := doc.choose(platform)
		if err != nil {
			return nil, fmt.Errorf("index %s %w", im.Manifest, err)
		}
		if doc, im.Manifest, err = reg.document(ctx, entry.Digest, entry.sum); err != nil {
			return nil, err
		}
	}
	for i := range doc.Layers {
		if err := doc.Layers[i].layer(); err != nil {
			return nil, fmt.Errorf("layer %d of %d %w", i+1, len(doc.Layers), err)
		}
	}
	im.layers = doc.Layers
	return im, nil
}

// Layers is how many there are. The first is the lowest.
func (im *Image) Layers() int { return len(im.layers) }

// Layer lets read have the packed content of a layer while it arrives. What it was given had the right digest if, and only
// if, there is no error; until then it is to be kept apart.
func (im *Image) Layer(ctx context.Context, n int, read func(ctx context.Context, name string, r io.Reader) error) error {
	d := &im.layers[n]
	c := im.reg.c
	name := fmt.Sprintf("layer %d of %d of %s", n+1, len(im.layers), im.shown)
	if most := c.o.MaxBytes; most > 0 && d.Size > most {
		return fmt.Errorf("%s has %d bytes; the limit is --max-bytes %d", name, d.Size, most)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pr, pw := io.Pipe()
	to := &pipe{w: pw, hash: sha256.New()}
	t := &transfer{c: c, res: im.reg.resource("blobs", d.Digest), to: to, pinned: true, limit: d.Size, over: "of the manifest"}
	done := make(chan error, 1)
	go func() {
		err := t.run(ctx)
		if err == nil && t.off != d.Size {
			err = fmt.Errorf("there are %d bytes; the manifest says %d", t.off, d.Size)
		}
		_ = pw.CloseWithError(err)
		done <- err
	}()
	rerr := read(ctx, name, pr)
	if rerr == nil {
		_, rerr = io.Copy(io.Discard, pr) // what follows the end of the tar counts for the digest, too
	}
	if rerr != nil {
		cancel()
	}
	_ = pr.CloseWithError(errUnwanted)
	err := <-done
	switch {
	case err != nil && !errors.Is(err, errUnwanted) && !errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", name, err)
	case rerr != nil:
		return rerr
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case to.sum() != d.sum:
		return fmt.Errorf("%s has %s, and the manifest says %s\nhint: the registry, or something on the way, changed it; nothing was changed here", name, to.sum(), d.sum)
	}
	return nil
}

// pipe hands content to a reader. When a transfer begins anew, the reader is not given again what it had; that both starts
// are the same shows in the digest.
type pipe struct {
	w    *io.PipeWriter
	hash hash.Hash
	at   int64 // where the transfer is
	had  int64 // what the reader was given
}

func (p *pipe) Begin(int64) error {
	p.at = 0
	return nil
}

func (p *pipe) Write(b []byte) (int, error) {
	all := len(b)
	skip := min(p.had-p.at, int64(all))
	p.at += skip
	if b = b[skip:]; len(b) == 0 {
		return all, nil
	}
	p.hash.Write(b)
	n, err := p.w.Write(b)
	p.at += int64(n)
	p.had += int64(n)
	return int(skip) + n, err
}

func (p *pipe) sum() (s item.Sum) {
	p.hash.Sum(s[:0])
	return s
}

// errUnwanted ends a transfer whose reader gave up.
var errUnwanted = errors.New("not wanted any more")
