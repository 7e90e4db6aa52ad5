package remote

import (
	"bytes"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

const oid = "0123456789012345678901234567890123456789"

func reader(s string) *packetReader { return newPacketReader(strings.NewReader(s), 16) }

func packets(lines ...string) string {
	var b []byte
	for _, l := range lines {
		switch l {
		case "0000", "0001", "0002":
			b = append(b, l...)
		default:
			b = appendPacket(b, l)
		}
	}
	return string(b)
}

func TestLocations(t *testing.T) {
	for _, c := range []struct{ in, want, path string }{
		{"https://h/a/b.git", "https://h/a/b.git", "/a/b.git"},
		{"HTTPS://u:p@h:8443/a", "https://u:***@h:8443/a", "/a"},
		{"https://token@h/a", "https://***@h/a", "/a"},
		{"ssh://git@h:22/a", "ssh://git@h:22/a", "/a"},
		{"ssh://h/~me/a", "ssh://h/~me/a", "~me/a"},
		{"git@h:a/b", "ssh://git@h/a/b", "a/b"},
		{"h:/a", "ssh://h/a", "/a"},
		{"git://h/a", "git://h/a", "/a"},
		{"file:///a/../b", "/b", "/b"},
		{"/srv/repo/", "/srv/repo", "/srv/repo"},
	} {
		loc, err := parseLocation(c.in)
		if err != nil || loc.String() != c.want || loc.path != c.path {
			t.Errorf("parseLocation(%q) = %s path %q, %v; want %s path %q", c.in, loc, loc.path, err, c.want, c.path)
		}
	}
	for _, in := range []string{
		"", "repo", "./repo", "git://h/a%00host=x", "ssh://h/a%0ab", "ext::sh -c x", "https://", "ftp://h/x", "ssh://-oProxy/x", "-h:x", "h:-x", "a\nb:c",
		"file://elsewhere/x", "https://me:s3cret@h:port/x", "ssh://h",
	} {
		if _, err := parseLocation(in); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "--repo") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("parseLocation(%q) = %v; want ErrConfig naming --repo", in, err)
		}
	}
}

func TestAdverts(t *testing.T) {
	cfg := Config{}.withDefaults()
	a, err := readAdvert(cfg, reader(packets("# service=git-upload-pack\n", "0000", "version 2\n", "agent=x\n", "ls-refs=unborn\n", "fetch=shallow filter\n", "0000")))
	if err != nil || a.version != 2 || !a.can("filter") || a.can("sideband-all") {
		t.Errorf("version 2 = %+v, %v", a, err)
	}
	a, err = readAdvert(cfg, reader(packets("version 1\n", oid+" HEAD\x00thin-pack symref=HEAD:refs/heads/main agent=x", oid+" refs/heads/main\n", oid+" refs/tags/v\n", strings.Repeat("a", 40)+" refs/tags/v^{}\n", "0000")))
	if err != nil || len(a.refs) != 3 || a.refs[0].Target != "refs/heads/main" || a.refs[2].Peeled.String() != strings.Repeat("a", 40) {
		t.Errorf("version 1 = %+v, %v", a, err)
	}
	a, err = readAdvert(cfg, reader(packets(strings.Repeat("0", 40)+" capabilities^{}\x00thin-pack", "0000")))
	if err != nil || len(a.refs) != 0 {
		t.Errorf("empty repository = %+v, %v; want no refs", a, err)
	}
	for _, c := range []struct {
		in   string
		want error
	}{
		{"", ErrProtocol},
		{"zzzz", ErrProtocol},
		{packets("version 2\n", "fetch\n", "0000"), ErrProtocol},
		{packets("version 2\n", "ls-refs\n", "fetch\n"), io.EOF},
		{packets("version 2\n", "object-format=sha256\n", "ls-refs", "fetch", "0000"), ErrUnsupported},
		{packets("ERR access denied or repository not exported: /x"), ErrNotFound},
		{packets(strings.Repeat("a", 64)+" HEAD\x00", "0000"), ErrUnsupported},
		{packets(oid+" refs/heads/a\x1bb\x00", "0000"), ErrProtocol},
	} {
		if _, err := readAdvert(cfg, reader(c.in)); !errors.Is(err, c.want) {
			t.Errorf("readAdvert(%q) = %v; want %v", c.in, err, c.want)
		}
	}
}

