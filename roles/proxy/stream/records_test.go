package stream

import (
	"bytes"
	"crypto/tls"
	"io"
	"testing"
)

// TestThisGoKeepsRecordsWhereWeLook fails when a new Go moves the memory of
// tls.Conn: nothing breaks then, but idle connections cost three times as much.
func TestThisGoKeepsRecordsWhereWeLook(t *testing.T) {
	if l := new(layout); !l.find() {
		t.Error("tls.Conn has no rawInput, input and hand of the known types")
	}
}

func TestReclaimedConnectionsReadOn(t *testing.T) {
	pool := new(Pool)
	outer, inner := connect(t, "tls")
	defer outer.Close()
	defer inner.Close()
	secured := inner.(*tls.Conn)
	wire := secured.NetConn().(*Conn)
	wire.pool = pool
	for _, size := range []int{1, 100, 5000, 16 << 10, 3, 200_000} {
		sent := random(size, uint64(size))
		go func() { _, _ = outer.Write(sent) }()
		got := make([]byte, size)
		for n := 0; n < size; {
			wire.Lend(secured, 1+n%recordSize)
			m, err := secured.Read(got[n:min(size, n+777)])
			if err != nil {
				t.Fatal(err)
			}
			n += m
			wire.Reclaim(secured)
		}
		if !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes came in differently", size)
		}
		raw, _, hand := pool.tls.of(secured)
		if raw.Len() == 0 && raw.Cap() > 0 || hand.Cap() > 0 {
			t.Errorf("after %d bytes tls.Conn holds %d and %d bytes; want none", size, raw.Cap(), hand.Cap())
		}
	}
}

func TestWhatIsNotReadYetIsNotReclaimed(t *testing.T) {
	outer, inner := connect(t, "tls")
	defer outer.Close()
	defer inner.Close()
	secured := inner.(*tls.Conn)
	wire := secured.NetConn().(*Conn)
	go func() { _, _ = outer.Write([]byte("hello world")) }()
	part := make([]byte, 5)
	wire.Lend(secured, 100)
	if _, err := io.ReadFull(secured, part); err != nil {
		t.Fatal(err)
	}
	if wire.Reclaim(secured); wire.lent == nil {
		t.Fatal("the memory was taken back while it held bytes")
	}
	rest := make([]byte, 6)
	if _, err := io.ReadFull(secured, rest); err != nil || string(part)+string(rest) != "hello world" {
		t.Errorf("read %q and %q, %v; want hello world", part, rest, err)
	}
	if wire.Reclaim(secured); wire.lent != nil {
		t.Error("the memory was not taken back when it was empty")
	}
}

// TestTwoConnectionsNeverShareMemory runs relays over one pool, with loads that
// differ in each.
func TestTwoConnectionsNeverShareMemory(t *testing.T) {
	pool := new(Pool)
	done := make(chan bool, 8)
	for i := range 8 {
		b := start(t, "tls", []string{"tls", "tcp"}[i%2], Options{Pool: pool})
		sent := random(1<<20+i, uint64(i))
		go func() {
			for p := sent; len(p) > 0; {
				n := min(len(p), 1+len(p)%9973)
				_, _ = b.client.Write(p[:n])
				p = p[n:]
			}
		}()
		go func() {
			got := make([]byte, len(sent))
			_, err := io.ReadFull(b.backend, got)
			done <- err == nil && bytes.Equal(got, sent)
		}()
	}
	for range 8 {
		if !<-done {
			t.Error("a stream did not arrive as sent")
		}
	}
}
