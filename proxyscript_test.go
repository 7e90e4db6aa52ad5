package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// proxyCommands are what scripts of the proxy role need.
func proxyCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"appserve":    appServe,
		"appstop":     appStop,
		"upperserve":  upperServe,
		"certificate": certificate,
		"ask":         ask,
		"raw":         rawRequest,
		"tcpask":      tcpAsk,
	}
}

// proxyKey is under what a script keeps its applications and its authority.
type proxyKey struct{}

type proxySet struct {
	apps  map[string]*http.Server
	ca    *x509.Certificate
	caKey *ecdsa.PrivateKey
}

// appServe VAR [ADDRESS] serves an application over plain HTTP and puts its address into VAR. It answers with what it was asked,
// one line for each field, sorted. ?status=N answers so, ?location=URL redirects, ?sleep=TIME waits before the answer.
func appServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: appserve VAR [ADDRESS]")
	}
	address := "127.0.0.1:0"
	if len(args) == 2 {
		address = args[1]
	}
	l, err := net.Listen("tcp", address)
	ts.Check(err)
	server := &http.Server{Handler: http.HandlerFunc(appAnswer)}
	go func() { _ = server.Serve(l) }()
	ts.Defer(func() { _ = server.Close() })
	ts.Setenv(args[0], l.Addr().String())
	ts.Value(proxyKey{}).(*proxySet).apps[args[0]] = server
}

func appAnswer(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if d, err := time.ParseDuration(q.Get("sleep")); err == nil {
		time.Sleep(d)
	}
	if to := q.Get("location"); to != "" {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
		return
	}
	body, err := io.ReadAll(r.Body)
	if code, serr := strconv.Atoi(q.Get("status")); serr == nil {
		w.WriteHeader(code)
	}
	fmt.Fprintf(w, "%s %s %s\nHost: %s\n", r.Method, r.URL.RequestURI(), r.Proto, r.Host)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(w, "%s: %s\n", name, strings.Join(r.Header[name], " | "))
	}
	fmt.Fprintf(w, "\n%d bytes %v\n", len(body), err)
}

// appStop VAR ends an application: its port refuses.
func appStop(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: appstop VAR")
	}
	ts.Check(ts.Value(proxyKey{}).(*proxySet).apps[args[0]].Close())
}

// upperServe VAR [DIR] answers each connection, at its end, with what it sent in capital letters. DIR has the certificate of a
// server that speaks TLS.
func upperServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: upperserve VAR [DIR]")
	}
	var config *tls.Config
	if len(args) == 2 {
		dir := ts.MkAbs(args[1])
		cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
		ts.Check(err)
		config = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	ts.Setenv(args[0], listen(ts, "127.0.0.1:0", func(c net.Conn) {
		defer c.Close()
		if config != nil {
			c = tls.Server(c, config)
			defer c.Close()
		}
		text, err := io.ReadAll(c)
		if err != nil {
			return
		}
		_, _ = c.Write(bytes.ToUpper(text))
	}))
}

// certificate DIR NAME[,NAME...] [HOURS] writes tls.crt, tls.key and ca.crt the way a kubelet does: all at once. One authority
// signs all of a script; HOURS below 0 make an expired one. The organisational unit is "unit", the URI spiffe://test/NAME.
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: certificate DIR NAME[,NAME...] [HOURS]")
	}
	hours := 24
	if len(args) == 3 {
		n, err := strconv.Atoi(args[2])
		ts.Check(err)
		hours = n
	}
	names := strings.Split(args[1], ",")
	uri, err := url.Parse("spiffe://test/" + names[0])
	ts.Check(err)
	set := ts.Value(proxyKey{}).(*proxySet)
	now := time.Now()
	if set.ca == nil {
		set.caKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		ts.Check(err)
		set.ca = &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: now.Add(-1000 * time.Hour), NotAfter: now.Add(1000 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		der, err := x509.CreateCertificate(rand.Reader, set.ca, set.ca, set.caKey.Public(), set.caKey)
		ts.Check(err)
		set.ca, err = x509.ParseCertificate(der)
		ts.Check(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: names[0], OrganizationalUnit: []string{"unit"}}, DNSNames: names, URIs: []*url.URL{uri},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: now.Add(-999 * time.Hour), NotAfter: now.Add(time.Duration(hours) * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, set.ca, key.Public(), set.caKey)
	ts.Check(err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(swapIn(ts.MkAbs(args[0]), map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: raw}, "ca.crt": {Type: "CERTIFICATE", Bytes: set.ca.Raw},
	}))
}

