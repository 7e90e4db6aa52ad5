package stamp

// read reads one part from the start of b and returns how many bytes it took, -1 if it is not there.
func (p *parts) read(o *op, b []byte) int {
	switch o.kind {
	case literal:
		if len(b) < len(o.text) || string(b[:len(o.text)]) != o.text {
			return -1
		}
		return len(o.text)
	case space:
		return blanks(b)
	case year4:
		return number(b, 4, 4, &p.year)
	case year2:
		n := number(b, 2, 2, &p.year)
		p.year += 1900
		if p.year < 1969 {
			p.year += 100
		}
		return n
	case month:
		return number(b, 1, 2, &p.month)
	case monthName:
		return readMonth(b, &p.month)
	case day:
		return padded(b, 2, &p.day)
	case yearDay:
		return padded(b, 3, &p.yearDay)
	case hour24:
		return padded(b, 2, &p.hour)
	case hour12:
		n := padded(b, 2, &p.hour)
		if p.half == 0 {
			p.half = 1
		}
		return n
	case half:
		return p.readHalf(b)
	case minute:
		return number(b, 1, 2, &p.minute)
	case second:
		return number(b, 1, 2, &p.second)
	case fraction:
		return p.fraction(b)
	case digits:
		return p.digits(b)
	case offset:
		if n := p.readOffset(b); n > 0 {
			return n
		}
		return -1
	case zoneName:
		return p.readZone(b)
	case weekday:
		return letters(b)
	default:
		return -1
	}
}

func blanks(b []byte) int {
	n := 0
	for n < len(b) && (b[n] == ' ' || b[n] == '\t') {
		n++
	}
	if n == 0 {
		return -1
	}
	return n
}

func letters(b []byte) int {
	n := 0
	for n < len(b) && (b[n]|0x20 >= 'a' && b[n]|0x20 <= 'z') {
		n++
	}
	if n < 2 {
		return -1
	}
	return n
}

// number reads low to high digits.
func number(b []byte, low, high int, dst *int) int {
	v, n := 0, 0
	for n < high && n < len(b) && b[n]-'0' <= 9 {
		v = v*10 + int(b[n]-'0')
		n++
	}
	if n < low {
		return -1
	}
	*dst = v
	return n
}

// padded is number with blanks in place of zeros.
func padded(b []byte, high int, dst *int) int {
	skip := 0
	for skip < high-1 && skip < len(b) && b[skip] == ' ' {
		skip++
	}
	n := number(b[skip:], 1, high-skip, dst)
	if n < 0 {
		return -1
	}
	return skip + n
}

func readMonth(b []byte, dst *int) int {
	n := letters(b)
	if n < 3 {
		return -1
	}
	const names = "janfebmaraprmayjunjulaugsepoctnovdec"
	for m := range 12 {
		name := names[3*m : 3*m+3]
		if b[0]|0x20 == name[0] && b[1]|0x20 == name[1] && b[2]|0x20 == name[2] {
			*dst = m + 1
			return n
		}
	}
	return -1
}

func (p *parts) readHalf(b []byte) int {
	if len(b) < 2 || b[1]|0x20 != 'm' {
		return -1
	}
	switch b[0] | 0x20 {
	case 'a':
		p.half = 1
	case 'p':
		p.half = 2
	default:
		return -1
	}
	return 2
}

// fraction reads a point or a comma and digits; 0 bytes if there are none.
func (p *parts) fraction(b []byte) int {
	if len(b) < 2 || b[0] != '.' && b[0] != ',' || b[1]-'0' > 9 {
		return 0
	}
	return 1 + p.digits(b[1:])
}

// digits reads the digits of a fraction of a second; those beyond nanoseconds are skipped.
func (p *parts) digits(b []byte) int {
	n, scale := 0, int64(1e9)
	p.nano = 0
	for n < len(b) && b[n]-'0' <= 9 {
		scale /= 10
		p.nano += int64(b[n]-'0') * scale
		n++
	}
	if n == 0 {
		return -1
	}
	return n
}

// readOffset reads Z, +01, +0100 or +01:00; 0 bytes if there is none.
func (p *parts) readOffset(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	if b[0] == 'Z' || b[0] == 'z' {
		p.zoned = true
		return 1
	}
	if b[0] != '+' && b[0] != '-' {
		return 0
	}
	h, m, n := 0, 0, 3
	if number(b[1:], 2, 2, &h) < 0 || h > 23 {
		return 0
	}
	rest := b[3:]
	colon := 0
	if len(rest) > 0 && rest[0] == ':' {
		colon = 1
	}
	if took := number(rest[colon:], 2, 2, &m); took == 2 && m < 60 {
		n += colon + 2
	} else {
		m = 0
	}
	p.zoned, p.offset = true, h*3600+m*60
	if b[0] == '-' {
		p.offset = -p.offset
	}
	return n
}

// readZone reads UTC, GMT, Z, an offset, or letters that say nothing for sure: the configured zone counts.
func (p *parts) readZone(b []byte) int {
	if n := p.readOffset(b); n > 0 {
		return n
	}
	n := letters(b)
	if n == 3 && (string(b[:3]) == "UTC" || string(b[:3]) == "GMT") {
		p.zoned, p.offset = true, 0
	}
	return n
}
