package lease

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/roles/cron/lease/leasetest"
)

// replica competes until it is stopped.
type replica struct {
	*Elector
	terms chan Term
	log   strings.Builder
	stop  func()
}

// join starts a replica; lead waits for the end of the term.
func join(t *testing.T, s *leasetest.Server, name string, fault func(*http.Request) leasetest.Fault) *replica {
	t.Helper()
	r := &replica{terms: make(chan Term, 100)}
	e, err := New(Options{
		Name: "jobs", Namespace: "default", Identity: name, Server: "http://fake", Account: t.TempDir(),
		Client: s.Client(fault), Log: zerolog.New(&r.log),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Elector = e
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		e.Run(ctx, func(ctx context.Context, term Term) {
			r.terms <- term
			<-ctx.Done()
		})
	})
	r.stop = func() { cancel(); done.Wait() }
	return r
}

func (r *replica) leads() bool { _, ok := r.Held(time.Now()); return ok }

func TestHandOverTakesLessThanASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s leasetest.Server
		a := join(t, &s, "a", nil)
		first := <-a.terms
		b := join(t, &s, "b", nil)
		time.Sleep(time.Minute)
		instant := time.Now().Truncate(time.Second)
		if err := a.Claim(t.Context(), instant); err != nil || b.leads() || b.Holder() != "a" || first.Fence != 1 || !first.Last.IsZero() {
			t.Errorf("Claim = %v with holder %q in term %+v", err, b.Holder(), first)
		}
		began := time.Now()
		a.stop()
		second := <-b.terms
		if took := time.Since(began); took > time.Second || second.Fence != 2 || !second.Last.Equal(instant) {
			t.Errorf("hand-over after %s to term %+v; want less than 1 s, fence 2, last %s", took, second, instant)
		}
		if err := b.Claim(t.Context(), instant); !errors.Is(err, ErrClaimed) {
			t.Errorf("second Claim of an instant = %v; want ErrClaimed", err)
		}
		if err := a.Claim(t.Context(), instant.Add(time.Second)); !errors.Is(err, ErrNotLeader) {
			t.Errorf("Claim of who stopped = %v; want ErrNotLeader", err)
		}
		b.stop()
	})
}

