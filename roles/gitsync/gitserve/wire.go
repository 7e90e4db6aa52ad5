package gitserve

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	flush = "0000"
	delim = "0001"
)

func pkt(format string, args ...any) string {
	s := fmt.Sprintf(format, args...)
	return fmt.Sprintf("%04x%s", len(s)+4, s)
}

// readPackets reads a whole request; marks come as flush and delim, lines without their newline.
func readPackets(r io.Reader) ([]string, error) {
	in := bufio.NewReader(io.LimitReader(r, 16<<20))
	var out []string
	for {
		var head [4]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return out, nil
			}
			return nil, fmt.Errorf("read request: %w", err)
		}
		n, err := strconv.ParseUint(string(head[:]), 16, 16)
		if err != nil {
			return nil, fmt.Errorf("read request: %w", err)
		}
		if n < 4 {
			out = append(out, string(head[:]))
			continue
		}
		line := make([]byte, n-4)
		if _, err := io.ReadFull(in, line); err != nil {
			return nil, fmt.Errorf("read request: %w", err)
		}
		out = append(out, strings.TrimSuffix(string(line), "\n"))
	}
}

// sideband wraps what is written to it into packets of band 1.
type sideband struct {
	w   io.Writer
	buf []byte
}

const bandSize = 65515

func (s *sideband) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		m := min(len(b), bandSize-len(s.buf))
		s.buf = append(s.buf, b[:m]...)
		b = b[m:]
		if len(s.buf) == bandSize {
			if err := s.Flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

func (s *sideband) Flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	err := s.message(1, s.buf)
	s.buf = s.buf[:0]
	return err
}

func (s *sideband) message(band byte, b []byte) error {
	if _, err := fmt.Fprintf(s.w, "%04x%c", len(b)+5, band); err != nil {
		return err
	}
	_, err := s.w.Write(b)
	return err
}
