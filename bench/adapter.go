package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// adapterCases measure the adapter role. What is missing here is skipped, with the reason in the table.
func (b *bench) adapterCases() []benchCase {
	var list []benchCase
	for _, c := range []struct {
		name string
		run  func(*stand) ([]row, error)
	}{
		{"adapter-json", b.adapterJSON},
		{"adapter-statsd", b.adapterStatsd},
		{"adapter-merge", b.adapterMerge},
		{"adapter-coalesce", b.adapterCoalesce},
		{"adapter-probe", b.adapterProbe},
		{"adapter-pass", b.adapterPass},
		{"adapter-roundtrips", b.adapterTrips},
		{"adapter-idle", b.adapterIdle},
		{"adapter-peers", b.adapterPeers},
	} {
		list = append(list, benchCase{c.name, func() ([]row, error) {
			s, err := b.newStand()
			var rows []row
			if err == nil {
				defer s.close()
				defer s.closeOnSignal()()
				rows, err = c.run(s)
			}
			if err != nil { // the other cases are measured all the same
				fmt.Fprintf(os.Stderr, "%s: %v\n", c.name, err)
				rows = append(rows, judged("**could not be measured**: "+err.Error(), "-", "-", "-", 1, 0, 0, ""))
			}
			return rows, nil
		}})
	}
	return list
}

// stand is where adapters are measured: each is bound to one processor, and asks an application that this process is.
type stand struct {
	*rig
	app    *http.Server
	origin string // http://address of the application
	bodies map[string][][]byte
	asked  atomic.Int64
	slow   atomic.Int64 // nanoseconds that the application takes for an answer
}

// newStand makes a folder and starts the application.
func (b *bench) newStand() (*stand, error) {
	dir, err := os.MkdirTemp(b.dir, "stand-*")
	if err != nil {
		return nil, err
	}
	addr := freeAddr()
	s := &stand{rig: &rig{b: b, dir: dir}, origin: "http://" + addr, bodies: map[string][][]byte{}}
	s.app = &http.Server{Addr: addr, Handler: http.HandlerFunc(s.answer), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.app.ListenAndServe() }() // an address that is taken shows in the first scrape
	return s, nil
}

// serve says what the application answers at a path: one body after the other, so that no two in a row are the same. Call it before anybody asks.
func (s *stand) serve(path string, bodies ...[]byte) { s.bodies[path] = bodies }

func (s *stand) answer(w http.ResponseWriter, r *http.Request) {
	n := s.asked.Add(1)
	list := s.bodies[r.URL.Path]
	if len(list) == 0 {
		http.NotFound(w, r)
		return
	}
	if d := s.slow.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	if filepath.Ext(r.URL.Path) == ".json" {
		w.Header().Set("Content-Type", "application/json")
	}
	_, _ = w.Write(list[int(n)%len(list)])
}

func (s *stand) close() {
	_ = s.app.Close()
	s.rig.close()
}

// adapter starts ours with a config file and returns it with its address.
func (s *stand) adapter(name, config string) (*pinned, string, error) {
	path := filepath.Join(s.dir, name+".yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, "", err
	}
	addr := freeAddr()
	p, err := s.start(name, proxyCPU, addr, s.b.sidecar, "adapter", "--config", path, "--listen", addr, "--admin", "", "--log-level", "warn")
	return p, "http://" + addr, err
}

// raw starts the program that copies.
func (s *stand) raw(name, from string) (*pinned, string, error) {
	program := filepath.Join(s.b.bin, "rawcopy")
	if _, err := os.Stat(program); err != nil {
		if out, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", s.b.bin+"/", "./rawcopy").CombinedOutput(); err != nil {
			return nil, "", fmt.Errorf("build the raw copy: %w: %s", err, out)
		}
	}
	addr := freeAddr()
	p, err := s.start(name, proxyCPU, addr, program, "-listen", addr, "-from", from)
	return p, "http://" + addr, err
}

// fetch is the body of an answer with status 200, which is asked for without compression.
func fetch(url string) ([]byte, error) { return fetchAs(url, "identity") }

func fetchAs(url, encoding string) ([]byte, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", encoding)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.200s", url, answer.Status, body)
	}
	return body, err
}

// scrapes asks n times and says what one scrape cost the process: CPU seconds, and how long it took.
func scrapes(p *pinned, url string, n, least int) (lab.Sample, error) {
	return scrapesAs(p, url, "identity", n, least)
}

func scrapesAs(p *pinned, url, encoding string, n, least int) (lab.Sample, error) {
	before, began := p.cpu(), time.Now()
	for range n {
		body, err := fetchAs(url, encoding)
		if err != nil {
			return nil, err
		}
		if len(body) < least {
			return nil, fmt.Errorf("%s: %d bytes; want at least %d: %.200s", url, len(body), least, body)
		}
	}
	v, err := look(p.pid())
	return lab.Sample{"cpu": (p.cpu() - before).Seconds() / float64(n), "wall": time.Since(began).Seconds() / float64(n), "rss": v.rss, "peak": v.peak}, err
}

// medianOf scrapes in rounds; the first one is thrown away.
func medianOf(p *pinned, url string, rounds, n, least int) (lab.Sample, error) {
	figures := map[string][]float64{}
	for i := range rounds + 1 {
		s, err := scrapes(p, url, n, least)
		if err != nil {
			return nil, err
		}
		for name, v := range s {
			if i > 0 {
				figures[name] = append(figures[name], v)
			}
		}
	}
	median := lab.Sample{}
	for name, v := range figures {
		median[name] = lab.Quantile(v, 0.5)
	}
	return median, nil
}

// below is a row whose figure has bounds in the same unit.
func below(what string, value, floor, target float64, show func(float64) string) row {
	return judged(what, show(value), "-", "-", value, floor, target, "at most "+show(floor)+" / "+show(target))
}

// promtool is what promtool says to a page; nil when it is content or not installed, as skipped tells.
func promtool(page []byte) (skipped bool, err error) {
	if _, err := exec.LookPath("promtool"); err != nil {
		return true, nil
	}
	cmd := exec.Command("promtool", "check", "metrics")
	in, err := cmd.StdinPipe()
	if err != nil {
		return false, err
	}
	go func() { _, _ = in.Write(page); _ = in.Close() }()
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 3 {
		err = nil // 3: what it would call otherwise; 1: what is wrong
	}
	if err != nil {
		err = fmt.Errorf("promtool: %w: %.300s", err, out)
	}
	return false, err
}
