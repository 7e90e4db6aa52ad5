package record

import (
	"slices"
	"strconv"
)

// AppendJSON appends r as one line of JSON without line end, in the words of the Elastic Common Schema:
//
//	{"@timestamp":"…","message":"…","log":{"file":{"path":"…"},"offset":0,"level":"error","flags":["multiline"]},"field":…}
//
// It is valid JSON and valid UTF-8 whatever the bytes were, if the values of r are what their kinds say: what is no text becomes
// U+FFFD, and r gets the flag Lossy.
func AppendJSON(dst []byte, r *Record) []byte {
	dst = append(dst, `{"@timestamp":"`...)
	dst = r.memo.appendTime(dst, r.Stamp())
	lossy := false
	if r.Message != nil || len(r.Fields) == 0 {
		if r.Kind == Escaped {
			dst = append(dst, `","message":"`...)
			dst = append(dst, r.Message...)
		} else {
			dst = append(dst, `","message":"`...)
			dst, lossy = AppendEscaped(dst, r.Message)
		}
	}
	if r.memo.head == nil || r.memo.file != r.File {
		r.memo.open(r.File)
	}
	dst = append(dst, r.memo.head...)
	dst = strconv.AppendInt(dst, r.Offset, 10)
	if r.Level != Unknown {
		dst = append(dst, `,"level":"`...)
		dst = append(dst, r.Level.String()...)
		dst = append(dst, '"')
	}
	fields := r.Fields
	if c := r.Common; c != nil {
		fields = fields[c.N:]
	}
	mark := len(dst)
	dst = append(dst, '}')
	if c := r.Common; c != nil {
		dst = append(dst, c.JSON...)
	}
	for i := range fields {
		var bad bool
		dst, bad = appendField(dst, &fields[i])
		lossy = lossy || bad
	}
	dst = append(dst, '}')
	if lossy {
		r.Flags |= Lossy
	}
	if r.Flags != 0 {
		return insertFlags(dst, mark, r.Flags)
	}
	return dst
}

// open makes the part of a document that all records of a file have.
func (m *memo) open(f *File) {
	m.file = f
	m.head = []byte(`","log":{"file":{"path":"`)
	if f != nil {
		path, _ := AppendString(m.head[:len(m.head)-1], f.Path)
		m.head = path[:len(path)-1]
	}
	m.head = append(m.head, `"},"offset":`...)
}

// appendField appends a comma, the key and the value.
func appendField(dst []byte, f *Field) (out []byte, lossy bool) {
	if !f.Plain {
		dst = append(dst, ',')
		dst, lossy = AppendString(dst, f.Key)
		dst = append(dst, ':')
	} else {
		n := len(dst)
		dst = slices.Grow(dst, len(f.Key)+len(f.Value)+6)
		all := dst[:n+len(f.Key)+4]
		all[n], all[n+1] = ',', '"'
		n += 2 + copy(all[n+2:], f.Key)
		all[n], all[n+1] = '"', ':'
		dst = all
	}
	switch f.Kind {
	case Escaped:
		dst = append(dst, '"')
		dst = append(dst, f.Value...)
		return append(dst, '"'), lossy
	case Literal, Nested:
		return append(dst, f.Value...), lossy
	case Text:
	}
	dst, bad := appendString(dst, f.Value)
	return dst, lossy || bad
}

// insertFlags puts the names of flags into dst at mark: whether all text was valid is known only when all was written.
func insertFlags(dst []byte, mark int, f Flags) []byte {
	var list [96]byte
	names := append(list[:0], `,"flags":[`...)
	for i, word := range [...]string{"partial", "more", "rest", "cut", "multiline", "lossy"} {
		if f&(1<<i) != 0 {
			names = append(names, '"')
			names = append(names, word...)
			names = append(names, '"', ',')
		}
	}
	names[len(names)-1] = ']'
	end := len(dst)
	dst = append(dst, names...)
	copy(dst[mark+len(names):], dst[mark:end])
	copy(dst[mark:], names)
	return dst
}
