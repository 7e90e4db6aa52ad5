package record

import "time"

// AppendTime appends nanoseconds since 1970 as RFC 3339 in UTC with milliseconds, or nanoseconds where there are any.
func AppendTime(dst []byte, ns int64) []byte {
	sec, frac := ns/1e9, ns%1e9
	if frac < 0 {
		sec, frac = sec-1, frac+1e9
	}
	if sec < -62135596800 || sec > 253402300799 { // years of four digits; an int64 of nanoseconds has no others
		return time.Unix(sec, frac).UTC().AppendFormat(dst, time.RFC3339Nano)
	}
	days, rest := sec/86400, sec%86400
	if rest < 0 {
		days, rest = days-1, rest+86400
	}
	y, m, d := civil(days)
	dst = append(dst, byte('0'+y/1000), byte('0'+y/100%10), byte('0'+y/10%10), byte('0'+y%10), '-',
		byte('0'+m/10), byte('0'+m%10), '-', byte('0'+d/10), byte('0'+d%10), 'T')
	h, min, s := rest/3600, rest/60%60, rest%60
	dst = append(dst, byte('0'+h/10), byte('0'+h%10), ':', byte('0'+min/10), byte('0'+min%10), ':',
		byte('0'+s/10), byte('0'+s%10), '.')
	ms, below := frac/1e6, frac%1e6
	dst = append(dst, byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	if below != 0 {
		dst = append(dst, byte('0'+below/100000), byte('0'+below/10000%10), byte('0'+below/1000%10),
			byte('0'+below/100%10), byte('0'+below/10%10), byte('0'+below%10))
	}
	return append(dst, 'Z')
}

// appendTime is AppendTime that remembers the last time, which is that of reading for all lines of a block, and the second.
func (m *memo) appendTime(dst []byte, ns int64) []byte {
	if ns == m.at && m.size > 0 {
		return append(dst, m.stamp[:m.size]...)
	}
	sec := ns / 1e9
	frac := uint32(ns - sec*1e9)
	if ns <= 1e9 || frac%1e6 != 0 || sec != m.second {
		from := len(dst)
		dst = AppendTime(dst, ns)
		m.at, m.second, m.size = ns, sec, copy(m.stamp[:], dst[from:])
		if ns <= 1e9 || len(dst)-from > len(m.stamp) {
			m.second, m.size = 0, 0
		}
		return dst
	}
	ms := frac / 1e6
	dst = append(dst, m.stamp[:20]...)
	return append(dst, byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

// civil returns the date of a day since 1970, counted in eras of 400 years that begin in March.
func civil(days int64) (year, month, day uint32) {
	z := uint32(days + 719468)
	era := z / 146097
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = doy - (153*mp+2)/5 + 1
	month = mp + 3
	if month > 12 {
		month -= 12
	}
	year = yoe + era*400
	if month <= 2 {
		year++
	}
	return year, month, day
}
