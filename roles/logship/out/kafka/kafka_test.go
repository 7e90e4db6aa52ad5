package kafka

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/link"
	"github.com/sidecar-kit/sidecar/roles/logship/out/outtest"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

func sink(t *testing.T, b *broker, change func(*Config)) *Sink {
	t.Helper()
	o := Config{Hosts: []string{b.Addr().String()}, Topic: "logs", ClientID: "sidecar"}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// files are events of several files, so that every partition has some.
func files(t *testing.T, s *Sink, n int) *out.Batch {
	b := &out.Batch{ID: "many"}
	for i := range n {
		f := &record.File{Path: fmt.Sprintf("/f%d", i%16), Input: "x", Gen: uint64(i%16) + 1}
		outtest.Append(t, s, b, outtest.Event(f, i))
	}
	return b
}

func TestEveryRecordIsStoredOnce(t *testing.T) {
	nth := func(codes ...int16) func(int) int16 {
		return func(n int) int16 {
			if n < len(codes) {
				return codes[n]
			}
			return 0
		}
	}
	for name, tt := range map[string]struct {
		codec    string
		fault    func(int) int16
		maxBytes int
	}{
		"plain": {}, "gzip": {codec: "gzip"}, "snappy": {codec: "snappy"},
		"no answer":          {fault: nth(-1, -1)},
		"no answer, snappy":  {fault: nth(0, -1, 0, -1), codec: "snappy"},
		"not the leader":     {fault: nth(6, 0, 19)},
		"older producer":     {fault: nth(47)},
		"too large":          {maxBytes: 9000},
		"too large for some": {maxBytes: 16000},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, &broker{partitions: 3, fault: tt.fault, maxBytes: tt.maxBytes})
			s := sink(t, b, func(o *Config) { o.Codec = tt.codec })
			for i := range 3 {
				batch := files(t, s, 400)
				batch.ID = fmt.Sprint(i)
				for k := range batch.Items {
					batch.Items[k].Offset += int64(i) * 1_000_000
				}
				if got := outtest.Deliver(t, s, batch, 40); got != 0 {
					t.Errorf("%d rejected; want 0", got)
				}
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			if len(b.stored) != 1200 {
				t.Errorf("%d records; want 1200", len(b.stored))
			}
			for id, n := range b.stored {
				if n != 1 {
					t.Fatalf("record %s is stored %d times; want once", id, n)
				}
			}
		})
	}
}

func TestFilesKeepTheirPartition(t *testing.T) {
	b := start(t, &broker{partitions: 3})
	s := sink(t, b, nil)
	outtest.Deliver(t, s, files(t, s, 320), 1)
	of := map[string]int{}
	for id, p := range b.where {
		gen, _, _ := strings.Cut(id, "-")
		if before, ok := of[gen]; ok && before != p {
			t.Fatalf("file %s is in the partitions %d and %d", gen, p, before)
		}
		of[gen] = p
	}
	used := map[int]bool{}
	for _, p := range of {
		used[p] = true
	}
	if len(of) != 16 || len(used) != 3 {
		t.Errorf("%d files in %d partitions; want 16 in 3", len(of), len(used))
	}
}

func TestKeys(t *testing.T) {
	b := start(t, &broker{partitions: 3})
	s := sink(t, b, func(o *Config) { o.Key = "%{team}" })
	outtest.Deliver(t, s, outtest.Batch(t, s, 0, 2), 1)
	for _, v := range b.values {
		if !strings.HasPrefix(v, `blue {"@timestamp":`) || !strings.HasSuffix(v, "}") {
			t.Errorf("record %q; want the key blue and the document", v)
		}
	}
	for text, want := range map[string]int32{"": 275646681, "21": 1173551340, "foobar": 1357151166, "a-little-bit-long-string": 1161502112} { // of Kafka's own tests
		if got := murmur2([]byte(text)); got != want {
			t.Errorf("murmur2(%q) = %d; want %d", text, got, want)
		}
	}
}

func TestLogin(t *testing.T) {
	b := start(t, &broker{partitions: 1, password: "pw"})
	for password, ok := range map[string]bool{"pw": true, "geheim": false} {
		s := sink(t, b, func(o *Config) { o.User, o.Password = "u", &link.Secret{Fixed: secret.New(password)} })
		err := s.Send(t.Context(), outtest.Batch(t, s, 0, 2))
		if (err == nil) != ok || err != nil && (out.AsFailure(err).How != out.Pause || strings.Contains(err.Error(), "geheim")) {
			t.Errorf("Send with %s = %v; want ok %t, or Pause", password, err, ok)
		}
	}
	s := sink(t, b, func(o *Config) {
		o.User, o.Password, o.Mechanism = "u", &link.Secret{Fixed: secret.New("pw")}, "SCRAM-SHA-256"
	})
	if err := s.Send(t.Context(), outtest.Batch(t, s, 0, 2)); err == nil || !strings.Contains(err.Error(), "it takes PLAIN") {
		t.Errorf("Send with SCRAM = %v; want what the broker takes", err)
	}
}

