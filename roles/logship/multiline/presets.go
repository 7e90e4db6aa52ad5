package multiline

import "bytes"

// trace is what is known of an event from the lines it has: which kind of stack trace is going on. It is a part of no earlier event.
type trace struct {
	python, goTrace, node uint8
}

func blank(line []byte) bool { return len(line) > 0 && (line[0] == ' ' || line[0] == '\t') }

func begins(line []byte, text string) bool {
	return len(line) >= len(text) && string(line[:len(text)]) == text
}

func digits(line []byte, i, n int) bool {
	if len(line) < i+n {
		return false
	}
	for _, c := range line[i : i+n] {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}

// dated tells if a line begins with a time as logs write it: 2026-01-02, 2026/01/02, [2026-01-02, 02/Jan/2026, Jan  2.
func dated(line []byte) bool {
	if len(line) > 0 && line[0] == '[' {
		line = line[1:]
	}
	if len(line) < 10 {
		return false
	}
	if digits(line, 0, 4) {
		return (line[4] == '-' || line[4] == '/') && digits(line, 5, 2) || digits(line, 4, 4) && (line[8] == ' ' || line[8] == 'T')
	}
	if digits(line, 0, 2) {
		return line[2] == ':' && digits(line, 3, 2) && line[5] == ':' ||
			(line[2] == '/' || line[2] == '-' || line[2] == '.') && (digits(line, 3, 2) && line[5] == line[2] || line[6] == line[2])
	}
	return monthName(line) && line[3] == ' ' && (line[4] == ' ' || line[4]-'0' <= 3) && line[5]-'0' <= 9 && line[6] == ' '
}

func monthName(line []byte) bool {
	for _, m := range [...]string{"Jan ", "Feb ", "Mar ", "Apr ", "May ", "Jun ", "Jul ", "Aug ", "Sep ", "Oct ", "Nov ", "Dec "} {
		if begins(line, m) {
			return true
		}
	}
	return false
}

// java tells if a line goes on with a stack trace of Java, Kotlin or Scala.
func java(line []byte) bool {
	if blank(line) {
		return true
	}
	if len(line) == 0 {
		return false
	}
	switch line[0] {
	case 'C':
		if begins(line, "Caused by: ") {
			return true
		}
	case 'S':
		if begins(line, "Suppressed: ") {
			return true
		}
	case '.':
		return begins(line, "... ") && bytes.HasSuffix(line, []byte(" more"))
	}
	// java.lang.IllegalStateException: text, behind the line of the log that tells of it
	i, dots := 0, 0
	for ; i < len(line) && line[i] != ':'; i++ {
		c := line[i]
		switch {
		case c == '.':
			dots++
		case c|0x20 >= 'a' && c|0x20 <= 'z' || c-'0' <= 9 || c == '_' || c == '$':
		default:
			return false
		}
	}
	name := line[:i]
	return dots > 0 && (bytes.HasSuffix(name, []byte("Exception")) || bytes.HasSuffix(name, []byte("Error")) || bytes.HasSuffix(name, []byte("Throwable")))
}

// The states of a traceback of Python.
const (
	pyFrames uint8 = 1 + iota // lines that begin with a blank, then the exception
	pyOver                    // behind the exception: maybe an empty line and another traceback
	pyGap
	pyWord
)

func (t *trace) pythonGoesOn(line []byte) bool {
	const traceback = "Traceback (most recent call last):"
	if begins(line, traceback) || begins(line, "  + Exception Group Traceback") {
		t.python = pyFrames
		return true
	}
	switch t.python {
	case pyFrames:
		if !blank(line) && len(line) > 0 {
			t.python = pyOver
		}
		return true
	case pyOver:
		if len(line) == 0 {
			t.python = pyGap
			return true
		}
		return blank(line)
	case pyGap:
		if begins(line, "During handling of the above exception") || begins(line, "The above exception was the direct cause") {
			t.python = pyWord
			return true
		}
		return false
	case pyWord:
		return len(line) == 0
	}
	return blank(line)
}

func (t *trace) pythonBegins(line []byte) {
	if begins(line, "Traceback (most recent call last):") {
		t.python = pyFrames
	}
}

func (t *trace) goBegins(line []byte) {
	for _, text := range [...]string{"panic: ", "fatal error: ", "runtime: ", "unexpected fault address", "SIG", "goroutine ", "WARNING: DATA RACE"} {
		if begins(line, text) {
			t.goTrace = 1
		}
	}
}

func (t *trace) goGoesOn(line []byte) bool {
	if begins(line, "goroutine ") && bytes.HasSuffix(line, []byte("]:")) {
		t.goTrace = 1
		return true
	}
	if t.goTrace == 0 {
		return len(line) > 0 && line[0] == '\t'
	}
	if len(line) == 0 || blank(line) {
		return true
	}
	words := [...]string{"created by ", "[signal ", "[recovered]", "runtime.", "runtime stack:", "exit status ", "panic(", "main.", "fatal error: ", "==="}
	for _, text := range words {
		if begins(line, text) {
			return true
		}
	}
	// example.com/pkg.(*Type).Method(0xc000, {0x1, 0x2})
	open := bytes.IndexByte(line, '(')
	return line[len(line)-1] == ')' && open > 0 && bytes.IndexByte(line[:open], ' ') < 0
}

func ruby(line []byte) bool {
	if blank(line) || begins(line, "from ") {
		return true
	}
	i := bytes.Index(line, []byte(".rb:"))
	if i > 0 && line[len(line)-1] == ')' && bytes.Contains(line[i:], []byte("': ")) {
		return false // a.rb:1:in 'f': text (RuntimeError), which nobody caught
	}
	return i > 0 && bytes.IndexByte(line[:i], ' ') < 0 && (bytes.Contains(line[i:], []byte(":in `")) || bytes.Contains(line[i:], []byte(":in '")))
}

// nodeBegins knows the place that stands before an exception which nobody caught: /app/index.js:10.
func (t *trace) nodeBegins(line []byte) {
	i := bytes.LastIndexByte(line, ':')
	if i > 0 && i+1 < len(line) && digits(line, i+1, len(line)-i-1) && (line[0] == '/' || begins(line, "node:") || begins(line, "file:")) {
		t.node = 1
	}
}

func (t *trace) nodeGoesOn(line []byte) bool {
	if blank(line) || begins(line, "}") {
		return true
	}
	if t.node != 1 {
		return false
	}
	if len(line) == 0 {
		return true
	}
	if begins(line, "Node.js v") {
		t.node = 2
		return true
	}
	i := bytes.IndexByte(line, ':')
	if i < 0 {
		i = len(line)
	}
	return bytes.Contains(line[:i], []byte("Error")) || begins(line, "throw ") || begins(line, "^")
}
