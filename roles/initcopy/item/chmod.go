package item

import (
	"fmt"
	"strconv"
	"strings"
)

// Changes is a parsed --chmod: changes of modes as chmod(1) and rsync write them.
type Changes []change

// change is one clause for the kinds it holds for.
type change struct {
	files, dirs bool
	set         bool   // octal: the mode is replaced
	mode        uint32 // octal
	who         uint32 // symbolic: which of 0700, 0070, 0007
	op          byte   // + - =
	perm        uint32 // r, w and x for everyone in who's places
	special     uint32
	condX       bool // X: x where it is a folder or somebody may execute already
}

// ParseChanges reads clauses separated by commas: [D|F]OCTAL or [D|F][ugoa...][+-=][rwxXst...]. D is for folders only, F for
// files only. The error names the clause that is wrong.
func ParseChanges(text string) (Changes, error) {
	var all Changes
	if text == "" {
		return nil, nil
	}
	for clause := range strings.SplitSeq(text, ",") {
		c, err := parseChange(clause)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func parseChange(clause string) (change, error) {
	c := change{files: true, dirs: true}
	rest := clause
	switch {
	case strings.HasPrefix(rest, "D"):
		c.files, rest = false, rest[1:]
	case strings.HasPrefix(rest, "F"):
		c.dirs, rest = false, rest[1:]
	}
	bad := fmt.Errorf("%q: want an octal mode or clauses such as D2770,F0640 or g+rwX,o-rwx", clause)
	if rest == "" {
		return c, bad
	}
	if rest[0] >= '0' && rest[0] <= '9' {
		mode, err := strconv.ParseUint(rest, 8, 32)
		if err != nil || mode > 0o7777 {
			return c, bad
		}
		c.set, c.mode = true, uint32(mode)
		return c, nil
	}
	at := strings.IndexAny(rest, "+-=")
	if at < 0 {
		return c, bad
	}
	c.op = rest[at]
	for _, who := range rest[:at] {
		places, ok := map[rune]uint32{'u': 0o700, 'g': 0o070, 'o': 0o007, 'a': 0o777}[who]
		if !ok {
			return c, bad
		}
		c.who |= places
	}
	if c.who == 0 {
		c.who = 0o777
	}
	for _, p := range rest[at+1:] {
		switch p {
		case 'r':
			c.perm |= 0o444
		case 'w':
			c.perm |= 0o222
		case 'x':
			c.perm |= 0o111
		case 'X':
			c.condX = true
		case 's':
			if c.who&0o700 != 0 {
				c.special |= Setuid
			}
			if c.who&0o070 != 0 {
				c.special |= Setgid
			}
		case 't':
			c.special |= Sticky
		default:
			return c, bad
		}
	}
	return c, nil
}

// Apply is the mode after every change that holds for the kind. Symbolic links have no mode of their own.
func (cs Changes) Apply(kind Kind, mode uint32) uint32 {
	for _, c := range cs {
		if kind == Dir && c.dirs || kind == File && c.files {
			mode = c.apply(kind, mode)
		}
	}
	return mode
}

func (c change) apply(kind Kind, mode uint32) uint32 {
	if c.set {
		return c.mode
	}
	bits := c.perm & c.who
	if c.condX && (kind == Dir || mode&0o111 != 0) {
		bits |= 0o111 & c.who
	}
	bits |= c.special
	switch c.op {
	case '+':
		return mode | bits
	case '-':
		return mode &^ bits
	default:
		return mode&^c.who | bits
	}
}
