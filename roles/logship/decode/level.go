package decode

import "github.com/sidecar-kit/sidecar/roles/logship/record"

// level reads a level, first by what the configuration says of words.
func (s *state) level(value []byte) record.Level {
	if s.levels != nil {
		if l, ok := s.levels[string(value)]; ok {
			return l
		}
	}
	return Level(value)
}

// Level reads a level as one of the usual libraries writes it, Unknown if it is none: words in any case, syslog's 0 to 7 and the
// tens of pino and bunyan.
func Level(value []byte) record.Level {
	if len(value) == 0 || len(value) > 13 {
		return record.Unknown
	}
	var buf [13]byte
	for i, c := range value {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		buf[i] = c
	}
	switch string(buf[:len(value)]) {
	case "info", "information", "informational", "i", "30", "6":
		return record.Info
	case "debug", "dbg", "d", "20", "7", "fine", "config":
		return record.Debug
	case "error", "err", "eror", "e", "50", "3", "severe", "failure":
		return record.Error
	case "warn", "warning", "wrn", "w", "40", "4":
		return record.Warn
	case "trace", "trc", "t", "10", "finer", "finest", "silly":
		return record.Trace
	case "notice", "5":
		return record.Notice
	case "critical", "crit", "fatal", "ftl", "f", "60", "2", "dpanic":
		return record.Critical
	case "alert", "1", "panic":
		return record.Alert
	case "emergency", "emerg", "0":
		return record.Emergency
	}
	return record.Unknown
}

// Named returns the level with a name, as conditions and the configuration write it.
func Named(word string) (record.Level, bool) {
	for l := record.Trace; l <= record.Emergency; l++ {
		if l.String() == word {
			return l, true
		}
	}
	l := Level([]byte(word))
	return l, l != record.Unknown && len(word) > 2
}

// detect looks for a level in the first bytes of a line: the first word in capitals, in brackets, or behind level=.
func (s *state) detect(line []byte) record.Level {
	line = line[:min(len(line), 120)]
	for i := 0; i < len(line); i++ {
		if !letter(line[i]) {
			continue
		}
		start, upper := i, true
		for ; i < len(line) && letter(line[i]); i++ {
			upper = upper && line[i] < 'a'
		}
		word := line[start:i]
		marked := start > 0 && (line[start-1] == '[' || line[start-1] == '<') || start >= 6 && string(line[start-6:start]) == "level="
		if len(word) < 3 || !upper && !marked {
			continue
		}
		if l := s.level(word); l != record.Unknown {
			return l
		}
	}
	return record.Unknown
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
