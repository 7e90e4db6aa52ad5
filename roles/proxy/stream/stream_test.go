package stream

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

func random(n int, seed uint64) []byte {
	b := make([]byte, n)
	c := rand.NewChaCha8([32]byte{byte(seed)})
	_, _ = c.Read(b)
	return b
}

func TestBytesArriveInBothDirectionsOverAllKindsOfLegs(t *testing.T) {
	const size = 3 << 20
	for _, from := range kinds {
		for _, to := range kinds {
			t.Run(from+"-"+to, func(t *testing.T) {
				var c Counters
				b := start(t, from, to, Options{Counters: &c})
				up, down := random(size, 1), random(size+12345, 2)
				var wg sync.WaitGroup
				send := func(c net.Conn, p []byte) {
					for len(p) > 0 {
						n, err := c.Write(p[:min(len(p), 1+rand.IntN(200_000))])
						if err != nil {
							t.Errorf("write = %v", err)
							return
						}
						p = p[n:]
					}
					closeWrite(c)
				}
				receive := func(c net.Conn, want []byte) {
					got, err := io.ReadAll(c)
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("received %d bytes, %v; want the %d sent", len(got), err, len(want))
					}
				}
				wg.Go(func() { send(b.client, up) })
				wg.Go(func() { send(b.backend, down) })
				wg.Go(func() { receive(b.backend, up) })
				wg.Go(func() { receive(b.client, down) })
				wg.Wait()
				r := b.end(t)
				if r.Err != nil || r.Up != int64(len(up)) || r.Down != int64(len(down)) {
					t.Errorf("result = %+v; want no error, %d up, %d down", r, len(up), len(down))
				}
				if c.Up.Load() != r.Up || c.Down.Load() != r.Down {
					t.Errorf("counters = %d, %d; want those of the result", c.Up.Load(), c.Down.Load())
				}
			})
		}
	}
}

func TestACleanEndOfOneDirectionLeavesTheOtherOneOpen(t *testing.T) {
	for _, from := range kinds {
		for _, to := range kinds {
			t.Run(from+"-"+to, func(t *testing.T) {
				b := start(t, from, to, Options{})
				_, _ = b.client.Write([]byte("question"))
				closeWrite(b.client)
				if got, err := io.ReadAll(b.backend); string(got) != "question" || err != nil {
					t.Fatalf("backend read %q, %v; want all and a clean end", got, err)
				}
				_, _ = b.backend.Write([]byte("answer"))
				closeWrite(b.backend)
				if got, err := io.ReadAll(b.client); string(got) != "answer" || err != nil {
					t.Errorf("client read %q, %v; want all and a clean end", got, err)
				}
				if r := b.end(t); r.Err != nil || r.Ended != ByClient {
					t.Errorf("result = %+v; want ended by the client, no error", r)
				}
			})
		}
	}
}

func TestAResetIsPassedOnAsAReset(t *testing.T) {
	for _, from := range []string{"tcp", "tls"} {
		for _, to := range []string{"tcp", "tls"} {
			b := start(t, from, to, Options{})
			_, _ = b.backend.Write([]byte("half of it"))
			half := make([]byte, 10)
			if _, err := io.ReadFull(b.client, half); err != nil {
				t.Fatal(err)
			}
			reset(b.backend)
			if _, err := b.client.Read(half); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s-%s: client read %v; want a reset", from, to, err)
			}
			if r := b.end(t); r.Ended != ByBackend || r.Err == nil {
				t.Errorf("%s-%s: result = %+v; want ended by the backend, with an error", from, to, r)
			}
		}
	}
}

func TestTheBackendLearnsThatTheClientIsGoneInTheMiddle(t *testing.T) {
	b := start(t, "tcp", "tcp", Options{})
	reset(b.client)
	var buf [1]byte
	if _, err := b.backend.Read(buf[:]); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("backend read %v; want a reset", err)
	}
	b.end(t)
}

func TestTLSWithoutCloseNotifyIsAnAbort(t *testing.T) {
	for _, lenient := range []bool{false, true} {
		b := start(t, "tls", "tcp", Options{LenientTLS: lenient})
		_, _ = b.client.Write([]byte("torn"))
		_ = socket(b.client).CloseWrite()
		got, err := io.ReadAll(b.backend)
		if string(got) != "torn" || errors.Is(err, syscall.ECONNRESET) == lenient {
			t.Errorf("lenient = %v: backend read %q, %v; want what was sent, and a reset unless lenient", lenient, got, err)
		}
		b.backend.Close()
		if r := b.end(t); lenient == errors.Is(r.Err, ErrTruncated) {
			t.Errorf("lenient = %v: result = %+v", lenient, r)
		}
	}
}

func TestASilentHalfOfAStreamIsCutAndTrafficExtendsIt(t *testing.T) {
	b := start(t, "tcp", "tcp", Options{HalfIdle: time.Second})
	closeWrite(b.client)
	begin := time.Now()
	for range 10 {
		time.Sleep(150 * time.Millisecond) // 1.5 s in all
		if _, err := b.backend.Write([]byte("x")); err != nil {
			t.Fatalf("write after %v = %v; traffic should keep it open", time.Since(begin), err)
		}
	}
	got, err := io.ReadAll(b.client)
	if len(got) != 10 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("client read %d bytes, %v; want 10 and a reset, because the rest never came", len(got), err)
	}
	if r := b.end(t); r.Ended != ByClient || !errors.Is(r.Err, errIdle) {
		t.Errorf("result = %+v; want the end of the client first, then silence", r)
	}
}

