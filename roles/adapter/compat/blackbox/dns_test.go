package blackbox

import (
	"encoding/binary"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// answerTo makes the answer to a question: two A records, an SOA, a TXT with a pointer to the name.
func answerTo(question []byte, code byte) []byte {
	m := append([]byte(nil), question...)
	m[2], m[3] = 0x81, 0x80|code
	m[7], m[9], m[11] = 2, 1, 1
	add := func(kind uint16, data ...byte) {
		m = append(m, 0xc0, 12)
		for _, n := range []uint16{kind, 1, 0, 300, uint16(len(data))} {
			m = binary.BigEndian.AppendUint16(m, n)
		}
		m = append(m, data...)
	}
	add(1, 127, 0, 0, 1)
	add(6, 0xc0, 12, 1, 'h', 0xc0, 12, 0, 0, 0, 42, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4)
	add(16, 3, 'a', '"', 7)
	add(65000, 1, 2, 3)
	return m
}

func dnsServer(t *testing.T) string {
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			_ = l.Close()
			continue
		}
		t.Cleanup(func() { _, _ = l.Close(), p.Close() })
		code := func(q []byte) byte {
			if strings.Contains(string(q), "gone") {
				return 3
			}
			return 0
		}
		go func() {
			buf := make([]byte, 600)
			for {
				n, from, err := p.ReadFrom(buf)
				if err != nil {
					return
				}
				_, _ = p.WriteTo([]byte("not DNS"), from)
				_, _ = p.WriteTo(answerTo(buf[:n], code(buf[:n])), from)
			}
		}()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				buf := make([]byte, 600)
				n, _ := c.Read(buf)
				if n > 14 {
					a := answerTo(buf[2:n], code(buf[:n]))
					_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
				}
				_ = c.Close()
			}
		}()
		return l.Addr().String()
	}
}

func TestDNS(t *testing.T) {
	addr := dnsServer(t)
	for _, tt := range []struct {
		keys  string
		lines []string
	}{
		{"query_name: a.example", []string{"probe_success 1", "probe_dns_answer_rrs 2", "probe_dns_authority_rrs 1", "probe_dns_additional_rrs 1", "probe_dns_query_succeeded 1", "!probe_dns_serial 42"}},
		{"query_name: a.example., query_type: SOA, transport_protocol: tcp", []string{"probe_success 1", "probe_dns_serial 42"}},
		{"query_name: gone", []string{"probe_success 0", "probe_dns_query_succeeded 1"}},
		{"query_name: gone, valid_rcodes: [NXDOMAIN]", []string{"probe_success 1"}},
		{"query_name: a, valid_rcodes: [REFUSED]", []string{"probe_success 0"}},
		{`query_name: a, validate_answer_rrs: {fail_if_none_matches_regexp: ["^a\\.\t300\tIN\tA\t127.0.0.1$"]}`, []string{"probe_success 1"}},
		{`query_name: a, validate_answer_rrs: {fail_if_none_matches_regexp: ["^a\\.\t300\tIN\tSOA\ta\\. h\\.a\\. 42 1 2 3 4$"]}`, []string{"probe_success 1"}},
		{"query_name: a, validate_answer_rrs: {fail_if_matches_regexp: [127]}", []string{"probe_success 0"}},
		{"query_name: a, validate_answer_rrs: {fail_if_not_matches_regexp: [127]}", []string{"probe_success 0"}},
		{"query_name: a, validate_answer_rrs: {fail_if_all_match_regexp: [127]}", []string{"probe_success 0"}},
		{`query_name: a, validate_authority_rrs: {fail_if_not_matches_regexp: ["TXT\t\"a\\\\\""]}`, []string{"probe_success 1"}},
		{"query_name: a, validate_additional_rrs: {fail_if_not_matches_regexp: ['TYPE65000\t.# 3 010203']}", []string{"probe_success 1"}},
	} {
		want(t, "{prober: dns, dns: {"+tt.keys+"}}", addr, tt.lines...)
	}
	want(t, "{prober: dns, dns: {query_name: a, dns_over_tls: true, transport_protocol: tcp}}", addr, "probe_success 0", "probe_dns_query_succeeded 0")
}

func TestICMP(t *testing.T) {
	addr := netip.MustParseAddr("127.0.0.1")
	c, err := pingSocket(addr, netip.Addr{}, 64)
	if err != nil {
		code, body, header := ask(t, "{prober: icmp}", "127.0.0.1")
		if code != http.StatusOK || !strings.Contains(body, "probe_success 0\n") || !strings.Contains(header.Get("X-Probe-Error"), "ping_group_range") {
			t.Errorf("icmp = %d %v; want a reason", code, header)
		}
		return
	}
	_ = c.Close()
	want(t, "{prober: icmp, icmp: {payload_size: 99}}", "127.0.0.1", "probe_success 1")
}

// A checksum over a message that has one is all ones.
func TestEcho(t *testing.T) {
	for _, data := range []string{"", "a", "ab", payload} {
		m, sum := echo(8, []byte(data)), uint32(0)
		for i, b := range m {
			sum += uint32(b) << (8 * (1 - i%2))
		}
		if sum = sum>>16 + sum&0xffff; sum != 0xffff {
			t.Errorf("echo(%q) sums to %x; want ffff", data, sum)
		}
	}
}

func TestQuestionRefuses(t *testing.T) {
	for _, name := range []string{"", "a..b", strings.Repeat("a", 64), strings.Repeat("a.", 130)} {
		if q, err := appendQuestion(nil, 1, true, name, 1, 1); err == nil {
			t.Errorf("appendQuestion(%q) = %q; want an error", name, q)
		}
	}
	if q, err := appendQuestion(nil, 1, false, ".", 2, 1); err != nil || len(q) != 17 {
		t.Errorf("appendQuestion(.) = %q, %v; want 17 bytes", q, err)
	}
}

func FuzzReply(f *testing.F) {
	q, _ := appendQuestion(nil, 7, true, "www.example.org", 1, 1)
	f.Add(answerTo(q, 0))
	f.Add(append(q[:12:12], 0xc0, 12))
	for kind, data := range map[uint16]string{2: "\xc0\x0c", 15: "\x00\x05\x01m\x00", 33: "\x00\x01\x00\x02\x00\x03\x00", 28: "0123456789abcdef", 257: "\x00\x05issueca", 43: "\x00\x01\x02\x03ab", 48: "\x00\x01\x02\x03ab", 1: "abc", 16: "\xffa"} {
		m := append([]byte{0, 7, 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0}, "\x01a\x00"...)
		m = binary.BigEndian.AppendUint16(m, kind)
		m = append(m, 0, 1, 0, 0, 0, 1, 0, byte(len(data)))
		f.Add(append(m, data...))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		m, err := parseReply(msg)
		if err != nil {
			return
		}
		total := 0
		for _, s := range m.sections {
			total += len(s)
			for _, rec := range s {
				if strings.Count(rec.text, "\t") < 4 || strings.ContainsAny(rec.text, "\n\x00") {
					t.Errorf("%x has the record %q", msg, rec.text)
				}
			}
		}
		if total*11 > len(msg) {
			t.Errorf("%d records in %d bytes", total, len(msg))
		}
	})
}
