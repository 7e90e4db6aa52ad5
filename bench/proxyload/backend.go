package main

import (
	"bytes"
	"fmt"
	"net"
	"strings"
)

// backend answers HTTP from memory, with as little work as can be, and moves bytes for those who begin with one letter in lower case:
// d it sends for ever, u it takes all, e it sends back. It ends with the process.
func backend(t task) (map[string]float64, error) {
	l, err := net.Listen("tcp", t.addr)
	if err != nil {
		return nil, err
	}
	answers := map[string][]byte{}
	for path, size := range map[string]int{"/100": 100, "/1k": 1024, "/64k": 64 << 10} {
		answers[path] = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: app\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
	}
	zeros := make([]byte, 256<<10)
	for {
		c, err := l.Accept()
		if err != nil {
			return nil, err
		}
		go func() {
			defer c.Close()
			serve(c, answers, zeros)
		}()
	}
}

func serve(c net.Conn, answers map[string][]byte, zeros []byte) {
	buf := make([]byte, 4096)
	n := 0
	for {
		m, err := c.Read(buf[n:])
		if err != nil {
			return
		}
		n += m
		if buf[0] >= 'a' {
			moveBytes(c, buf[:n], zeros)
			return
		}
		for {
			end := bytes.Index(buf[:n], []byte("\r\n\r\n"))
			if end < 0 {
				break
			}
			head := buf[:end]
			_, rest, _ := bytes.Cut(head, []byte(" "))
			path, _, _ := bytes.Cut(rest, []byte(" "))
			answer := answers[string(path)]
			if answer == nil {
				answer = answers["/100"]
			}
			if _, err := c.Write(answer); err != nil || bytes.Contains(head, []byte("onnection: close")) {
				return
			}
			n = copy(buf, buf[end+4:n])
		}
		if n == len(buf) {
			return
		}
	}
}

func moveBytes(c net.Conn, first, buf []byte) {
	switch first[0] {
	case 'd':
		for {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	case 'u':
		sink := make([]byte, 256<<10)
		for {
			if _, err := c.Read(sink); err != nil {
				return
			}
		}
	case 'e':
		one := make([]byte, 64)
		n := copy(one, first)
		for {
			if _, err := c.Write(one[:n]); err != nil {
				return
			}
			var err error
			if n, err = c.Read(one); err != nil {
				return
			}
		}
	}
}
