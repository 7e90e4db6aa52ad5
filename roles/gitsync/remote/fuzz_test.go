package remote

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

type fakeAddr struct{}

func (fakeAddr) Network() string { return "tcp" }
func (fakeAddr) String() string  { return "192.0.2.1:22" }

func testKey(t testing.TB) ssh.PublicKey {
	t.Helper()
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writeLockedKey(t testing.TB, path string) {
	t.Helper()
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(priv, "", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
}

// small keeps the limits low, so that the fuzzer can reach them.
func small() Config {
	c := Config{}.withDefaults()
	c.Limits = Limits{Refs: 50, PackBytes: 10_000}
	return c
}

// clean tells whether an error could be printed as one line.
func clean(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if s := err.Error(); len(s) > 20*errorTextCap || strings.ContainsAny(s, "\x00\x1b\n") {
		t.Errorf("error is not fit for a log: %d bytes %.200q", len(s), s)
	}
}

func FuzzAdvert(f *testing.F) {
	f.Add(packets("# service=git-upload-pack\n", "0000", "version 2\n", "agent=x\n", "ls-refs=unborn\n", "fetch=shallow filter\n", "0000"))
	f.Add(packets(oid+" HEAD\x00thin-pack symref=HEAD:refs/heads/main", oid+" refs/tags/v\n", oid+" refs/tags/v^{}\n", "shallow "+oid, "0000"))
	f.Add(packets("version 1\n", "ERR no\x1b"))
	f.Fuzz(func(t *testing.T, in string) {
		a, err := readAdvert(small(), reader(in))
		clean(t, err)
		if err == nil && len(a.refs) > 50 {
			t.Errorf("%d refs over the limit", len(a.refs))
		}
	})
}

func FuzzRefs(f *testing.F) {
	f.Add(packets(oid+" HEAD symref-target:refs/heads/main\n", oid+" refs/tags/v peeled:"+oid+"\n", "unborn HEAD symref-target:refs/heads/x", "0000"))
	f.Add(packets("ERR denied", "0000"))
	f.Fuzz(func(t *testing.T, in string) {
		refs, err := readRefs(small(), reader(in), []string{"HEAD", "refs/"})
		clean(t, err)
		for _, r := range refs {
			if r.Name == "" || strings.ContainsAny(r.Name+r.Target, " \n\x00") {
				t.Errorf("ref %q -> %q", r.Name, r.Target)
			}
		}
	})
}

func FuzzFetchAnswer(f *testing.F) {
	f.Add(packets("shallow-info\n", "shallow "+oid, "unshallow "+oid, "0001", "packfile\n", "\x01PACK", "\x02hi", "\x01rest", "0000"), false)
	f.Add(packets("acknowledgments\n", "NAK\n", "0001", "packfile\n", "\x03died"), false)
	f.Add(packets("shallow "+oid, "0000", "ACK "+oid+" common\n", "NAK\n", "\x01PACK", "0000"), true)
	f.Fuzz(func(t *testing.T, in string, old bool) {
		cfg := small()
		p := reader(in)
		raw := false
		var err error
		if old {
			_, raw, err = readOldAnswer(cfg, p, &advert{caps: map[string]string{"side-band-64k": ""}}, FetchRequest{Depth: 1})
		} else {
			_, err = readSections(cfg, p)
		}
		clean(t, err)
		if err != nil {
			return
		}
		pack := &packReader{cfg: cfg, p: p, raw: raw}
		n, err := io.Copy(io.Discard, pack)
		clean(t, err)
		if n > cfg.Limits.PackBytes+packBuffer || n > int64(len(in)) {
			t.Errorf("pack of %d bytes from %d", n, len(in))
		}
	})
}

func FuzzCookies(f *testing.F) {
	f.Add([]byte("# c\n.h\tTRUE\t/\tFALSE\t0\tn\tv\n#HttpOnly_h\tFALSE\t/\tTRUE\t9\tn\tv"))
	f.Fuzz(func(t *testing.T, in []byte) {
		cookies, err := parseCookies(bytes.NewReader(in))
		clean(t, err)
		for _, c := range cookies {
			if c.domain == "" || strings.ContainsAny(c.name+c.value, "\r\n;") {
				t.Errorf("cookie %+v", c)
			}
		}
	})
}

func FuzzAskpass(f *testing.F) {
	f.Add([]byte("username=a\npassword=b\n"))
	f.Add([]byte("password=a=b\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		user, password, err := parseAskpass(bytes.NewReader(in))
		clean(t, err)
		if err == nil && (password == "" || strings.ContainsAny(user+password, "\n")) {
			t.Errorf("parseAskpass = %q, %q", user, password)
		}
	})
}

func FuzzLocation(f *testing.F) {
	f.Add("https://u:p@h/x")
	f.Add("git@h:x")
	f.Add("file:///x")
	f.Fuzz(func(t *testing.T, in string) {
		loc, err := parseLocation(in)
		clean(t, err)
		if err != nil {
			return
		}
		if loc.password != "" && len(loc.password) > 3 && loc.password != "***" && strings.Contains(loc.String(), ":"+loc.password+"@") {
			t.Errorf("parseLocation(%q) shows the password: %s", in, loc)
		}
		if strings.HasPrefix(loc.host, "-") {
			t.Errorf("host %q", loc.host)
		}
	})
}
