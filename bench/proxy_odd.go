package main

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
)

// Parts of malformed requests.
const (
	post  = "POST /evil HTTP/1.1\r\nHost: h\r\n"
	get   = "GET /evil HTTP/1.1\r\nHost: h\r\n"
	chunk = "0\r\n\r\n"
	inner = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"
)

// malformed requests by what is wrong with them.
func malformed() map[string]string {
	all := malformedFraming()
	maps.Copy(all, malformedHeads())
	for what, body := range malformedChunks() {
		all[what] = post + "Transfer-Encoding: chunked\r\n\r\n" + body
	}
	return all
}

func malformedFraming() map[string]string {
	return map[string]string{
		"length and coding":             post + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + "G",
		"coding and length":             post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + "5c\r\n" + inner,
		"two lengths":                   post + "Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
		"equal lengths":                 post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"list of lengths":               post + "Content-Length: 5, 5\r\n\r\nhello",
		"length with a sign":            post + "Content-Length: +5\r\n\r\nhello",
		"length below zero":             post + "Content-Length: -5\r\n\r\nhello",
		"length with a space":           post + "Content-Length: 0 5\r\n\r\nhello",
		"length in hex":                 post + "Content-Length: 0x5\r\n\r\nhello",
		"length of nothing":             post + "Content-Length: \r\n\r\nhello",
		"length that overflows":         post + "Content-Length: 18446744073709551621\r\n\r\nhello",
		"length name with a blank":      post + "Content-Length : 5\r\n\r\nhello",
		"length name with an underline": post + "Content_Length: 5\r\n\r\n",
		"codings in a list":             post + "Transfer-Encoding: identity, chunked\r\n\r\n" + chunk,
		"chunked twice":                 post + "Transfer-Encoding: chunked, chunked\r\n\r\n" + chunk,
		"two codings":                   post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunk,
		"coding with a tab before":      post + "Transfer-Encoding: \x0bchunked\r\n\r\n" + chunk,
		"coding name with a blank":      post + "Transfer-Encoding : chunked\r\n\r\n" + chunk,
		"coding folded":                 post + "Transfer-Encoding:\r\n chunked\r\n\r\n" + chunk,
		"coding behind a bare CR":       post + "X: a\rTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"coding behind a bare LF":       post + "X: a\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"coding with a no-break space":  post + "Transfer-Encoding: chunked\xa0\r\n\r\n" + chunk,
		"coding in quotes":              post + "Transfer-Encoding: \"chunked\"\r\n\r\n" + chunk,
		"coding in HTTP/1.0":            "POST /evil HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"coding that is unknown":        post + "Transfer-Encoding: cow\r\n\r\n" + chunk,
	}
}

