package stream

import (
	"bytes"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func descriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// carry sends n bytes up and waits for them.
func (b *bench) carry(t *testing.T, n int) {
	t.Helper()
	sent := random(n, 3)
	go func() { _, _ = b.client.Write(sent) }()
	got := make([]byte, n)
	if _, err := io.ReadFull(b.backend, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes did not arrive as sent: %v", n, err)
	}
}

func TestARelayThatWaitsHoldsNoPipe(t *testing.T) {
	pool := new(Pool)
	var all []*bench
	for range 20 {
		all = append(all, start(t, "tcp", "tcp", Options{Pool: pool}))
	}
	before := descriptors(t)
	for _, b := range all {
		b.carry(t, 1<<20) // one after the other: they share a pipe or two
	}
	for range 100 {
		runtime.GC() // the pool forgets, and pipes are closed
		if descriptors(t) <= before {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if now := descriptors(t); now > before {
		t.Errorf("descriptors after bulk and collection = %d; want %d", now, before)
	}
	for _, b := range all {
		b.carry(t, 100<<10) // and all go on
	}
}

func TestBulkIsSplicedAndSmallTalkIsNot(t *testing.T) {
	f := flow{}
	for range bulkAfter {
		f.adapt(smallSize, smallSize)
	}
	if !f.bulk {
		t.Fatal("not bulk after full reads")
	}
	for range thinAfter {
		f.adapt(100, smallSize)
	}
	if f.bulk {
		t.Error("still bulk after thin bursts")
	}
	f.adapt(smallSize, smallSize)
	f.adapt(100, smallSize)
	f.adapt(smallSize, smallSize)
	if f.bulk {
		t.Error("bulk although the full reads were not in a row")
	}
}

func TestWithoutDescriptorsForPipesItCopies(t *testing.T) {
	b := start(t, "tcp", "tcp", Options{})
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	low := old
	low.Cur = 1
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &old) }()
	if p := new(Pool).getPipe(); p != nil {
		t.Fatal("got a pipe; the test is wrong")
	}
	b.carry(t, 4<<20)
}

func TestAPipeWithBytesInItIsNotUsedAgain(t *testing.T) {
	pool := new(Pool)
	p := pool.getPipe()
	p.left = 1
	pool.putPipe(p)
	if _, err := unix.FcntlInt(uintptr(p.r), unix.F_GETFD, 0); err == nil {
		t.Error("the pipe is still open")
	}
}

func TestAStuckReceiverLosesNothing(t *testing.T) {
	for _, kind := range []string{"tcp", "unix"} {
		b := start(t, kind, kind, Options{})
		sent := random(16<<20, 4)
		go func() {
			_, _ = b.client.Write(sent)
			closeWrite(b.client)
		}()
		time.Sleep(50 * time.Millisecond) // until buffers and pipe are full
		got, err := io.ReadAll(b.backend)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%s: received %d bytes, %v; want the %d sent", kind, len(got), err, len(sent))
		}
	}
}

func BenchmarkSmallTalk(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	pair := func() (net.Conn, net.Conn) {
		a, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		c, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		return a, c
	}
	client, inner := pair()
	backend, outer := pair()
	done := make(chan Result, 1)
	go func() { done <- Relay(b.Context(), inner, outer, Options{Pool: new(Pool)}) }()
	go func() { _, _ = io.Copy(backend, backend); backend.Close() }()
	buf := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = client.Write(buf)
		if _, err := io.ReadFull(client, buf); err != nil {
			b.Fatal(err)
		}
	}
	client.Close()
	<-done
}