func TestFetchSections(t *testing.T) {
	cfg := Config{}.withDefaults()
	in := packets("acknowledgments\n", "ACK "+oid+"\n", "ready\n", "0001", "shallow-info\n", "shallow "+oid, "unshallow "+oid, "0001", "wanted-refs\n", oid+" refs/x\n", "0001", "packfile\n")
	resp, err := readSections(cfg, reader(in))
	if err != nil || len(resp.Shallow) != 1 || len(resp.Unshallow) != 1 {
		t.Errorf("readSections = %+v, %v", resp, err)
	}
	for in, want := range map[string]error{
		packets("packfile-uris\n", "x", "0001"):          ErrUnsupported,
		packets("strange\n"):                             ErrProtocol,
		packets("acknowledgments\n", "NAK\n", "0000"):    ErrProtocol,
		packets("shallow-info\n", "deeper "+oid):         ErrProtocol,
		packets("shallow-info\n", "ERR planted"):         ErrServer,
		packets("ERR upload-pack: not our ref " + oid):   ErrWant,
		packets("0000"):                                  ErrProtocol,
		packets("shallow-info\n", "shallow "+oid) + "00": io.ErrUnexpectedEOF,
	} {
		if _, err := readSections(cfg, reader(in)); !errors.Is(err, want) {
			t.Errorf("readSections(%q) = %v; want %v", in, err, want)
		}
	}
}

func TestOldAnswers(t *testing.T) {
	cfg := Config{}.withDefaults()
	a := &advert{caps: map[string]string{"side-band-64k": "", "shallow": ""}}
	req := FetchRequest{Depth: 1, Haves: []Hash{{1}}}
	in := packets("shallow "+oid, "0000", "ACK "+oid+" common\n", "ACK "+oid+" ready\n", "ACK "+oid+"\n")
	resp, raw, err := readOldAnswer(cfg, reader(in), a, req)
	if err != nil || raw || len(resp.Shallow) != 1 {
		t.Errorf("readOldAnswer = %+v, %v, %v", resp, raw, err)
	}
	if _, raw, err := readOldAnswer(cfg, reader(packets("NAK\n")), &advert{}, FetchRequest{}); err != nil || !raw {
		t.Errorf("answer without sideband = raw %v, %v; want raw", raw, err)
	}
	if _, _, err := readOldAnswer(cfg, reader(strings.Repeat(packets("ACK "+oid+" common\n"), 100)), a, FetchRequest{}); !errors.Is(err, ErrLimit) {
		t.Errorf("endless acknowledgments = %v; want ErrLimit", err)
	}
}

func TestPackReaderGivesTheSameBytesBothWays(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789"), 20_000)
	var in []byte
	for i, rest := 0, want; len(rest) > 0; i++ {
		n := min(len(rest), []int{1, 65515, 5, 4096}[i%4])
		in = appendPacket(in, "\x01", string(rest[:n]))
		in = appendPacket(in, "\x02progress")
		rest = rest[n:]
	}
	in = append(appendPacket(in, "\x01"), "0000"...)
	for name, read := range map[string]func(io.Reader) ([]byte, error){
		"Read": func(r io.Reader) ([]byte, error) { return io.ReadAll(struct{ io.Reader }{r}) },
		"WriteTo": func(r io.Reader) ([]byte, error) {
			var b bytes.Buffer
			_, err := io.Copy(&b, r)
			return b.Bytes(), err
		},
	} {
		k := &packReader{cfg: Config{}.withDefaults(), p: newPacketReader(bytes.NewReader(in), packBuffer)}
		got, err := read(k)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s = %d bytes, %v; want %d", name, len(got), err, len(want))
		}
		k = &packReader{cfg: Config{}.withDefaults(), p: newPacketReader(bytes.NewReader(in[:len(in)-2]), packBuffer)}
		if _, err := read(k); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s of a cut stream = %v; want ErrUnexpectedEOF", name, err)
		}
	}
}

