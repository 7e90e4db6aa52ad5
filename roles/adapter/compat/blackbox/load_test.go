package blackbox

import (
	"os"
	"strings"
	"testing"
)

func TestLoadReadsWhatUsersHave(t *testing.T) {
	text, err := os.ReadFile("testdata/all.yml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Load("all.yml", text)
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range c.modules {
		if refused := strings.HasPrefix(name, "not_"); refused != (m.refuse != "") {
			t.Errorf("%s: refuse = %q; want refused %v", name, m.refuse, refused)
		}
	}
	if s := c.modules["postgresql"].talk; len(s) != 3 || s[0].send != "\x00\x00\x00\x08\x04\xd2\x16/" || s[1].bytes != "S" || !s[2].startTLS {
		t.Errorf("postgresql = %+v; want bytes, S, TLS", s)
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "b.yml: there is no module"},
		{"modules:", "there is no module"},
		{"modules: [", "b.yml: yaml"},
		{"modulse: {}", "b.yml:1:1: unknown key \"modulse\""},
		{"modules:\n  a: {}", "b.yml:2:6: a: the module has no prober"},
		{"modules:\n  a: {prober: htp}", "b.yml:2:15: prober"},
		{"modules:\n  a:\n    prober: http\n    http: {methd: GET}", `b.yml:4:12: unknown key "methd"`},
		{"modules:\n  a: {prober: http, http: {valid-status-codes: [200]}}", "unknown key"},
		{"modules:\n  a: {prober: http, http: {fail_if_body_matches_regexp: ['(']}}", "b.yml:2:58: "},
		{"modules:\n  a: {prober: http, http: {body: a, body_file: b}}", "exclude each other"},
		{"modules:\n  a: {prober: http, http: {bearer_token: a, basic_auth: {username: b}}}", "exclude each other"},
		{"modules:\n  a: {prober: http, http: {body_size_limit: much}}", "no size"},
		{"modules:\n  a: {prober: http, http: {fail_if_header_matches: [{header: a}]}}", "want header and regexp"},
		{"modules:\n  a: {prober: http, http: {tls_config: {cert_file: a}}}", "belong together"},
		{"modules:\n  a: {prober: dns}", "query_name"},
		{"modules:\n  a: {prober: dns, dns: {query_name: a, query_type: AAAAA}}", "AAAA"},
		{"modules:\n  a: {prober: dns, dns: {query_name: a, dns_over_tls: true}}", "transport_protocol: tcp"},
		{"modules:\n  a: {prober: dns, dns: {query_name: a..b}}", "no name of the DNS"},
		{"modules:\n  a: {prober: tcp, tcp: {query_response: [{expect: a, expect_bytes: b}]}}", "exclude each other"},
		{"modules:\n  a: {prober: tcp, tcp: {query_response: [{labels: [{name: 1a, value: b}]}]}}", "cannot be the name of a label"},
		{"modules:\n  a: {prober: tcp, tcp: {source_ip_address: here}}", "no address"},
		{"modules:\n  a: {prober: icmp, icmp: {ttl: 256}}", "from 0 to 255"},
		{"modules:\n  a: {prober: tcp, tcp: {query_response: [{send: !!binary '*'}]}}", "b.yml:2:"},
	} {
		c, err := Load("b.yml", []byte(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Load(%q) = %+v, %v; want %q", tt.text, c, err, tt.want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	text, err := os.ReadFile("testdata/all.yml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	for _, part := range strings.SplitAfter(string(text), "\n\n") {
		f.Add([]byte("modules:\n" + part))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Load("f.yml", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f.yml:") {
				t.Errorf("Load = %v; want the file's name", err)
			}
			return
		}
		for name, m := range c.modules {
			if m.prober == "" || m.prober == "dns" && m.dns.name == "" {
				t.Errorf("module %s has no prober or name", name)
			}
		}
	})
}
