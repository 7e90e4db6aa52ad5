package tlsconf

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sidecar-kit/sidecar/internal/tlsconf/tlstest"
	"github.com/sidecar-kit/sidecar/internal/watch"
)

// told collects events.
type told struct {
	reloaded chan []string
	refused  chan error
	warned   chan []string
}

func newTold() (told, Events) {
	t := told{make(chan []string, 1000), make(chan error, 1000), make(chan []string, 1000)}
	return t, Events{
		Reloaded: func(p []string) { t.reloaded <- p }, Refused: func(err error) { t.refused <- err }, Warned: func(w []string) { t.warned <- w },
	}
}

func await[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(time.Minute):
		t.Fatalf("%s: nothing came", what)
		panic("unreachable")
	}
}

func run(t *testing.T, f *follower, fn func(context.Context) error) {
	f.again, f.retry = []time.Duration{time.Millisecond}, 50*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := fn(ctx); err != nil {
			t.Errorf("Run() = %v; want nil", err)
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
}

// TestNoHandshakeFailsInFiftySwaps swaps a volume as a kubelet does while clients connect, with new names and keys at each swap.
func TestNoHandshakeFailsInFiftySwaps(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	dir := t.TempDir()
	version := func() (*tlstest.Cert, map[string][]byte) {
		c := ca.Issue(tlstest.Want{})
		return c, map[string][]byte{"tls.crt": c.ChainPEM(), "tls.key": c.KeyPEM(), "ca.crt": ca.CertPEM()}
	}
	_, files := version()
	tlstest.Volume(t, dir, files)
	told, events := newTold()
	// The files are named one by one on purpose: that is how they could be read of two versions.
	s := mustServer(t, ServerOptions{
		Certs: []string{filepath.Join(dir, "tls.crt")}, Keys: []string{filepath.Join(dir, "tls.key")},
		ClientCA: []string{filepath.Join(dir, "ca.crt")}, Events: events,
	})
	s.files.watch = watch.New([]string{dir}, watch.Options{Settle: time.Millisecond, Safety: time.Hour})
	run(t, s.files, s.Run)
	ctx, cancel := context.WithCancel(t.Context())
	var failed, done atomic.Int64
	var clients sync.WaitGroup
	client := ca.Issue(tlstest.Want{}).TLS()
	for i := range 4 {
		config := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{client}}
		if i%2 == 0 {
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		}
		clients.Go(func() {
			for ctx.Err() == nil {
				if _, err, serr := handshake(s.Config(), config); err != nil || serr != nil {
					failed.Add(1)
					t.Errorf("handshake: client %v, server %v", err, serr)
				}
				done.Add(1)
			}
		})
	}
	for range 50 {
		c, files := version()
		tlstest.Volume(t, dir, files)
		for s.Certificates()[0].Serial != c.X509.SerialNumber.Text(16) {
			await(t, told.reloaded, "reload")
		}
	}
	cancel()
	clients.Wait()
	t.Logf("%d handshakes, %d failed", done.Load(), failed.Load())
	select {
	case err := <-told.refused:
		t.Errorf("a version was refused: %v", err)
	default:
	}
}

func TestBadContentKeepsTheLastGood(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	good, next := ca.Issue(tlstest.Want{}), ca.Issue(tlstest.Want{})
	dir := good.Files()
	told, events := newTold()
	s := mustServer(t, ServerOptions{Certs: []string{dir}, Events: events})
	s.files.watch = watch.New([]string{dir}, watch.Options{Settle: time.Millisecond, Safety: time.Hour})
	run(t, s.files, s.Run)
	tlstest.Write(t, filepath.Join(dir, "tls.key"), next.KeyPEM())
	if err := await(t, told.refused, "a key of another certificate"); err == nil {
		t.Error("Refused(nil); want an error")
	}
	if got := served(t, s, &tls.Config{ServerName: "localhost"}); got != serial(good) {
		t.Errorf("served %s; want the last good, %s", got, serial(good))
	}
	if err := os.Remove(filepath.Join(dir, "tls.crt")); err != nil {
		t.Fatal(err)
	}
	await(t, told.refused, "no certificate")
	tlstest.Write(t, filepath.Join(dir, "tls.crt"), next.ChainPEM())
	await(t, told.reloaded, "the certificate of the key")
	if got := served(t, s, &tls.Config{ServerName: "localhost"}); got != serial(next) {
		t.Errorf("served %s; want the new one, %s", got, serial(next))
	}
}