// swapIn puts files into a folder as a kubelet puts those of a secret.
func swapIn(dir string, files map[string]*pem.Block) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	data := fmt.Sprintf("..%d", time.Now().UnixNano())
	if err := os.Mkdir(filepath.Join(dir, data), 0o755); err != nil {
		return err
	}
	for name, block := range files {
		if err := os.WriteFile(filepath.Join(dir, data, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
		if err := os.Symlink("..data/"+name, filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	if err := os.Symlink(data, filepath.Join(dir, "..data_tmp")); err != nil {
		return err
	}
	return os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
}

// ask [-ca FILE] [-cert DIR] [-h NAME:VALUE]... [-host NAME] [-d BODY] [-1] URL prints status line, fields and body of the answer.
// "! ask" wants none. -1 is for HTTP/1.1 only; -host is the name that is asked for, while URL says where.
func ask(ts *testscript.TestScript, neg bool, args []string) {
	config, http1 := &tls.Config{}, false
	req := &http.Request{Method: http.MethodGet, Header: http.Header{}}
	for len(args) > 1 {
		value := args[1]
		switch args[0] {
		case "-ca":
			config.RootCAs = x509.NewCertPool()
			config.RootCAs.AppendCertsFromPEM([]byte(ts.ReadFile(value)))
		case "-cert":
			cert, err := tls.LoadX509KeyPair(filepath.Join(ts.MkAbs(value), "tls.crt"), filepath.Join(ts.MkAbs(value), "tls.key"))
			ts.Check(err)
			config.Certificates = []tls.Certificate{cert}
		case "-h":
			name, v, _ := strings.Cut(value, ":")
			req.Header.Add(name, strings.TrimSpace(v))
		case "-host":
			req.Host, config.ServerName = value, value
		case "-d":
			req.Method, req.Body, req.ContentLength = http.MethodPost, io.NopCloser(strings.NewReader(value)), int64(len(value))
		case "-1":
			http1 = true
			args = args[1:]
			continue
		default:
			ts.Fatalf("ask: unknown option %s", args[0])
		}
		args = args[2:]
	}
	target, err := url.Parse(args[0])
	ts.Check(err)
	req.URL = target
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: !http1, DisableKeepAlives: true}
	client := &http.Client{Timeout: 30 * time.Second, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if neg {
		if err == nil {
			ts.Fatalf("%s answered %s", args[0], resp.Status)
		}
		fmt.Fprintln(ts.Stderr(), err)
		return
	}
	ts.Check(err)
	defer resp.Body.Close()
	fmt.Fprintf(ts.Stdout(), "%s %s\n", resp.Proto, resp.Status)
	var head bytes.Buffer
	_ = resp.Header.Write(&head)
	_, _ = ts.Stdout().Write(bytes.ReplaceAll(head.Bytes(), []byte("\r"), nil))
	body, err := io.ReadAll(resp.Body)
	fmt.Fprintf(ts.Stdout(), "\n%s", body)
	ts.Check(err)
}

// rawRequest ADDRESS FILE sends a file as it is, with CRLF for its line ends, and prints what comes back.
func rawRequest(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: raw ADDRESS FILE")
	}
	c, err := net.Dial("tcp", args[0])
	ts.Check(err)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	_, err = io.WriteString(c, strings.ReplaceAll(ts.ReadFile(args[1]), "\n", "\r\n"))
	ts.Check(err)
	got, _ := io.ReadAll(c)
	_, _ = ts.Stdout().Write(bytes.ReplaceAll(got, []byte("\r"), nil))
}

// tcpAsk [-ca FILE] [-cert DIR] ADDRESS TEXT sends TEXT, ends its direction, and prints what comes back. ADDRESS may be a path.
func tcpAsk(ts *testscript.TestScript, neg bool, args []string) {
	var config *tls.Config
	for len(args) > 2 {
		if config == nil {
			config = &tls.Config{ServerName: "localhost"}
		}
		if args[0] == "-ca" {
			config.RootCAs = x509.NewCertPool()
			config.RootCAs.AppendCertsFromPEM([]byte(ts.ReadFile(args[1])))
		} else {
			cert, err := tls.LoadX509KeyPair(filepath.Join(ts.MkAbs(args[1]), "tls.crt"), filepath.Join(ts.MkAbs(args[1]), "tls.key"))
			ts.Check(err)
			config.Certificates = []tls.Certificate{cert}
		}
		args = args[2:]
	}
	network := "tcp"
	if strings.Contains(args[0], "/") {
		network = "unix"
	}
	got, err := exchange(network, args[0], args[1], config)
	if neg {
		if err == nil && len(got) > 0 {
			ts.Fatalf("%s answered %q", args[0], got)
		}
		return
	}
	ts.Check(err)
	fmt.Fprintln(ts.Stdout(), string(got))
}

func exchange(network, address, text string, config *tls.Config) ([]byte, error) {
	c, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if config != nil {
		c = tls.Client(c, config)
	}
	if _, err := io.WriteString(c, text); err != nil {
		return nil, err
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return nil, err
	}
	return io.ReadAll(c)
}