// TestScram is the example of RFC 7677.
func TestScram(t *testing.T) {
	m := &scram{hash: sha256.New, user: "user", password: "pencil", nonce: "rOprNGfwEbeRWgbNEkqO"}
	got, err := m.final("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
	want := "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	if err != nil || got != want || !m.proved("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") || m.proved("v=AAAA") {
		t.Errorf("final = %q, %v; want %q and the server's proof", got, err, want)
	}
	for _, bad := range []string{"", "r=x,s=AAAA,i=4096", "r=rOprNGfwEbeRWgbNEkqO,s=AAAA,i=4096", "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=1"} {
		if _, err := m.final(bad); err == nil {
			t.Errorf("final(%q) = nil; want an error", bad)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	pw := &link.Secret{Fixed: secret.New("pw")}
	for name, o := range map[string]Config{
		"no topic": {}, "topic": {Topic: "a b"}, "codec": {Topic: "a", Codec: "zip"}, "plain": {Topic: "a", User: "u", Password: pw}, "key": {Topic: "a", Key: "%q"},
	} {
		o.Hosts = []string{"kafka:9092"}
		if _, err := New(o); err == nil {
			t.Errorf("%s: New = nil; want an error", name)
		}
	}
}

// FuzzAnswer reads anything as an answer: it ends, and what is too short is an error.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 0, 1, 'a', 0xff, 0xff, 0, 0, 0, 0})
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		a := &answer{rest: data}
		n := 0
		a.each(func() { n += len(a.str()); n += len(a.bytes()); a.i64() })
		if n > len(data) || a.err != nil && len(a.rest) > 0 {
			t.Errorf("%d bytes read of %d, %v", n, len(data), a.err)
		}
	})
}

func TestErrorsHaveNames(t *testing.T) {
	for code, want := range map[int16]string{2: "corrupt message", 20: "not enough replicas after it was appended", 89: "quota exceeded", 99: "error 99", 9: "error 9"} {
		if err := judge(code); err == nil || err.Error() != want {
			t.Errorf("judge(%d) = %v; want %q", code, err, want)
		}
	}
	if judge(0) != nil || judge(46) != nil {
		t.Error("judge(0) and judge(46) have to be nil")
	}
}

// FuzzChallenge gives any challenge of a server: what is answered proves the password to nobody whose challenge does not begin with our nonce.
func FuzzChallenge(f *testing.F) {
	f.Add("r=abcd,s=AAAA,i=4096", "v=AAAA")
	f.Add("r=abc,s=,i=x", "")
	f.Fuzz(func(t *testing.T, challenge, reply string) {
		if strings.Contains(challenge, "i=") && !strings.Contains(challenge, "i=4096") {
			return // many rounds take long, and nothing else
		}
		m := &scram{hash: sha256.New, user: "u", password: "p", nonce: "abc"}
		got, err := m.final(challenge)
		if err == nil && (!strings.Contains(challenge, "r=abc") || !strings.HasPrefix(got, "c=biws,r=abc") || m.proved(reply)) {
			t.Errorf("final(%q) = %q", challenge, got)
		}
	})
}

// TestHalfABatchIsRememberedOnlyAsWhatItWas: another batch under the same name, or other partitions, must not inherit what is stored.
func TestHalfABatchIsRememberedOnlyAsWhatItWas(t *testing.T) {
	b := start(t, &broker{partitions: 3})
	s := sink(t, b, nil)
	p := <-s.turn
	one, other := files(t, s, 40), files(t, s, 40)
	p.leaders = []int{7, 7, 7}
	h := p.half(one, map[int]bool{1: true})
	if !h.same(p.half(other, nil)) {
		t.Error("the same events for the same partitions are another batch")
	}
	other.Items[39].Offset++
	if h.same(p.half(other, nil)) || h.same(p.half(one.Sub([]int{1, 2}, ""), nil)) {
		t.Error("other events are the same batch")
	}
	p.leaders = append(p.leaders, 7)
	if h.same(p.half(one, nil)) {
		t.Error("the same events for other partitions are the same batch")
	}
	s.turn <- p
}