func TestASilentStreamIsCutWhenAsked(t *testing.T) {
	b := start(t, "tcp", "tls", Options{Idle: 100 * time.Millisecond})
	if _, err := io.ReadAll(b.client); err != nil {
		t.Errorf("client read %v; want a clean end", err)
	}
	if r := b.end(t); r.Ended != ByIdle {
		t.Errorf("result = %+v; want ended by silence", r)
	}
}

func TestTheEndOfTheContextCutsAtOnce(t *testing.T) {
	for _, kind := range kinds {
		b := start(t, kind, kind, Options{})
		_, _ = b.client.Write([]byte("x"))
		_, _ = b.backend.Read(make([]byte, 1))
		b.cancel(errors.New("enough"))
		if r := b.end(t); r.Ended != ByContext || r.Up != 1 {
			t.Errorf("%s: result = %+v; want ended by the context", kind, r)
		}
		if _, err := b.client.Read(make([]byte, 1)); err == nil || errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: client read %v; want an end without reset", kind, err)
		}
	}
}

func TestTheEndOfTheContextCutsAStreamThatIsStuck(t *testing.T) {
	b := start(t, "tcp", "tcp", Options{})
	_ = b.client.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	for {
		if _, err := b.client.Write(make([]byte, 1<<20)); err != nil {
			break // nobody reads at the other end
		}
	}
	b.cancel(errors.New("enough"))
	if r := b.end(t); r.Ended != ByContext {
		t.Errorf("result = %+v; want ended by the context", r)
	}
}

func TestCountersMoveWhileTheStreamIsOpen(t *testing.T) {
	var c Counters
	b := start(t, "tcp", "tcp", Options{Counters: &c})
	_, _ = b.client.Write([]byte("12345"))
	if _, err := io.ReadFull(b.backend, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if c.Up.Load() == 5 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("up = %d; want 5", c.Up.Load())
}

func TestBytesReadAheadGoFirst(t *testing.T) {
	b := start(t, "tcp", "tls", Options{AheadUp: []byte("one "), AheadDown: []byte("eins ")})
	_, _ = b.client.Write([]byte("two"))
	_, _ = b.backend.Write([]byte("zwei"))
	closeWrite(b.client)
	closeWrite(b.backend)
	up, _ := io.ReadAll(b.backend)
	down, _ := io.ReadAll(b.client)
	if string(up) != "one two" || string(down) != "eins zwei" {
		t.Errorf("up %q, down %q; want what was read ahead first", up, down)
	}
	if r := b.end(t); r.Up != 7 || r.Down != 9 {
		t.Errorf("result = %+v; want 7 up, 9 down", r)
	}
}

func TestWhatABackendSaysBeforeItBreaksArrives(t *testing.T) {
	// It answers early, does not read the rest, and closes: an RST behind data.
	b := start(t, "tcp", "tcp", Options{})
	_, _ = b.client.Write(make([]byte, 100_000))
	_, _ = io.ReadFull(b.backend, make([]byte, 10))
	_, _ = b.backend.Write([]byte("413 too large"))
	b.backend.Close()
	got := make([]byte, 13)
	if _, err := io.ReadFull(b.client, got); err != nil || string(got) != "413 too large" {
		t.Errorf("client read %q, %v; want the early answer", got, err)
	}
	b.client.Close()
	b.end(t)
}

// unknown hides what a connection is.
type unknown struct{ net.Conn }

func TestAConnectionOfUnknownKindIsRelayed(t *testing.T) {
	a, inner := net.Pipe()
	c, outer := net.Pipe()
	done := make(chan Result, 1)
	go func() { done <- Relay(t.Context(), unknown{inner}, outer, Options{}) }()
	go func() { _, _ = a.Write([]byte("hello")); a.Close() }()
	if got, err := io.ReadAll(c); string(got) != "hello" || err != nil {
		t.Errorf("read %q, %v; want hello", got, err)
	}
	if r := <-done; r.Up != 5 {
		t.Errorf("result = %+v; want 5 up", r)
	}
}

// writes counts the system calls that a connection would make.
type writes struct {
	net.Conn
	n int
}

func (w *writes) Write(p []byte) (int, error) { w.n++; return len(p), nil }

func TestCorkedRecordsGoOutAtOnceAndHoldNoMemoryAfterwards(t *testing.T) {
	w := new(writes)
	c := Coalesce(w, nil)
	c.Cork()
	for range 8 {
		_, _ = c.Write(make([]byte, 16<<10))
	}
	if err := c.Flush(); err != nil || w.n != 1 || c.held != nil {
		t.Errorf("Flush = %v after %d writes, held = %v; want nil, 1, nothing", err, w.n, c.held)
	}
	_, _ = c.Write([]byte("x"))
	if w.n != 2 {
		t.Errorf("writes without Cork = %d; want 2", w.n)
	}
	c.Cork()
	for range 9 {
		_, _ = c.Write(make([]byte, 16<<10))
	}
	_ = c.Flush()
	if w.n > 4 {
		t.Errorf("writes of more than fits = %d; want 2 more at most", w.n)
	}
}
