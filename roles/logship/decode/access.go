package decode

import (
	"bytes"

	"github.com/sidecar-kit/sidecar/roles/logship/decode/scan"
	"github.com/sidecar-kit/sidecar/roles/logship/decode/stamp"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// own adds a field that a decoder names itself, if it has a value.
func (s *state) own(r *record.Record, key string, value []byte, kind record.Kind) {
	if len(value) > 0 && !(len(value) == 1 && value[0] == '-') {
		s.set(r, key, hash(key), true, value, kind)
	}
}

// number is own for values that should be numbers.
func (s *state) number(r *record.Record, key string, value []byte) {
	kind := record.Text
	if scan.IsNumber(value) {
		kind = record.Literal
	}
	s.own(r, key, value, kind)
}

// until cuts b behind the first c; found tells if there was one.
func until(b []byte, c byte) (before, after []byte, found bool) {
	i := bytes.IndexByte(b, c)
	if i < 0 {
		return b, nil, false
	}
	return b[:i:i], b[i+1:], true
}

// access reads the common and the combined format of nginx, Apache and their kin.
type access struct{ times *stamp.Layout }

func (d *access) decode(r *record.Record, s *state) bool {
	b := r.Message
	host, b, ok1 := until(b, ' ')
	ident, b, ok2 := until(b, ' ')
	at := bytes.Index(b, []byte(" [")) // a user's name may have blanks
	if !ok1 || !ok2 || at < 0 || len(host) == 0 || len(ident) == 0 {
		return false
	}
	user := b[:at:at]
	b = b[at+2:]
	var ns int64
	if d.times != nil {
		var n int
		var ok bool
		if ns, n, ok = d.times.Parse(b, r.Read); !ok || n >= len(b) || b[n] != ']' {
			return false
		}
	}
	_, b, ok := until(b, ']')
	if !ok || len(b) < 3 || b[0] != ' ' || b[1] != '"' {
		return false
	}
	end := closing(b[1:])
	if end < 0 {
		return false
	}
	request := b[2 : end+1]
	status, b, _ := until(bytes.TrimPrefix(b[end+2:], []byte(" ")), ' ')
	if len(status) != 3 || !scan.IsNumber(status) {
		return false
	}
	size, b, _ := until(b, ' ')
	s.own(r, "source.address", host, record.Text)
	s.own(r, "user.name", user, record.Text)
	d.request(r, s, request)
	s.number(r, "http.response.status_code", status)
	s.number(r, "http.response.body.bytes", size)
	for _, key := range []string{"http.request.referrer", "user_agent.original", "network.forwarded_ip"} {
		if len(b) < 2 || b[0] != '"' {
			break
		}
		if end = closing(b); end < 0 {
			break
		}
		s.own(r, key, b[1:end], record.Text)
		b = bytes.TrimPrefix(b[end+1:], []byte(" "))
	}
	if ns != 0 {
		r.Time = ns
	}
	r.Level = statusLevel(status[0])
	return true
}

func statusLevel(first byte) record.Level {
	switch {
	case first >= '5':
		return record.Error
	case first == '4':
		return record.Warn
	}
	return record.Info
}

func (d *access) request(r *record.Record, s *state, b []byte) {
	method, rest, ok := until(b, ' ')
	i := bytes.LastIndex(rest, []byte(" HTTP/"))
	if !ok || i < 0 {
		s.own(r, "url.original", b, record.Text)
		return
	}
	s.own(r, "http.request.method", method, record.Text)
	s.own(r, "url.original", rest[:i:i], record.Text)
	s.own(r, "http.version", rest[i+6:], record.Text)
}

// nginxError reads nginx's error log.
type nginxError struct{ times *stamp.Layout }

func (d *nginxError) decode(r *record.Record, s *state) bool {
	// 2026/01/02 15:04:05 [error] 123#456: *789 message, client: 1.2.3.4, server: x, request: "GET / HTTP/1.1", host: "x"
	b := r.Message
	if len(b) < 24 || b[4] != '/' || b[7] != '/' || b[10] != ' ' || b[19] != ' ' || b[20] != '[' {
		return false
	}
	word, rest, ok := until(b[21:], ']')
	pid, rest, ok1 := until(bytes.TrimPrefix(rest, []byte(" ")), '#')
	tid, rest, ok2 := until(rest, ':')
	l := s.level(word)
	if !ok || !ok1 || !ok2 || l == record.Unknown || !scan.IsNumber(pid) || !scan.IsNumber(tid) {
		return false
	}
	if d.times != nil {
		ns, n, ok := d.times.Parse(b, r.Read)
		if !ok || n != 19 {
			return false
		}
		r.Time = ns
	}
	r.Level = l
	s.number(r, "process.pid", pid)
	s.number(r, "process.thread.id", tid)
	text := bytes.TrimLeft(rest, " ")
	if len(text) > 1 && text[0] == '*' {
		if id, after, ok := until(text[1:], ' '); ok && scan.IsNumber(id) {
			s.number(r, "nginx.error.connection_id", id)
			text = after
		}
	}
	for _, part := range [...]struct{ mark, key string }{
		{", client: ", "source.address"}, {", server: ", "url.domain"}, {", request: ", "http.request.line"}, {", upstream: ", "nginx.error.upstream"},
		{", host: ", "http.request.host"}, {", referrer: ", "http.request.referrer"},
	} {
		if i := bytes.Index(text, []byte(part.mark)); i >= 0 {
			value := text[i+len(part.mark):]
			if len(value) > 0 && value[0] == '"' && closing(value) > 0 {
				value = value[1:closing(value)]
			} else if j := bytes.Index(value, []byte(", ")); j >= 0 {
				value = value[:j]
			}
			s.own(r, part.key, value, record.Text)
		}
	}
	if i := bytes.LastIndex(text, []byte(", client: ")); i > 0 {
		text = text[:i]
	}
	r.Message, r.Kind = text, record.Text
	return true
}

// klog reads the lines of klog and glog: I0102 15:04:05.123456    1234 file.go:123] message.
type klog struct{ times *stamp.Layout }

func (d *klog) decode(r *record.Record, s *state) bool {
	b := r.Message
	if len(b) < 21 || b[5] != ' ' || b[8] != ':' || b[11] != ':' || b[14] != '.' {
		return false
	}
	l := Level(b[:1])
	head, text, ok := until(b, ']')
	if l == record.Unknown || !ok || len(head) < 22 {
		return false
	}
	rest := head[14:]
	i := bytes.IndexByte(rest, ' ')
	if i < 0 {
		return false
	}
	pid, place, ok := until(bytes.TrimLeft(rest[i:], " "), ' ')
	name, line, ok2 := until(place, ':')
	if !ok || !ok2 || !scan.IsNumber(pid) || !scan.IsNumber(line) {
		return false
	}
	if d.times != nil {
		ns, _, ok := d.times.Parse(b[1:], r.Read)
		if !ok {
			return false
		}
		r.Time = ns
	}
	r.Level = l
	s.number(r, "process.thread.id", pid)
	s.own(r, "log.origin.file.name", name, record.Text)
	s.number(r, "log.origin.file.line", line)
	r.Message, r.Kind = bytes.TrimPrefix(text, []byte(" ")), record.Text
	return true
}

// cri reads what a container runtime writes: time, stream, P or F, text. Parts that were joined to one event by multiline become one text.
type cri struct{ times *stamp.Layout }

func (d *cri) decode(r *record.Record, s *state) bool {
	head, stream, tag, text, ok := criLine(r.Message)
	if !ok {
		return false
	}
	if d.times != nil {
		ns, n, ok := d.times.Parse(head, r.Read)
		if !ok || n != len(head) {
			return false
		}
		r.Time = ns
	}
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		text = s.join(text, i, tag)
	}
	s.own(r, "stream", stream, record.Text)
	r.Message, r.Kind = text, record.Text
	return true
}

// join strips the heads of all lines but the first, whose end is at i, and the line feeds behind those that go on.
func (s *state) join(text []byte, i int, tag byte) []byte {
	out := append(s.room(len(text)), text[:i]...)
	for rest := text[i+1:]; ; {
		line, after, more := until(rest, '\n')
		_, _, next, part, ok := criLine(line)
		if !ok {
			part, next = line, 'F'
		}
		if tag == 'F' {
			out = append(out, '\n')
		}
		out = append(out, part...)
		if !more {
			return s.keep(out)
		}
		rest, tag = after, next
	}
}

func criLine(b []byte) (head, stream []byte, tag byte, text []byte, ok bool) {
	head, b, ok1 := until(b, ' ')
	stream, b, ok2 := until(b, ' ')
	if !ok1 || !ok2 || len(b) == 0 || b[0] != 'F' && b[0] != 'P' || string(stream) != "stdout" && string(stream) != "stderr" {
		return nil, nil, 0, nil, false
	}
	if len(b) == 1 {
		return head, stream, b[0], b[1:], true
	}
	if b[1] != ' ' && b[1] != ':' {
		return nil, nil, 0, nil, false
	}
	_, text, _ = until(b, ' ')
	return head, stream, b[0], text, true
}
