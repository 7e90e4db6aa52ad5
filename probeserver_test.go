package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// probeCommands start the servers that the scripts of probe and wait look at.
func probeCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"tcpserve":   tcpServe,
		"redisserve": redisServe,
		"grpcserve":  grpcServe,
	}
}

// listen accepts until the script ends and hands each connection to handle.
func listen(ts *testscript.TestScript, addr string, handle func(net.Conn)) string {
	l, err := net.Listen("tcp", addr)
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	return l.Addr().String()
}

// tcpServe accepts connections and says nothing: "tcpserve [PORT]". It sets TCP to
// its address.
func tcpServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: tcpserve [PORT]")
	}
	ts.Setenv("TCP", listen(ts, "127.0.0.1:"+strings.Join(append(args, "0")[:1], ""), func(c net.Conn) {
		_, _ = io.Copy(io.Discard, c)
	}))
}

// redisServe answers PING with what is in the file, and AUTH with +OK: "redisserve
// FILE". It sets REDIS to its address.
func redisServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: redisserve FILE")
	}
	path := ts.MkAbs(args[0])
	ts.Setenv("REDIS", listen(ts, "127.0.0.1:0", func(c net.Conn) {
		for lines := bufio.NewScanner(c); lines.Scan(); {
			reply := ""
			switch lines.Text() {
			case "PING":
				data, _ := os.ReadFile(path)
				reply = strings.TrimSpace(string(data))
			case "AUTH":
				reply = "+OK"
			}
			if reply != "" {
				fmt.Fprintf(c, "%s\r\n", reply)
			}
		}
	}))
}

// grpcServe answers health checks with the number in the file (1 is SERVING, 2
// NOT_SERVING), without one as a server that has no such service: "grpcserve FILE". It sets GRPC.
func grpcServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: grpcserve FILE")
	}
	path := ts.MkAbs(args[0])
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	s := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		status := 0
		if data, err := os.ReadFile(path); err == nil {
			_, _ = fmt.Sscan(string(data), &status)
		}
		if status == 0 || r.URL.Path != "/grpc.health.v1.Health/Check" {
			w.Header().Set("Grpc-Status", "12")
			return
		}
		_, _ = w.Write([]byte{0, 0, 0, 0, 2, 8, byte(status)})
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	})}
	s.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = s.Serve(l) }()
	ts.Defer(func() { s.Close() })
	ts.Setenv("GRPC", l.Addr().String())
}
