package redis

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
)

const info = "# Server\r\nredis_version:7.0.15\r\n\r\n# Clients\r\nconnected_clients:3\r\n# Replication\r\nrole:master\r\n# Keyspace\r\ndb0:keys=5,expires=0\r\n"

// serve answers AUTH, PING and INFO.
func serve(t *testing.T, info, password string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				r := bufio.NewReader(c)
				in := password == ""
				for {
					words, err := command(r)
					if err != nil {
						return
					}
					switch {
					case words[0] == "AUTH" && words[len(words)-1] == password:
						in = true
						fmt.Fprint(c, "+OK\r\n")
					case words[0] == "AUTH":
						fmt.Fprint(c, "-WRONGPASS invalid username-password pair\r\n")
					case !in:
						fmt.Fprint(c, "-NOAUTH Authentication required.\r\n")
					case words[0] == "PING":
						fmt.Fprint(c, "+PONG\r\n")
					default:
						fmt.Fprintf(c, "$%d\r\n%s\r\n", len(info), info)
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func command(r *bufio.Reader) (words []string, err error) {
	var n int
	if _, err = fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
		return nil, err
	}
	for range n {
		w, err := readAnswer(r)
		if err != nil {
			return nil, err
		}
		words = append(words, w)
	}
	return words, nil
}

func TestAsk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	replica := strings.Replace(info, "role:master", "role:slave\r\nmaster_link_status:up\r\nmaster_last_io_seconds_ago:7", 1)
	for _, tt := range []struct{ info, password, keys, want, err string }{
		{info, "", "", `{"redis_version":"7.0.15","connected_clients":3,"role":"master","db0":{"keys":5,"expires":0}}`, ""},
		{info, "hunter2", ", password-file: " + file, `"connected_clients":3`, ""},
		{info, "other", ", user: ann, password-file: " + file, "", "WRONGPASS"},
		{info, "other", "", "", "NOAUTH"},
		{info, "", ", role: replica", "", "it is a master; want a replica"},
		{replica, "", ", role: replica, max-lag: 10s", `"role":"slave"`, ""},
		{replica, "", ", max-lag: 5s", "", "heard of the master 7s ago, max-lag is 5s"},
		{strings.Replace(replica, "status:up", "status:down", 1), "", ", max-lag: 5s", "", "its link to the master is down"},
		{info + "loading:1\r\n", "", "", "", "loads its data"},
	} {
		v, err := draft.Parse("c", []byte("{address: '"+serve(t, tt.info, tt.password)+"'"+tt.keys+"}"))
		if err != nil {
			t.Fatal(err)
		}
		o, err := Parse(v)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		got, err := o.Ask(ctx)
		cancel()
		if tt.err == "" && (err != nil || !strings.Contains(string(got), tt.want)) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("Ask%s = %s, %v; want %s, %s", tt.keys, got, err, tt.want, tt.err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{"+PONG\r\n", "-ERR x\r\n", "$5\r\nhello\r\n", "$-1\r\n", "$99999999999\r\n", ":1\r\n", "$3\r\na"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if s, err := readAnswer(bufio.NewReader(strings.NewReader(in))); err == nil && len(s) > len(in) {
			t.Errorf("%q gives %q", in, s)
		}
	})
}

func FuzzInfo(f *testing.F) {
	f.Add(info)
	f.Add("a:-\nb:1e5\nc:x=1,y\nd:=\n:\n")
	f.Fuzz(func(t *testing.T, in string) {
		if d := document(parseInfo(in)); !json.Valid(d) {
			t.Errorf("%q gives %s, which is no JSON", in, d)
		}
	})
}
