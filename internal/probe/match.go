package probe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
)

// bodyMax bounds how much of a body or file is searched.
const bodyMax = 1 << 20

// match searches a text while it arrives, so that one that never ends is no
// reason to wait once the pattern was seen. Memory does not grow with the text.
func match(want *regexp.Regexp, r io.Reader, what string) error {
	counted := &counter{r: io.LimitReader(r, bodyMax)}
	matched := want.MatchReader(bufio.NewReader(counted))
	switch {
	case counted.err != nil && !errors.Is(counted.err, io.EOF):
		return plain(counted.err, "the "+what+" did not end")
	case matched:
		return nil
	case counted.n == bodyMax:
		return &unmet{fmt.Sprintf("the first MiB of its %s does not match %q", what, want), "no match"}
	}
	return &unmet{fmt.Sprintf("its %s (%d bytes) does not match %q", what, counted.n, want), "no match"}
}

// counter remembers how far a reader got and why it stopped.
type counter struct {
	r   io.Reader
	n   int64
	err error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil {
		c.err = err
	}
	return n, err
}
