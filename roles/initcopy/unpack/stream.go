package unpack

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/sidecar-kit/sidecar/internal/inflate"
)

const (
	// maxWindow is how far back a zstd stream may refer, which is the memory that reading it takes. It is what zstd -19
	// needs; only --long and --ultra want more.
	maxWindow = 8 << 20
	// freeRatio comes out before the ratio counts.
	freeRatio = 1 << 20
	// maxPadding may follow the end of a tar: tapes have blocks.
	maxPadding = 1 << 20
)

// stream unpacks a tar in whatever it is packed.
func (r *run) stream(ctx context.Context, in *input) error {
	m := &meter{r: in, in: in, lim: r.o.Limits}
	switch r.rep.Format {
	case "tar.gz":
		m.r = newGunzip(in)
	case "tar.zst":
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return err
		}
		defer z.Close()
		m.r = z
	}
	err := m.peek(strings.TrimPrefix(r.rep.Format, "tar."))
	if err == nil {
		err = r.tar(ctx, m)
	}
	if err != nil {
		return m.explain(err)
	}
	return m.explain(m.end(r.rep.Format == "tar"))
}

// meter reads the unpacked stream and holds it to the limits. Everything counts, not only what becomes files.
type meter struct {
	r     io.Reader
	in    *input
	lim   Limits
	out   int64
	zeros int // bytes of zero read last, by small reads, which is how headers are read
	err   error
	bad   bool // err is of a decoder
}

func (m *meter) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	n, err := m.r.Read(p)
	m.out += int64(n)
	if len(p) <= block && zero(p[:n]) {
		m.zeros += n
	} else {
		m.zeros = 0
	}
	if err != nil {
		m.err, m.bad = err, !errors.Is(err, io.EOF)
		return n, err
	}
	if m.err = m.check(); m.err != nil {
		return 0, m.err
	}
	return n, nil
}

// peek sees to it that what was packed is a tar, because an archive of nothing is what is left of a pipe that broke.
func (m *meter) peek(packer string) error {
	head, err := io.ReadAll(io.LimitReader(m.r, block))
	switch {
	case err != nil:
		m.bad = true
		return err
	case len(head) == 0:
		return reject("", "holds nothing, not even the end of a tar", "see what made it")
	case len(head) < block || !tarHeader(head):
		return reject("", "is packed as "+packer+", but what is in it is no tar", "")
	}
	m.r = io.MultiReader(bytes.NewReader(head), m.r)
	return nil
}

func (m *meter) check() error {
	if most := m.lim.Bytes; most > 0 && m.out/2-32<<20 > most {
		return over("", "--max-bytes", most, fmt.Sprintf("holds more than %d bytes, most of them not of files", m.out))
	}
	return ratio("", m.in.count, m.out, m.lim.Ratio)
}

// ratio refuses what grows out of proportion.
func ratio(member string, in, out, most int64) error {
	if most <= 0 || out <= freeRatio || out/most <= in {
		return nil
	}
	return over(member, "--max-ratio", most, fmt.Sprintf("unpacks %d bytes to %d or more", in, out))
}

// end reads on after the last member, so that checksums behind it are looked at. A plain tar has none: only its end
// marker tells that it is whole.
func (m *meter) end(plain bool) error {
	if m.zeros < block && plain {
		return reject("", "is cut off: the mark of the end is missing", "copy or make it again")
	}
	buf := make([]byte, 32<<10)
	for left := maxPadding; left > 0; {
		n, err := m.Read(buf)
		if !zero(buf[:n]) {
			return reject("", "goes on behind its end; programs differ in whether they read that", "make the archive again")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		left -= n
	}
	return reject("", fmt.Sprintf("has more than %d zero bytes behind its end", maxPadding), "")
}

func zero(p []byte) bool { return len(bytes.TrimLeft(p, "\x00")) == 0 }

// explain puts what a decoder says into words. Errors of the source and limits come first, since decoders cover them up.
func (m *meter) explain(err error) error {
	var refusal *Refusal
	switch {
	case err == nil:
		return nil
	case m.in.err != nil:
		return fmt.Errorf("read the archive: %w", m.in.err)
	case errors.As(err, &refusal):
		return err
	case errors.As(m.err, &refusal):
		return m.err
	}
	if err = damage(err); !errors.As(err, &refusal) && m.bad {
		return reject("", "is damaged: "+err.Error(), "copy or make it again")
	}
	return err
}

var (
	errChecksum = errors.New("gzip checksum differs")
	errHeader   = errors.New("not a gzip header")
)

// damage is a refusal for an error of a decoder, and any other error as it is.
func damage(err error) error {
	const again = "copy or make it again"
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return reject("", "is cut off", again)
	case errors.Is(err, errChecksum), errors.Is(err, zstd.ErrCRCMismatch):
		return reject("", "is damaged: its content does not match its checksum", again)
	case errors.Is(err, errHeader):
		return reject("", "is damaged, or has something behind its end: what should be a gzip header is none", again)
	case errors.Is(err, inflate.ErrCorrupt):
		return reject("", "is damaged: bad deflate data", again)
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong):
		return reject("", "is damaged: a tar header is not valid", again)
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrWindowSizeTooSmall):
		return reject("", fmt.Sprintf("needs a zstd window of more than %d MiB", maxWindow>>20), "pack it again without --long or --ultra")
	case errors.Is(err, zstd.ErrMagicMismatch):
		return reject("", "is damaged, or has something behind its end: what should be a zstd frame is none", again)
	case errors.Is(err, zstd.ErrUnknownDictionary):
		return reject("", "needs a zstd dictionary", "pack it again without one")
	}
	return err
}
