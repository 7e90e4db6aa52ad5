package probe

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// healthServer answers as the gRPC health service does; status is by the service.
func healthServer(t *testing.T, pair *tls.Certificate, answer func(w http.ResponseWriter, service string)) string {
	t.Helper()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		frame, err := io.ReadAll(r.Body)
		if err != nil || len(frame) < 5 || r.Method != "POST" || r.URL.Path != "/grpc.health.v1.Health/Check" ||
			r.Header.Get("Te") != "trailers" || r.Header.Get("Content-Type") != "application/grpc" || r.ProtoMajor != 2 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		service := ""
		if len(frame) > 7 {
			service = string(frame[7:])
		}
		w.Header().Set("Content-Type", "application/grpc")
		answer(w, service)
	})
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.Protocols.SetHTTP2(true)
	if pair == nil {
		s.Start()
	} else {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{*pair}, NextProtos: []string{"h2"}}
		s.StartTLS()
	}
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// message is a frame with a serving status.
func message(status uint64) []byte {
	body := binary.AppendUvarint([]byte{8}, status)
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
}

func finish(w http.ResponseWriter, code, text string) {
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", code)
	w.Header().Set(http.TrailerPrefix+"Grpc-Message", text)
}

func byService(w http.ResponseWriter, service string) {
	refuse := func(code, text string) { // without a message, all in the head
		w.Header().Set("Grpc-Status", code)
		w.Header().Set("Grpc-Message", text)
	}
	switch service {
	case "", "my.Service":
		_, _ = w.Write(message(serving))
		finish(w, "0", "")
	case "down":
		_, _ = w.Write(message(notServing))
		finish(w, "0", "")
	case "odd":
		_, _ = w.Write(message(99))
		finish(w, "0", "")
	case "unset": // a default value is not on the wire
		_, _ = w.Write([]byte{0, 0, 0, 0, 0})
		finish(w, "0", "")
	case "torn":
		_, _ = w.Write(message(serving)[:6])
		finish(w, "0", "")
	case "nostatus":
		_, _ = w.Write(message(serving))
	case "web":
		w.Header().Set("Content-Type", "text/html")
	case "unknown":
		refuse("5", "unknown service")
	case "unimplemented":
		refuse("12", "")
	case "auth":
		refuse("16", "no%20token")
	case "late":
		refuse("4", "")
	case "flood":
		for range 100 {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	}
}

func TestGRPC(t *testing.T) {
	addr := healthServer(t, nil, byService)
	for service, want := range map[string]string{
		"":               "^ok grpc://" + addr + ": SERVING in ",
		"/":              "^ok ",
		"/my.Service":    "^ok ",
		"/down":          "^failed .*: NOT_SERVING, want SERVING$",
		"/odd":           "^failed .*: status 99, want SERVING$",
		"/unset":         "^failed .*: UNKNOWN, want SERVING$",
		"/torn":          "^failed .*: the answer is no gRPC health message$",
		"/flood":         "^failed .*: the answer is ",
		"/nostatus":      "^failed .*: the answer has no grpc-status, is it gRPC\\?$",
		"/web":           `^failed .*: content type "text/html", is it gRPC\?$`,
		"/unknown":       `^failed .*: SERVICE_UNKNOWN: the server does not know the service "unknown"$`,
		"/unimplemented": "^failed .*: UNIMPLEMENTED: the server has no grpc.health.v1.Health service$",
		"/auth":          "^failed .*: UNAUTHENTICATED: no token$",
		"/late":          "^failed .*: the server gave no answer within ",
	} {
		expect(t, "grpc://"+addr+service, want)
	}
	expect(t, "grpc://"+nobody(t), ": connection refused$")
	web := httptest.NewServer(site())
	t.Cleanup(web.Close)
	expect(t, "grpc://"+web.Listener.Addr().String(), `^failed .*: no HTTP/2 \(.*\), is it gRPC, and without TLS\?$`)
}

func TestGRPCS(t *testing.T) {
	a := newAuthority(t)
	pair := a.leaf(t, "svc", -time.Hour, time.Hour)
	addr := healthServer(t, &pair, byService)
	expect(t, "grpcs://"+addr+"#ca="+a.file, "^ok .*: SERVING in ")
	expect(t, "grpcs://"+addr+"#insecure&host=svc.example", "^ok ")
	expect(t, "grpcs://"+addr, "^failed .*: its certificate is signed by an unknown authority")
	expect(t, "grpcs://"+addr+"#min-valid=2h&ca="+a.file, "^failed .*: its certificate expires at")
	expect(t, "grpc://"+addr, `^failed .*: no HTTP/2 `)
	alone := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{pair}})
	expect(t, "grpcs://"+alone+"#ca="+a.file, "^failed .*: the server does not speak HTTP/2, is it gRPC\\?$")
	cleartext := serve(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "hello\r\n")
		c.Close()
	})
	expect(t, "grpcs://"+cleartext+"#ca="+a.file, "^failed .*: the server does not speak TLS")
}

func TestHealthStatus(t *testing.T) {
	frame := func(body string) string { return string([]byte{0, 0, 0, 0, byte(len(body))}) + body }
	tests := []struct {
		in   string
		want uint64
		ok   bool
	}{
		{frame(""), 0, true},
		{frame("\x08\x01"), 1, true},
		{frame("\x08\x02\x08\x01"), 1, true}, // the last one counts
		{frame("\x12\x02ab\x08\x01\x1d1234\x2112345678"), 1, true},
		{frame("\x08"), 0, false},
		{frame("\x08\x80"), 0, false},
		{frame("\x12\x05ab"), 0, false},
		{frame("\x1d123"), 0, false},
		{frame("\x0b"), 0, false},
		{frame("\x00\x01"), 0, false},
		{"\x01" + frame("\x08\x01")[1:], 0, false}, // compressed
		{frame("\x08\x01") + "x", 0, false},
		{"", 0, false},
		{"\x00\xff\xff\xff\xff", 0, false},
	}
	for _, tt := range tests {
		if got, err := healthStatus([]byte(tt.in)); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("healthStatus(%q) = %d, %v; want %d, %v", tt.in, got, err, tt.want, tt.ok)
		}
	}
}

func FuzzHealthStatus(f *testing.F) {
	f.Add(message(1))
	f.Add([]byte("\x00\x00\x00\x00\x0f\x12\x02ab\x08\x01\x1d1234\x2112345678"))
	f.Add([]byte{0, 0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 0, 3, 0x12, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, frame []byte) {
		if status, err := healthStatus(frame); err != nil && status != 0 {
			t.Errorf("healthStatus(%q) = %d, %v; want 0 with an error", frame, status, err)
		}
	})
}

func TestHealthRequestIsTheOneOfTheProtocol(t *testing.T) {
	if got := string(healthRequest("")); got != "\x00\x00\x00\x00\x00" {
		t.Errorf("healthRequest of the server = %q; want an empty message", got)
	}
	long := strings.Repeat("x", 200)
	if got, want := string(healthRequest(long)), "\x00\x00\x00\x00\xcb\x0a\xc8\x01"+long; got != want {
		t.Errorf("healthRequest(200 bytes) = %q; want %q", got, want)
	}
}