// TestLeaderThatIsCutOffStopsFirst shows both deadlines: 10 s after its last renewal was sent the old one stops, 15 s after it was seen the new one begins.
func TestLeaderThatIsCutOffStopsFirst(t *testing.T) {
	for name, fault := range map[string]leasetest.Fault{
		"refused": {Refuse: true}, "answers are slow": {After: 4 * time.Second}, "stalled": {Before: time.Hour}, "server error": {Status: 503},
		"not allowed": {Status: 403}, "late": {After: time.Hour}, "garbage": {Body: "<html>"}, "huge": {Body: strings.Repeat("x", bodyLimit+9)},
		"another shape": {Body: `{"kind":"Lease","metadata":[]}`}, "null": {Body: "null"}, "empty": {Body: "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s leasetest.Server
				var mu sync.Mutex
				cut := false
				a := join(t, &s, "a", func(*http.Request) leasetest.Fault {
					mu.Lock()
					defer mu.Unlock()
					if cut {
						return fault
					}
					return leasetest.Fault{}
				})
				<-a.terms
				b := join(t, &s, "b", nil)
				time.Sleep(20 * time.Second)
				mu.Lock()
				cut = true
				mu.Unlock()
				stopped, began := time.Time{}, time.Now()
				for time.Since(began) < 50*time.Second {
					time.Sleep(10 * time.Millisecond)
					if a.leads() && b.leads() {
						t.Fatal("two leaders")
					}
					if !a.leads() && stopped.IsZero() {
						stopped = time.Now()
						if err := a.Claim(t.Context(), time.Now()); !errors.Is(err, ErrNotLeader) {
							t.Errorf("Claim after the deadline = %v; want ErrNotLeader", err)
						}
					}
				}
				// What was done without an answer renews the Lease for others, but never for its holder. An answer within the time of a request counts.
				if slow := name == "answers are slow"; slow == !stopped.IsZero() || !slow && stopped.Sub(began) > 10*time.Second {
					t.Errorf("stopped leading after %s", stopped.Sub(began))
				}
				a.stop()
				b.stop()
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

// TestClaimWithALostAnswerStands, and the Lease is held from when the claim was first sent, not from when the answer came.
func TestClaimWithALostAnswerStands(t *testing.T) {
	for name, fault := range map[string]leasetest.Fault{
		"dropped": {Drop: true}, "injected conflict": {Status: 409}, "unavailable": {Status: 503}, "slow down": {Status: 429, RetryAfter: "1"},
		"stalled, then done": {Before: 7 * time.Second}, "garbage": {Body: "<html>"}, "refused": {Refuse: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s leasetest.Server
				var mu sync.Mutex
				faults := 0
				a := join(t, &s, "a", func(r *http.Request) leasetest.Fault {
					mu.Lock()
					defer mu.Unlock()
					if faults--; faults >= 0 && r.Method == http.MethodPut {
						return fault
					}
					return leasetest.Fault{}
				})
				<-a.terms
				instant := time.Now().Truncate(time.Second).Add(time.Second)
				mu.Lock()
				faults = 1
				mu.Unlock()
				sent := time.Now()
				if err := a.Claim(t.Context(), instant); err != nil {
					t.Errorf("Claim = %v; want it to stand", err)
				}
				if _, ok := a.Held(sent.Add(10 * time.Second)); ok && name == "dropped" {
					t.Error("held 10 s after the write was sent; want the time of the first try to count")
				}
				if !strings.Contains(s.Lease("default", "jobs"), instant.UTC().Format(time.RFC3339)) {
					t.Errorf("%s is not in %s", instant, s.Lease("default", "jobs"))
				}
				a.stop()
				time.Sleep(time.Minute)
			})
		})
	}
}

func TestOthersMayTouchTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s leasetest.Server
		a := join(t, &s, "a", nil)
		<-a.terms
		s.Edit("default", "jobs", func(l map[string]any) { l["metadata"].(map[string]any)["labels"] = map[string]any{"team": "x"} })
		instant := time.Now().Truncate(time.Second).Add(time.Hour)
		if err := a.Claim(t.Context(), instant); err != nil {
			t.Errorf("Claim after a label = %v", err)
		}
		time.Sleep(time.Minute)
		if l := s.Lease("default", "jobs"); !strings.Contains(l, `"team":"x"`) || !a.leads() {
			t.Errorf("leads = %v with %s; want the label kept", a.leads(), l)
		}
		// A Lease that is deleted comes back with what is known of it.
		s.Delete("default", "jobs")
		if term := <-a.terms; term.Fence != 2 || !term.Last.Equal(instant) {
			t.Errorf("term after a deletion = %+v; want fence 2 and last %s", term, instant)
		}
		// Taken away by hand.
		s.Edit("default", "jobs", func(l map[string]any) { l["spec"].(map[string]any)["holderIdentity"] = "somebody" })
		if err := a.Claim(t.Context(), instant.Add(time.Second)); !errors.Is(err, ErrNotLeader) || a.leads() {
			t.Errorf("Claim = %v; want ErrNotLeader", err)
		}
		began := time.Now()
		if term := <-a.terms; term.Fence != 3 || time.Since(began) < 15*time.Second {
			t.Errorf("term %+v after %s; want the next after 15 s", term, time.Since(began))
		}
		a.stop()
	})
}

// TestSameIdentity is a mistake in a manifest. Both lead in turn, but no instant is claimed twice.
func TestSameIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s leasetest.Server
		a, b := join(t, &s, "same", nil), join(t, &s, "same", nil)
		claimed := map[time.Time]bool{}
		for range 60 {
			time.Sleep(time.Second)
			instant := time.Now().Truncate(time.Second)
			for _, r := range []*replica{a, b} {
				if r.Claim(t.Context(), instant) == nil {
					if claimed[instant] {
						t.Errorf("%s claimed twice", instant)
					}
					claimed[instant] = true
				}
			}
		}
		a.stop()
		b.stop()
		if len(claimed) == 0 {
			t.Error("nothing was claimed")
		}
	})
}

