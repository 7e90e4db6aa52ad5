package wire

// Parse reads the head of an answer to a request of the given method. It
// returns how many bytes it took, or 0 and no error when the rest must come
// first. Errors are *BadMessage with status 502.
func (r *Response) Parse(buf, method []byte, lim Limits) (int, error) {
	ok, err := r.complete(buf, lim)
	if err == nil && !ok {
		return 0, nil
	}
	n := 0
	if err == nil {
		r.Head = Head{Fields: r.Fields[:0], Length: -1}
		r.Status, r.Reason = 0, nil
		n, err = r.parse(buf, method, lim)
	}
	if err != nil {
		err.Status = 502
		return 0, err
	}
	return n, nil
}

// Reset forgets an unfinished head and lets go of the buffer.
func (r *Response) Reset() {
	r.Head.Reset()
	r.Status, r.Reason = 0, nil
}

func (r *Response) parse(buf, method []byte, lim Limits) (int, *BadMessage) {
	i, err := r.line(buf)
	if err != nil {
		return 0, err
	}
	if i, err = r.fields(buf, i, lim.fields()); err != nil {
		return 0, err
	}
	if err := r.framing(); err != nil {
		return 0, err
	}
	if err := r.connection(); err != nil {
		return 0, err
	}
	return i, r.body(method)
}

// line reads "HTTP/1.x SP 3DIGIT [SP reason] CRLF".
func (r *Response) line(buf []byte) (int, *BadMessage) {
	minor, err := version(buf)
	if err != nil {
		return 0, err
	}
	r.Minor = minor
	i := len("HTTP/1.1")
	if len(buf) < i+6 || buf[i] != ' ' || !digit(buf[i+1]) || !digit(buf[i+2]) || !digit(buf[i+3]) {
		return 0, bad(BadStatus, "the status line has no status of three digits")
	}
	r.Status = int(buf[i+1]-'0')*100 + int(buf[i+2]-'0')*10 + int(buf[i+3]-'0')
	if r.Status < 100 {
		return 0, bad(BadStatus, "the status is below 100")
	}
	i += 4
	start := i
	if buf[i] == ' ' {
		start++
		i = textEnd(buf, i)
	}
	if i+1 >= len(buf) || buf[i] != '\r' || buf[i+1] != '\n' {
		if err := lineEnd(buf, i, BadStatus); err != nil {
			return 0, err
		}
	}
	r.Reason = buf[start:i]
	return i + 2, nil
}

// body settles what follows the head. A body where none may be is refused and
// not dropped: its bytes would be read as the next answer.
func (r *Response) body(method []byte) *BadMessage {
	bodiless := r.Status < 200 || r.Status == 204
	switch {
	case bodiless && (r.Body == Chunked || r.Length > 0):
		return bad(BadBody, "a body where the status allows none")
	case bodiless || r.Status == 304 || string(method) == "HEAD":
		r.Body = None
		if bodiless {
			r.Length = -1
		}
	case r.Body == None:
		r.Body, r.Close = UntilClose, true
	}
	return nil
}
