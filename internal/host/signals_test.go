package host

import (
	"context"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sidecar-kit/sidecar/internal/exit"
)

func fakeSignals() *Signals {
	return &Signals{stop: make(chan os.Signal, 8), hangup: make(chan os.Signal, 8)}
}

func TestUntilEndsAtTheFirstSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fakeSignals()
		time.AfterFunc(time.Second, func() { s.stop <- syscall.SIGINT })
		err := s.until(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		})
		if got := exit.Code(err); got != 130 {
			t.Errorf("Code(until) = %d (%v); want 130", got, err)
		}
		if err := s.until(t.Context(), func(context.Context) error { return nil }); err != nil {
			t.Errorf("until of a command that ends by itself = %v; want nil", err)
		}
	})
}

func TestForwardMergesHangups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fakeSignals()
		ctx, cancel := context.WithCancel(t.Context())
		out := s.forward(ctx, nil)
		for range 5 {
			s.hangup <- syscall.SIGHUP
		}
		synctest.Wait()
		<-out
		select {
		case <-out:
			t.Error("a second value waits; want the five merged into one")
		default:
		}
		s.hangup <- syscall.SIGHUP
		<-out
		cancel()
		synctest.Wait()
	})
}
