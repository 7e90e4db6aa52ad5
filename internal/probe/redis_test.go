package probe

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// redis answers commands as the real one does; say is the reply to PING.
func redis(password, say string) func(net.Conn) {
	return func(c net.Conn) {
		defer c.Close()
		r, in := bufio.NewReader(c), password == ""
		for {
			words, err := respWords(r)
			if err != nil {
				return
			}
			reply := "-ERR unknown command '" + words[0] + "'\r\n"
			switch {
			case words[0] == "AUTH" && password == "":
				reply = "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n"
			case words[0] == "AUTH" && strings.Join(words[1:], " ") == password:
				reply, in = "+OK\r\n", true
			case words[0] == "AUTH":
				reply = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
			case words[0] == "PING" && !in:
				reply = "-NOAUTH Authentication required.\r\n"
			case words[0] == "PING":
				reply = say
			}
			if _, err := io.WriteString(c, reply); err != nil {
				return
			}
		}
	}
}

// respWords reads an array of bulk strings.
func respWords(r *bufio.Reader) ([]string, error) {
	number := func(prefix string) (int, error) {
		text, err := readLine(r, 100)
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimPrefix(text, prefix))
	}
	n, err := number("*")
	if err != nil {
		return nil, err
	}
	words := make([]string, n)
	for i := range words {
		size, err := number("$")
		if err != nil {
			return nil, err
		}
		buf := make([]byte, size+2)
		if _, err := io.ReadFull(r, buf); err != nil {
			return nil, err
		}
		words[i] = string(buf[:size])
	}
	return words, nil
}

func TestRedis(t *testing.T) {
	open := serve(t, redis("", "+PONG\r\n"))
	locked := serve(t, redis("hunter2 x", "+PONG\r\n"))
	named := serve(t, redis("app hunter2", "+PONG\r\n"))
	loading := serve(t, redis("", "-LOADING Redis is loading the dataset in memory\r\n"))
	echo := serve(t, redis("hunter2", "-ERR hunter2 is odd\r\n"))
	password := write(t, "hunter2 x\n")
	_, port, _ := strings.Cut(open, ":")
	for address, want := range map[string]string{
		"redis://" + open:                                  "^ok redis://" + open + ": PONG in ",
		"redis://:" + port:                                 "^ok ",
		"redis://" + open + "/0":                           "^ok ",
		"redis://" + open + "#password-file=" + password:   "^failed .*: ERR AUTH <password> called without any password",
		"redis://" + locked:                                `^failed .*: NOAUTH Authentication required\. \(name a file that holds the password with password-file\)$`,
		"redis://" + locked + "#password-file=" + password: "^ok ",
		"redis://:hunter2%20x@" + locked:                   `^ok redis://:\*\*\*@` + locked + ": PONG in ",
		"redis://:wrong@" + locked:                         "^failed .*: WRONGPASS invalid .*",
		"redis://app:hunter2@" + named:                     "^ok ",
		"redis://" + locked + "#password-file=/no/such":    "^failed .*: option password-file: .*no such file",
		"redis://" + loading:                               "^failed .*: LOADING Redis is loading the dataset in memory$",
		"redis://:hunter2@" + echo:                         `^failed .*: ERR \*\*\* is odd$`,
		"redis://" + nobody(t):                             ": connection refused$",
	} {
		expect(t, address, want)
	}
}

func TestRedisOverTLS(t *testing.T) {
	a := newAuthority(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{a.leaf(t, "redis", -time.Hour, time.Hour)}})
	if err != nil {
		t.Fatal(err)
	}
	accept(t, l, redis("", "+PONG\r\n"))
	expect(t, "rediss://"+l.Addr().String()+"#ca="+a.file, "^ok ")
	expect(t, "rediss://"+l.Addr().String(), "unknown authority")
}

func TestRedisThatIsSomethingElse(t *testing.T) {
	says := func(text string) string {
		return "redis://" + serve(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 100))
			_, _ = io.WriteString(c, text)
			c.Close()
		})
	}
	expect(t, says("HTTP/1.1 400 Bad Request\r\n"), `^failed .*: answered "HTTP/1.1 400 Bad Request", is it redis\?$`)
	expect(t, says(""), "^failed .*: the server closed the connection$")
	expect(t, says("+PO"), "^failed .*: the server closed the connection$")
	expect(t, says("+"+strings.Repeat("x", replyMax)), "^failed .*: its answer has no end of line, is it redis\\?$")
	expect(t, says("\x1b[2J\r\n"), `^failed .*: answered "\\x1b\[2J", is it redis\?$`)
	expect(t, says("\r\n"), `^failed .*: answered "", is it redis\?$`)
}

func FuzzRespReply(f *testing.F) {
	for _, s := range []string{"+PONG\r\n", "-LOADING x\r\n", "-NOAUTH\n", "$4\r\nPONG\r\n", "", "+", "\r\n", "-\r\n", "-WRONGPASS\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		reply, err := respReply(bufio.NewReader(strings.NewReader(text)))
		if err == nil && (!strings.HasPrefix(text, "+") || !strings.HasPrefix(text[1:], reply)) {
			t.Errorf("respReply(%q) = %q; want an error", text, reply)
		}
	})
}
