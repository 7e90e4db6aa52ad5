package postgres

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/adapter/server"
)

func message[T ~string | ~[]byte](kind byte, data T) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(data)+4)), data...)
}

func auth(method uint32, data string) []byte {
	return message('R', append(binary.BigEndian.AppendUint32(nil, method), data...))
}

func columnsOf(pairs ...any) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(pairs)/2))
	for i := 0; i < len(pairs); i += 2 {
		b = append(append(b, pairs[i].(string)...), 0)
		b = append(b, 0, 0, 0, 0, 0, 0)
		b = binary.BigEndian.AppendUint32(b, uint32(pairs[i+1].(int)))
		b = append(b, 0, 8, 255, 255, 255, 255, 0, 0)
	}
	return message('T', b)
}

func row(values ...string) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(values)))
	for _, v := range values {
		if v == "NULL" {
			b = append(b, 255, 255, 255, 255)
			continue
		}
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
	}
	return message('D', b)
}

// deaf takes everything.
type deaf struct {
	net.Conn
	said bytes.Buffer
}

func (d *deaf) Write(p []byte) (int, error) { return d.said.Write(p) }

func pipe(data ...[]byte) (*conn, *deaf) {
	d := &deaf{}
	return &conn{Conn: &server.Conn{Conn: d, Plain: true}, r: bufio.NewReader(bytes.NewReader(bytes.Join(data, nil))), left: mostBytes}, d
}

var ready = message('Z', "I")

func TestRows(t *testing.T) {
	for name, tt := range map[string]struct {
		answer    [][]byte
		want, err string
	}{
		"values": {
			[][]byte{columnsOf("n", 23, "ok", 16, "doc", 3802, "t", 25, "none", 25, "p", 1700), row("-7", "t", `{"a":[1]}`, `x"y`, "NULL", "NaN"), row("8", "f", "{", "", "", "1.50"), message('C', "SELECT 2\x00"), ready},
			`[{"n":-7,"ok":true,"doc":{"a":[1]},"t":"x\"y","none":null,"p":"NaN"},{"n":8,"ok":false,"doc":"{","t":"","none":"","p":1.50}]`, "",
		},
		"no rows":        {[][]byte{columnsOf("n", 23), message('C', "SELECT 0\x00"), ready}, "[]", ""},
		"no columns":     {[][]byte{message('C', "UPDATE 1\x00"), ready}, "[]", ""},
		"nothing":        {[][]byte{message('I', ""), ready}, "[]", ""},
		"two statements": {[][]byte{columnsOf("a", 23), row("1"), message('C', "x\x00"), columnsOf("b", 23), row("2"), message('C', "x\x00"), ready}, `[{"b":2}]`, ""},
		"error":          {[][]byte{message('E', "SERROR\x00C42601\x00Msyntax error\x00\x00"), ready}, "", "error 42601: syntax error"},
		"error later":    {[][]byte{columnsOf("a", 23), row("1"), message('E', "C57014\x00Mcanceled\x00\x00"), ready}, "", "error 57014: canceled"},
		"copy":           {[][]byte{message('G', "\x00\x00\x00")}, "", "cannot copy"},
		"row alone":      {[][]byte{row("1"), ready}, "", "cannot be read"},
		"wide row":       {[][]byte{columnsOf("a", 23), row("1", "2"), ready}, "", "cannot be read"},
		"breaks off":     {[][]byte{columnsOf("a", 23), row("1")}, "", "closed the connection"},
		"huge":           {[][]byte{{'D', 0x7f, 0xff, 0xff, 0xff}}, "", "more than 1048576 bytes"},
	} {
		c, _ := pipe(tt.answer...)
		got, err := c.query("SELECT 1")
		if tt.err == "" && (err != nil || string(got) != tt.want) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: %s, %v; want %s, %s", name, got, err, tt.want, tt.err)
		}
		if err == nil && !json.Valid(got) {
			t.Errorf("%s: %s is no JSON", name, got)
		}
	}
}

