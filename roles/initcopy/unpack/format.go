package unpack

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

const (
	inSize = 64 << 10
	// forgetEach is how much of a large archive is read before the page cache may drop it again.
	forgetEach = 8 << 20
	// large is when an archive is worth that.
	large = 32 << 20
)

// input is the archive as it is read, from front to back.
type input struct {
	*bufio.Reader
	src   io.Reader
	count int64 // bytes read from src
	err   error // of src, other than its end
}

func newStreamReader(src io.Reader) *input {
	in := &input{src: src}
	in.Reader = bufio.NewReaderSize(counter{in}, inSize)
	return in
}

// counter reads for the buffer of an input.
type counter struct{ in *input }

func (c counter) Read(p []byte) (int, error) {
	n, err := c.in.src.Read(p)
	c.in.count += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.in.err = err
	}
	return n, err
}

func newFileReader(f *os.File, size int64) *input {
	return newStreamReader(&section{f: f, size: size, end: size})
}

// section reads a part of a file by offset.
type section struct {
	f         *os.File
	size      int64 // of the file
	off, end  int64
	forgotten int64
}

// seek turns to the part from off to end.
func (s *section) seek(off, end int64) { s.off, s.end, s.forgotten = off, end, off }

func (s *section) Read(p []byte) (int, error) {
	if s.off >= s.end {
		return 0, io.EOF
	}
	n, err := s.f.ReadAt(p[:min(int64(len(p)), s.end-s.off)], s.off)
	s.off += int64(n)
	if s.size >= large && s.off-s.forgotten >= forgetEach {
		forget(s.f, s.forgotten, s.off-s.forgotten)
		s.forgotten = s.off
	}
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// block is the unit of a tar.
const block = 512

// detect tells the format by the first bytes; "" when none fits. want is what the user said.
func detect(in *input, want string) (format string, head []byte, err error) {
	head, err = in.Peek(block)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", nil, err
	}
	if len(head) == 0 {
		return "", nil, reject("", "is empty", "")
	}
	format = magic(head)
	switch {
	case want == "" || want == "auto" || want == format:
		return format, head, nil
	case format == "" && want == "zip":
		return want, head, nil // there may be something in front
	case format == "":
		return "", nil, reject("", "is no "+want+": its first bytes are "+strconv.Quote(string(head[:min(8, len(head))])), "")
	}
	return "", nil, reject("", "is a "+format+", not a "+want, "leave the format out, it is found by the content")
}

func magic(head []byte) string {
	has := func(prefix string) bool { return bytes.HasPrefix(head, []byte(prefix)) }
	switch {
	case has("PK\x03\x04"), has("PK\x05\x06"):
		return "zip"
	case has("\x1f\x8b"):
		return "tar.gz"
	case has("\x28\xb5\x2f\xfd"), len(head) >= 4 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18":
		return "tar.zst"
	case len(head) == block && tarHeader(head):
		return "tar"
	}
	return ""
}

// tarHeader tells whether a block is a tar header by its checksum, or the end of an archive without members.
func tarHeader(b []byte) bool {
	sum, unsigned := 0, 0
	for i, c := range b {
		unsigned += int(c)
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum += int(c)
	}
	if unsigned == 0 {
		return true
	}
	stored, err := strconv.ParseInt(strings.Trim(string(b[148:156]), " \x00"), 8, 32)
	return err == nil && int(stored) == sum
}

// foreign names what is not unpacked.
func foreign(head []byte) (reason, hint string) {
	const again = "pack it as tar.gz, tar.zst or zip"
	for prefix, name := range map[string]string{
		"BZh": "bzip2", "\xfd7zXZ\x00": "xz", "\x04\x22\x4d\x18": "lz4", "7z\xbc\xaf\x27\x1c": "7-Zip", "Rar!\x1a\x07": "RAR",
		"\x1f\x9d": "compress (.Z)", "LZIP": "lzip", "!<arch>": "ar", "070701": "cpio", "070707": "cpio",
	} {
		if strings.HasPrefix(string(head), prefix) {
			return "is made by " + name + ", which is not supported", again
		}
	}
	return fmt.Sprintf("is neither tar, tar.gz, tar.zst nor zip: its first bytes are %q", head[:min(8, len(head))]), ""
}
