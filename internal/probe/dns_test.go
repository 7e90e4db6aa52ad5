package probe

import (
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"
)

// records is a DNS server for a few names under example.
func records(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply := dnsReply(buf[:n]); reply != nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

const (
	typeA    = 1
	typeTXT  = 16
	typeAAAA = 28
	typeSRV  = 33
)

func dnsReply(query []byte) []byte {
	name, kind, end := question(query)
	if strings.HasPrefix(name, "mute.") {
		return nil
	}
	var answers [][]byte
	code := byte(0)
	srv := func(port uint16, target string) []byte {
		b := binary.BigEndian.AppendUint16([]byte{0, 1, 0, 1}, port)
		for label := range strings.SplitSeq(target, ".") {
			b = append(append(b, byte(len(label))), label...)
		}
		return append(b, 0)
	}
	switch {
	case strings.HasPrefix(name, "fail."):
		code = 2
	case strings.HasPrefix(name, "none."):
		code = 3
	case kind == typeA && strings.HasPrefix(name, "db."):
		answers = [][]byte{{10, 0, 0, 6}, {10, 0, 0, 5}}
	case kind == typeAAAA && strings.HasPrefix(name, "db."):
		answers = [][]byte{net.ParseIP("fd00::5")}
	case kind == typeSRV:
		answers = [][]byte{srv(5432, "db-0.example"), srv(5432, "db-1.example")}
	case kind == typeTXT:
		answers = [][]byte{append([]byte{11}, "version=1.2"...)}
	}
	reply := append([]byte{}, query[:end]...)
	reply[2], reply[3] = 0x84|query[2]&1, 0x80|code
	binary.BigEndian.PutUint16(reply[6:], uint16(len(answers)))
	binary.BigEndian.PutUint16(reply[8:], 0)
	binary.BigEndian.PutUint16(reply[10:], 0)
	for _, data := range answers {
		reply = append(reply, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 60)
		reply = append(binary.BigEndian.AppendUint16(reply, uint16(len(data))), data...)
	}
	return reply
}

func question(query []byte) (name string, kind uint16, end int) {
	i := 12
	for query[i] != 0 {
		name += string(query[i+1:i+1+int(query[i])]) + "."
		i += 1 + int(query[i])
	}
	return name, binary.BigEndian.Uint16(query[i+1:]), i + 5
}

func TestDNS(t *testing.T) {
	server := "server=" + records(t)
	for address, want := range map[string]string{
		"dns://db.example.#" + server:                                             "^ok dns://db.example.: 10.0.0.5 10.0.0.6 fd00::5 in ",
		"dns:db.example.#" + server + "&type=A":                                   "^ok .*: 10.0.0.5 10.0.0.6 in ",
		"dns://db.example.#" + server + "&type=AAAA":                              "^ok .*: fd00::5 in ",
		"dns://db.example.#" + server + "&type=A&min=2":                           "^ok ",
		"dns://db.example.#" + server + "&type=A&min=3":                           "^failed .*: 2 records, want at least 3: 10.0.0.5 10.0.0.6$",
		"dns://db.example.#" + server + "&type=A&equals=10.0.0.6&equals=10.0.0.5": "^ok ",
		"dns://db.example.#" + server + "&type=A&equals=10.0.0.6":                 "^failed .*: 10.0.0.5 10.0.0.6, want 10.0.0.6$",
		"dns://db.example.#" + server + "&type=AAAA&equals=FD00:0::5":             "^ok ",
		"dns://_pg._tcp.db.example.#" + server + "&type=SRV&min=2":                "^ok .*: db-0.example:5432 db-1.example:5432 in ",
		"dns://v.example.#" + server + "&type=TXT&equals=version%3D1.2":           "^ok .*: version=1.2 in ",
		"dns://none.example.#" + server:                                           "^failed .*: no such name, or none of this type$",
		"dns://none.example.#" + server + "&min=0":                                "^ok .*: no records in ",
		"dns://fail.example.#" + server:                                           "^failed .*: lookup fail.example.: server misbehaving$",
		"dns://none.example.#equals=10.0.0.1&" + server:                           "^failed .*: no records, want 10.0.0.1$",
		"dns://db.example.#type=A&server=" + nobody(t):                            "^failed .*: lookup db.example.: .*connection refused$",
	} {
		expect(t, address, want)
	}
	r := seeWithin(t, "dns://mute.example.#type=A&"+server, 50*time.Millisecond)
	if !strings.Contains(r.Detail, "no answer within") {
		t.Errorf("Do = %s; want no answer", r)
	}
}

func TestACheckReadsTheSameEachTime(t *testing.T) {
	check, err := Parse("dns://db.example.#type=A&equals=10.0.0.5&equals=10.0.0.5&equals=10.0.0.6&server=" + records(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if r := check.Do(t.Context()); !r.OK {
			t.Errorf("Do = %s; want ok each time", r)
		}
	}
}

// What the log compares stays the same although each question has a new port.
func TestDNSFailureReadsTheSameEachTime(t *testing.T) {
	address := "dns://db.example.#type=A&server=" + nobody(t)
	a, b := see(t, address), see(t, address)
	if !a.Same(b) || strings.Contains(a.Detail, "->") {
		t.Errorf("Do = %q, then %q; want the same", a.Detail, b.Detail)
	}
}