func malformedHeads() map[string]string {
	return map[string]string{
		"name of nothing":             get + ": x\r\n\r\n",
		"name with a blank inside":    get + "X Y: x\r\n\r\n",
		"name with a byte over 127":   get + "X\x80: x\r\n\r\n",
		"name with a control":         get + "X\x01: x\r\n\r\n",
		"line without a colon":        get + "X\r\n\r\n",
		"folded value":                get + "X: a\r\n b\r\n\r\n",
		"blank before the first name": "GET /evil HTTP/1.1\r\n Host: h\r\n\r\n",
		"NUL in a value":              get + "X: a\x00b\r\n\r\n",
		"NUL in the host":             "GET /evil HTTP/1.1\r\nHost: h\x00\r\n\r\n",
		"NUL in the target":           "GET /evil\x00 HTTP/1.1\r\nHost: h\r\n\r\n",
		"NUL in the method":           "GE\x00T /evil HTTP/1.1\r\nHost: h\r\n\r\n",
		"control in a value":          get + "X: a\x01b\r\n\r\n",
		"DEL in a value":              get + "X: a\x7fb\r\n\r\n",
		"CR in a value":               get + "X: a\rb\r\n\r\n",
		"CR in the target":            "GET /evil\rx HTTP/1.1\r\nHost: h\r\n\r\n",
		"byte over 127 in the target": "GET /evil\xff HTTP/1.1\r\nHost: h\r\n\r\n",
		"fragment in the target":      "GET /evil#x HTTP/1.1\r\nHost: h\r\n\r\n",
		"no host":                     "GET /evil HTTP/1.1\r\n\r\n",
		"two hosts":                   "GET /evil HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
		"host with a path":            "GET /evil HTTP/1.1\r\nHost: h/x\r\n\r\n",
		"host with a user":            "GET /evil HTTP/1.1\r\nHost: a@h\r\n\r\n",
		"host and target differ":      "GET http://i/evil HTTP/1.1\r\nHost: h\r\n\r\n",
		"one word too many":           "GET /evil HTTP/1.1 HTTP/1.1\r\nHost: h\r\n\r\n",
		"two spaces":                  "GET  /evil HTTP/1.1\r\nHost: h\r\n\r\n",
		"space at the end":            "GET /evil HTTP/1.1 \r\nHost: h\r\n\r\n",
		"tab between words":           "GET\t/evil\tHTTP/1.1\r\nHost: h\r\n\r\n",
		"target without a slash":      "GET evil HTTP/1.1\r\nHost: h\r\n\r\n",
		"bad version":                 "GET /evil HTTP/1.1x\r\nHost: h\r\n\r\n",
		"version 1.10":                "GET /evil HTTP/1.10\r\nHost: h\r\n\r\n",
		"version in lower case":       "GET /evil http/1.1\r\nHost: h\r\n\r\n",
		"version 0.9":                 "GET /evil\r\n\r\n",
		"lines that end with LF":      "GET /evil HTTP/1.1\nHost: h\n\n",
		"lines that end with CR":      "GET /evil HTTP/1.1\rHost: h\r\r",
		"field of 40 KB":              get + "X: " + strings.Repeat("a", 40<<10) + "\r\n\r\n",
		"two hundred fields":          get + strings.Repeat("X: a\r\n", 200) + "\r\n",
		"HTTP/2 preface":              "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	}
}

func malformedChunks() map[string]string {
	return map[string]string{
		"chunk size with 0x":              "0x5\r\nhello\r\n" + chunk,
		"chunk size with a sign":          "+5\r\nhello\r\n" + chunk,
		"chunk size with a blank before":  " 5\r\nhello\r\n" + chunk,
		"chunk size with a blank behind":  "5 \r\nhello\r\n" + chunk,
		"chunk size of nothing":           "\r\nhello\r\n" + chunk,
		"chunk size that ends with LF":    "5\nhello\r\n" + chunk,
		"chunk size that overflows":       "10000000000000005\r\nhello\r\n" + chunk,
		"chunk extension with LF":         "5;a\nb\r\nhello\r\n" + chunk,
		"chunk extension with CR":         "5;a\rb\r\nhello\r\n" + chunk,
		"chunk extension of 20 KB":        "5;" + strings.Repeat("a", 20<<10) + "\r\nhello\r\n" + chunk,
		"chunk without CRLF behind":       "5\r\nhelloXX" + chunk,
		"chunk with LF behind":            "5\r\nhello\n" + chunk,
		"chunk that is longer than said":  "3\r\nhello\r\n" + chunk,
		"trailer that is a length":        "0\r\nContent-Length: 5\r\n\r\n",
		"trailer that is folded":          "0\r\nX: a\r\n b\r\n\r\n",
		"trailer with NUL":                "0\r\nX: a\x00\r\n\r\n",
		"trailer with a blank in a name":  "0\r\nX y: a\r\n\r\n",
		"last chunk that ends with LF":    "5\r\nhello\r\n0\n\n",
		"last chunk behind a fake ending": "0\r\n\n" + inner,
	}
}

var (
	requestLine = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+ (/[!-~]*|\\*|https?://[!-~]+) HTTP/1\\.[01]$")
	fieldLine   = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\u0080-\u00ff]*?)[ \t]*$")
	chunkLine   = regexp.MustCompile("^[0-9a-fA-F]{1,15}$")
	lengthValue = regexp.MustCompile("^[0-9]{1,18}$")
	hostValue   = regexp.MustCompile(`^[0-9A-Za-z.:_\[\]-]*$`)
)

