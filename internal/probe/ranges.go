package probe

import (
	"fmt"
	"strconv"
	"strings"
)

// ranges are status codes, such as 200-299,304.
type ranges [][2]int

func (r ranges) has(code int) bool {
	for _, b := range r {
		if b[0] <= code && code <= b[1] {
			return true
		}
	}
	return false
}

func (r ranges) String() string {
	var parts []string
	for _, b := range r {
		if b[0] == b[1] {
			parts = append(parts, strconv.Itoa(b[0]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", b[0], b[1]))
		}
	}
	return strings.Join(parts, ",")
}

func (o *options) ranges(name string, def ranges) ranges {
	text, ok := o.text(name)
	if !ok {
		return def
	}
	var r ranges
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.Atoi(low)
		to, err2 := strconv.Atoi(high)
		if err1 != nil || err2 != nil || from < 100 || to > 999 || from > to {
			o.complain(name, text, "status codes such as 200, 200-299 or 200-299,304")
			return def
		}
		r = append(r, [2]int{from, to})
	}
	return r
}