func TestLogin(t *testing.T) {
	for name, tt := range map[string]struct {
		answer    [][]byte
		said, err string
	}{
		"trust":          {[][]byte{auth(0, ""), message('S', "a\x00b\x00"), message('K', "1234"), ready}, "user\x00app\x00database\x00shop\x00", ""},
		"md5":            {[][]byte{auth(5, "salt"), auth(0, ""), ready}, "md5", ""},
		"plain":          {[][]byte{auth(3, "")}, "", "want tls"},
		"refused":        {[][]byte{message('E', "C28P01\x00Mpassword authentication failed\x00\x00")}, "", "error 28P01"},
		"no TLS":         {[][]byte{message('E', "C28000\x00Mno pg_hba.conf entry for host \"10.0.0.1\", user \"app\", database \"shop\", no encryption\x00\x00")}, "", "no encryption; asked without TLS: want tls: {ca: FILE}"},
		"unknown way":    {[][]byte{auth(7, "")}, "", "(7) that is not known"},
		"other SASL":     {[][]byte{auth(10, "SCRAM-SHA-512\x00\x00")}, "", "not SCRAM-SHA-256"},
		"no proof":       {[][]byte{auth(10, "SCRAM-SHA-256\x00\x00"), auth(0, ""), ready}, "", "did not prove"},
		"wrong proof":    {[][]byte{auth(10, "SCRAM-SHA-256\x00\x00"), auth(12, "v="+base64.StdEncoding.EncodeToString(make([]byte, 32)))}, "", "somebody else answers"},
		"foreign nonce":  {[][]byte{auth(10, "SCRAM-SHA-256\x00\x00"), auth(11, "r=other,s=c2FsdA==,i=4096")}, "", "cannot be read"},
		"nothing":        {nil, "", "closed the connection"},
		"something else": {[][]byte{[]byte("HTTP/1.1 400 Bad Request\r\n\r\n")}, "", ""},
	} {
		c, d := pipe(tt.answer...)
		err := c.login(&server.Options{User: "app", Database: "shop"})
		if name == "something else" {
			if err == nil {
				t.Error("a web server is taken for PostgreSQL")
			}
			continue
		}
		if tt.err == "" && (err != nil || !strings.Contains(d.said.String(), tt.said)) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: %v, said %q; want %q, %s", name, err, d.said.String(), tt.said, tt.err)
		}
	}
}

// TestScram has the example of RFC 7677, 3.
func TestScram(t *testing.T) {
	s := scram{begun: true, nonce: "rOprNGfwEbeRWgbNEkqO", bare: "n=user,r=rOprNGfwEbeRWgbNEkqO"}
	got, err := s.final("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "pencil")
	if want := "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="; err != nil || got != want {
		t.Errorf("final = %s, %v; want %s", got, err, want)
	}
	if err := s.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="); err != nil || !s.verified {
		t.Errorf("verify = %v", err)
	}
}

func TestParseDSN(t *testing.T) {
	for text, want := range map[string]string{
		"postgres://app:s%40cret@db:5433/shop?sslmode=verify-full":  "db:5433 app shop s@cret true",
		"postgresql://app@db/shop":                                  "db:5432 app shop  false",
		"postgres:///shop?host=/run/postgresql":                     "/run/postgresql/.s.PGSQL.5432  shop  false",
		"host=db port=5433 user=app password='a b\\'c' dbname=shop": "db:5433 app shop a b'c false",
		"host = /run/postgresql user=app sslmode=disable":           "/run/postgresql/.s.PGSQL.5432 app   false",
		"user=app":                "127.0.0.1:5432 app   false",
		"host=db sslmode=require": "db:5432    true",
		"host":                    "error",
		"password='open":          "error",
		"postgres://u:%zz@h/":     "error",
	} {
		o, password, err := parseDSN(text)
		got := strings.Join([]string{o.Address, o.User, o.Database, password.Reveal(), map[bool]string{true: "true", false: "false"}[o.Secure]}, " ")
		if err != nil {
			got = "error"
			if strings.Contains(err.Error(), text) {
				t.Errorf("parseDSN(%s): the error quotes it: %v", text, err)
			}
		}
		if got != want {
			t.Errorf("parseDSN(%s) = %s; want %s", text, got, want)
		}
	}
}

func FuzzLogin(f *testing.F) {
	f.Add(bytes.Join([][]byte{auth(5, "salt"), auth(0, ""), ready}, nil))
	f.Add(bytes.Join([][]byte{auth(10, "SCRAM-SHA-256\x00\x00"), auth(11, "r=x,s=c2FsdA==,i=1")}, nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		c, _ := pipe(in)
		if err := c.login(&server.Options{User: "a"}); err != nil && err.Error() == "" {
			t.Error("an empty error")
		}
	})
}

func FuzzRows(f *testing.F) {
	f.Add(bytes.Join([][]byte{columnsOf("n", 23, "ok", 16), row("1", "t"), message('C', "\x00"), ready}, nil))
	f.Add(bytes.Join([][]byte{message('E', "C1\x00Mx\x00\x00"), ready}, nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		c, _ := pipe(in)
		out, err := c.query("x")
		if err == nil && !json.Valid(out) {
			t.Errorf("%x gives %s, which is no JSON", in, out)
		}
	})
}

func FuzzDSN(f *testing.F) {
	f.Add("host=db user='a b' password=\\x")
	f.Add("postgres://a:b@c/d?sslmode=require")
	f.Fuzz(func(t *testing.T, text string) {
		if _, _, err := parseDSN(text); err != nil && len(text) > 20 && strings.Contains(err.Error(), text) {
			t.Errorf("the error quotes the DSN: %v", err)
		}
	})
}