// oddity reads what an application got as strictly as can be, and says what it stumbled over. A message that breaks off is not odd: that is
// how a proxy gives up when it sees what is wrong too late.
func oddity(in string) string {
	for in != "" {
		head, rest, whole := strings.Cut(in, "\r\n\r\n")
		if !whole {
			if strings.Contains(strings.ReplaceAll(in, "\r\n", ""), "\n") {
				return "a line that ends with LF"
			}
			return ""
		}
		length, chunked, odd := oddHead(head)
		if odd != "" {
			return odd
		}
		if !chunked {
			in = rest[min(length, len(rest)):]
			continue
		}
		if in, odd = oddChunks(rest); odd != "" {
			return odd
		}
	}
	return ""
}

func oddHead(head string) (length int, chunked bool, odd string) {
	lines := strings.Split(head, "\r\n")
	if !requestLine.MatchString(lines[0]) {
		return 0, false, fmt.Sprintf("%.60q", lines[0])
	}
	hosts, lengths, codings := 0, 0, 0
	for _, line := range lines[1:] {
		m := latin(fieldLine, line)
		if m == nil {
			return 0, false, fmt.Sprintf("%.60q", line)
		}
		switch strings.ToLower(m[1]) {
		case "host":
			hosts++
			if !hostValue.MatchString(m[2]) {
				return 0, false, fmt.Sprintf("%.60q", line)
			}
		case "content-length":
			lengths++
			if !lengthValue.MatchString(m[2]) {
				return 0, false, fmt.Sprintf("%.60q", line)
			}
			length, _ = strconv.Atoi(m[2])
		case "transfer-encoding":
			codings++
			if !strings.EqualFold(m[2], "chunked") || strings.HasSuffix(lines[0], "1.0") {
				return 0, false, fmt.Sprintf("%.60q", line)
			}
		}
	}
	switch {
	case hosts > 1, hosts == 0 && strings.HasSuffix(lines[0], "1.1"):
		return 0, false, fmt.Sprintf("%d hosts", hosts)
	case lengths+codings > 1:
		return 0, false, "two framings"
	}
	return length, codings > 0, ""
}

// latin matches bytes: a regular expression sees runes.
func latin(re *regexp.Regexp, s string) []string {
	runes := make([]rune, 0, len(s))
	for i := range len(s) {
		runes = append(runes, rune(s[i]))
	}
	return re.FindStringSubmatch(string(runes))
}

func oddChunks(in string) (rest, odd string) {
	for {
		line, after, ok := strings.Cut(in, "\r\n")
		if !ok && len(in) < 16 && !strings.Contains(in, "\n") {
			return "", "" // broken off
		}
		if !chunkLine.MatchString(line) {
			return "", fmt.Sprintf("chunk %.40q", line)
		}
		n, err := strconv.ParseInt(line, 16, 64)
		if err != nil {
			return "", fmt.Sprintf("chunk %.40q", line)
		}
		if n == 0 {
			return oddTrailer(after)
		}
		if int64(len(after)) < n+2 {
			return "", ""
		}
		if after[n:n+2] != "\r\n" {
			return "", fmt.Sprintf("%.20q behind a chunk", after[n:])
		}
		in = after[n+2:]
	}
}

func oddTrailer(in string) (rest, odd string) {
	for {
		line, after, ok := strings.Cut(in, "\r\n")
		if !ok || line == "" {
			return after, ""
		}
		if m := latin(fieldLine, line); m == nil || strings.EqualFold(m[1], "content-length") || strings.EqualFold(m[1], "transfer-encoding") {
			return "", fmt.Sprintf("trailer %.40q", line)
		}
		in = after
	}
}