// TestOtherFilesOfAFolderAreNoNews: something else may be written beside the certificate, a log for one, every second.
func TestOtherFilesOfAFolderAreNoNews(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	good, next := ca.Issue(tlstest.Want{}), ca.Issue(tlstest.Want{})
	dir := good.Files()
	told, events := newTold()
	s := mustServer(t, ServerOptions{Certs: []string{dir}, Events: events})
	s.files.watch = watch.New([]string{dir}, watch.Options{Settle: time.Millisecond, Safety: time.Hour})
	run(t, s.files, s.Run)
	for i := range 20 {
		tlstest.Write(t, filepath.Join(dir, "log"), []byte{byte(i)})
		time.Sleep(2 * time.Millisecond)
	}
	tlstest.Write(t, filepath.Join(dir, "tls.key"), []byte("nonsense"))
	await(t, told.refused, "nonsense")
	tlstest.Write(t, filepath.Join(dir, "tls.key"), good.KeyPEM())
	await(t, told.reloaded, "what was there before")
	tlstest.Write(t, filepath.Join(dir, "tls.key"), next.KeyPEM(), next.ChainPEM())
	tlstest.Write(t, filepath.Join(dir, "tls.crt"), next.ChainPEM())
	await(t, told.reloaded, "another one")
	if n := len(told.reloaded); n > 1 {
		t.Errorf("%d more reloads; want none for other files", n)
	}
}

func TestClientFollowsItsFiles(t *testing.T) {
	ca, caTwo := tlstest.NewCA(t, "root"), tlstest.NewCA(t, "root")
	one, two := ca.Issue(tlstest.Want{}), caTwo.Issue(tlstest.Want{})
	caFile := tlstest.Write(t, filepath.Join(t.TempDir(), "ca"), ca.CertPEM())
	told, events := newTold()
	c, err := NewClient(ClientOptions{CA: []string{caFile}, ServerName: "localhost", Events: events})
	if err != nil {
		t.Fatal(err)
	}
	c.files.watch = watch.New([]string{caFile}, watch.Options{Settle: time.Millisecond, Safety: time.Hour})
	run(t, c.files, c.Run)
	config := c.Config()
	accepts := func(cert *tlstest.Cert) bool {
		_, err, _ := handshake(&tls.Config{Certificates: []tls.Certificate{cert.TLS()}}, c.Config())
		return err == nil
	}
	if !accepts(one) || accepts(two) || c.Config() != config {
		t.Error("the first CA: want one accepted, the other not, and the same configuration")
	}
	tlstest.Write(t, caFile, []byte("nonsense"))
	await(t, told.refused, "nonsense")
	tlstest.Write(t, caFile, caTwo.CertPEM())
	await(t, told.reloaded, "the second CA")
	if accepts(one) || !accepts(two) {
		t.Error("the second CA: want the other one accepted alone")
	}
}

func TestTicketKeysRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := newTickets()
		first := keys.all()[0]
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() { every(ctx, keys.due, keys.add) })
		time.Sleep(24*time.Hour - time.Second)
		if n := len(keys.all()); n != 1 {
			t.Errorf("%d keys after a day less a second; want 1", n)
		}
		time.Sleep(5*24*time.Hour + 2*time.Second)
		if all := keys.all(); len(all) != keepKeys || all[keepKeys-1] != first {
			t.Errorf("%d keys after six days; want %d, the first one last", len(all), keepKeys)
		}
		time.Sleep(2 * 24 * time.Hour)
		if all := keys.all(); len(all) != keepKeys || all[keepKeys-1] == first || all[0] == first {
			t.Errorf("%d keys after eight days; want %d, without the first one", len(all), keepKeys)
		}
		cancel()
		work.Wait()
	})
}

func TestWarningsAreRepeatedDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		var work sync.WaitGroup
		work.Go(func() { every(ctx, func() time.Duration { return daily }, func() { n++ }) })
		time.Sleep(49 * time.Hour)
		cancel()
		work.Wait()
		if n != 2 {
			t.Errorf("warned %d times in 49 hours; want 2", n)
		}
	})
}

func TestHalfWrittenFilesAreReadAgain(t *testing.T) {
	calls := 0
	f := newFollower(nil, Events{}, func() (bool, error) {
		if calls++; calls < 3 {
			return false, errors.New("half")
		}
		return true, nil
	})
	f.again = []time.Duration{1, 1}
	if _, err := f.try(t.Context()); err != nil || calls != 3 {
		t.Errorf("try() = %v after %d calls; want nil after 3", err, calls)
	}
}

// TestModesOfASecretAreNoNews: a kubelet gives keys 0644 unless it is told otherwise.
func TestModesOfASecretAreNoNews(t *testing.T) {
	cert := tlstest.NewCA(t, "root").Issue(tlstest.Want{})
	dir := t.TempDir()
	tlstest.Volume(t, dir, map[string][]byte{"tls.crt": cert.ChainPEM(), "tls.key": cert.KeyPEM()})
	if err := os.Chmod(filepath.Join(dir, "tls.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, o := range []ServerOptions{{Certs: []string{dir}}, {Certs: []string{filepath.Join(dir, "tls.crt")}, Keys: []string{filepath.Join(dir, "tls.key")}}} {
		if got := mustServer(t, o).Warnings(); len(got) > 0 {
			t.Errorf("Warnings() = %q; want none", got)
		}
	}
}