func TestWhatIsLogged(t *testing.T) {
	tests := []struct {
		fault leasetest.Fault
		want  string
	}{
		{leasetest.Fault{Status: 403}, "verbs: [get, create, update]} in namespace default"},
		{leasetest.Fault{Status: 401}, "/token mounted?"},
		{leasetest.Fault{Status: 500}, `500 Internal Server Error: \"injected\"`},
		{leasetest.Fault{Body: "<html>"}, "not a Lease"},
		{leasetest.Fault{Body: strings.Repeat(" ", bodyLimit+1)}, "larger than 1 MiB"},
		{leasetest.Fault{Body: `{"kind":"Lease","metadata":{"resourceVersion":"1","annotations":{"` + annotation + `":"soon"}}}`}, `\"soon\": want a time such as`},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			var s leasetest.Server
			a := join(t, &s, "a", func(*http.Request) leasetest.Fault { return tt.fault })
			time.Sleep(time.Minute)
			a.stop()
			if log := a.log.String(); strings.Count(log, `"warn"`) != 1 || !strings.Contains(log, tt.want) {
				t.Errorf("logged:\n%s\nwant one warning with %s", log, tt.want)
			}
		})
	}
}

// TestOverTLS uses a real connection, with authority and token as a pod has them.
func TestOverTLS(t *testing.T) {
	s := leasetest.Server{Token: "t1"}
	web := httptest.NewTLSServer(&s)
	t.Cleanup(web.Close)
	account := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(account, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})))
	write("token", "t1\n")
	write("namespace", "team\n")
	host, port, _ := strings.Cut(strings.TrimPrefix(web.URL, "https://"), ":")
	t.Setenv("KUBERNETES_SERVICE_HOST", host)
	t.Setenv("KUBERNETES_SERVICE_PORT", port)
	e, err := New(Options{Name: "jobs", Account: account})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	e.Run(ctx, func(ctx context.Context, _ Term) {
		defer cancel()
		s.Token = "t2" // Claim is the only one to ask until then
		write("token", "t2")
		if err := e.Claim(ctx, time.Now()); err != nil {
			t.Errorf("Claim with a new token = %v", err)
		}
	})
	if l := s.Lease("team", "jobs"); !strings.Contains(l, `"holderIdentity":""`) || !strings.Contains(l, annotation) {
		t.Errorf("Lease = %s; want it given back and claimed", l)
	}
}

func TestOptionsComplaints(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for want, o := range map[string]Options{
		"such as nightly-jobs":                         {Name: "Jobs!"},
		"such as 15s, 10s and 2s":                      {Name: "jobs", Duration: 5 * time.Second},
		"KUBERNETES_SERVICE_HOST":                      {Name: "jobs"},
		"automountServiceAccountToken":                 {Name: "jobs", Server: "https://x", Account: "/none"},
		"want https://HOST:PORT":                       {Name: "jobs", Server: "x"},
		"authorities of the API server: ":              {Name: "jobs", Namespace: "x", Server: "https://x", Account: "/none"},
		"such as default":                              {Name: "jobs", Namespace: "../x", Server: "https://x"},
		"duration 15s, renew deadline 3s, retry 2s of": {Name: "jobs", RenewDeadline: 3 * time.Second},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%+v) = %v; want %s", o, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"kind":"Lease","metadata":{"resourceVersion":"1","annotations":{"a":"b"}},"spec":{"holderIdentity":null,"leaseTransitions":3}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(data)
		if err != nil {
			return
		}
		again, err := r.encode("n", "l")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode(again); err != nil {
			t.Errorf("decode(encode(%s)) = %v", data, err)
		}
	})
}