func TestServerTextIsCutAndEscaped(t *testing.T) {
	cfg := Config{Redact: func(s string) string { return strings.ReplaceAll(s, "pw", "***") }}
	got := cfg.quote("a\x00b\x1b[1m pw\n" + strings.Repeat("x", 5000))
	if !strings.HasPrefix(got, `a\u0000b\u001b[1m *** xxx`) || len(got) > errorTextCap+100 {
		t.Errorf("quote = %.60q of %d bytes", got, len(got))
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Duration{
		"": 0, "x": 0, "-5": 0, "30": 30 * time.Second, "99999999999": time.Hour,
		"Thu, 01 Jan 2026 00:01:00 GMT": time.Minute, "Thu, 01 Jan 2020 00:01:00 GMT": 0,
	} {
		if got := retryAfter(in, now); got != want {
			t.Errorf("retryAfter(%q) = %v; want %v", in, got, want)
		}
	}
}

func TestCookies(t *testing.T) {
	file := "# Netscape HTTP Cookie File\n\n.example.com\tTRUE\t/repo\tTRUE\t0\ta\t1\n#HttpOnly_git.example.com\tFALSE\t/\tFALSE\t4102444800\tb\t2\nold.example.com\tFALSE\t/\tFALSE\t1\tc\t3\n"
	cookies, err := parseCookies(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{
		"https://git.example.com/repo/x": "ab", "https://git.example.com/repository": "b", "http://git.example.com/repo": "b",
		"https://example.com/repo": "a", "https://badexample.com/repo": "", "http://old.example.com/": "",
	} {
		u, _ := url.Parse(at)
		got := ""
		for _, c := range cookies {
			if c.matches(u, time.Unix(2_000_000_000, 0)) {
				got += c.name
			}
		}
		if got != want {
			t.Errorf("cookies for %s = %q; want %q", at, got, want)
		}
	}
	for _, bad := range []string{"a b c", "h\tyes\t/\tTRUE\t0\tn\tv", "h\tTRUE\tx\tTRUE\t0\tn\tv", "h\tTRUE\t/\tTRUE\tsoon\tn\tv", "\tTRUE\t/\tTRUE\t0\tn\tsecretvalue"} {
		if _, err := parseCookies(strings.NewReader(bad)); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "line 1") || strings.Contains(err.Error(), "secretvalue") {
			t.Errorf("parseCookies(%q) = %v; want ErrConfig with the line", bad, err)
		}
	}
}

func TestHostKeys(t *testing.T) {
	newKey := func() ssh.PublicKey { return testKey(t) }
	known, other := newKey(), newKey()
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(file, []byte("[h]:2222 "+string(ssh.MarshalAuthorizedKey(known))), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{SSHKnownHosts: true, SSHKnownHostsFile: file}
	trust, err := newHostTrust(cfg, "h:2222")
	if err != nil {
		t.Fatal(err)
	}
	if len(trust.algorithms) == 0 || trust.algorithms[0] != ssh.KeyAlgoED25519 || !slices.Contains(trust.algorithms, ssh.KeyAlgoRSASHA512) {
		t.Errorf("algorithms = %v; want ed25519 first", trust.algorithms)
	}
	if err := trust.check("h:2222", fakeAddr{}, known); err != nil {
		t.Errorf("check of the known key = %v", err)
	}
	for _, c := range []struct{ addr, words string }{{"h:2222", "lists another key"}, {"x:22", "is not in"}} {
		err := trust.check(c.addr, fakeAddr{}, other)
		if !errors.Is(err, ErrHostKey) || !strings.Contains(err.Error(), c.words) || !strings.Contains(err.Error(), ssh.FingerprintSHA256(other)) {
			t.Errorf("check of another key for %s = %v; want ErrHostKey with %q and the fingerprint", c.addr, err, c.words)
		}
	}
	cfg.SSHKnownHostsFile = file + ".missing"
	if _, err := newHostTrust(cfg, "h:2222"); !errors.Is(err, ErrHostKey) || !strings.Contains(err.Error(), "--ssh-known-hosts-file") {
		t.Errorf("missing file = %v; want ErrHostKey naming the flag", err)
	}
}

func TestKeyFilesThatCannotWork(t *testing.T) {
	dir := t.TempDir()
	locked, junk := filepath.Join(dir, "locked"), filepath.Join(dir, "junk")
	writeLockedKey(t, locked)
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, words := range map[string]string{locked: "passphrase", junk: "not a private key", dir + "/none": "no such file"} {
		if _, err := readKeys([]string{path}); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "--ssh-key-file") {
			t.Errorf("readKeys(%s) = %v; want ErrConfig with %q", filepath.Base(path), err, words)
		}
	}
}

func TestShellQuote(t *testing.T) {
	if got, want := shellQuote("/a'b!c"), `'/a'\''b'\!'c'`; got != want {
		t.Errorf("shellQuote = %s; want %s", got, want)
	}
}
