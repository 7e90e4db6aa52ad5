package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// rival is a program that exports one thing, and our configuration for the same.
type rival struct {
	name, program, debian string
	source, view          string                       // of our config file: the source, and what stands in its view
	argv                  func(listen string) []string // of the rival
	path                  string
}

// adapterPeers compares exporters of one thing each.
func (b *bench) adapterPeers(s *stand) ([]row, error) {
	s.serve("/stub_status", []byte("Active connections: 291 \nserver accepts handled requests\n 16630948 16630948 31070465 \nReading: 6 Writing: 179 Waiting: 106 \n"))
	s.serve("/ok", []byte("ok"))
	list := []rival{{
		name: "prometheus-nginx-exporter", program: "prometheus-nginx-exporter", debian: "prometheus-nginx-exporter", path: "/metrics",
		source: "{url: \"" + s.origin + "/stub_status\", format: nginx}",
		argv: func(listen string) []string {
			return []string{"-nginx.scrape-uri", s.origin + "/stub_status", "-web.listen-address", listen}
		},
	}}
	var missing []string
	if redis, err := s.redis(); err != nil {
		missing = append(missing, err.Error())
	} else {
		// The redis exporter asks for far more than INFO says; what it is asked with here is the least it does.
		list = append(list, rival{
			name: "prometheus-redis-exporter", program: "prometheus-redis-exporter", debian: "prometheus-redis-exporter", path: "/metrics",
			source: "{redis: \"127.0.0.1:" + redis + "\"}",
			argv: func(listen string) []string {
				return []string{"-redis.addr", "redis://127.0.0.1:" + redis, "-web.listen-address", listen}
			},
		})
	}
	var rows []row
	for _, r := range list {
		got, err := s.beside(r)
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s: %v", r.name, err))
		}
		rows = append(rows, got...)
	}
	return append(rows, missingRows(missing)...), nil
}

// redis starts a server and says its port.
func (s *stand) redis() (port string, err error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return "", fmt.Errorf("redis: not installed (Debian: redis-server)")
	}
	addr := freeAddr()
	port = addr[len("127.0.0.1:"):]
	_, err = s.start("redis", loadCPU, addr, program, "--port", port, "--save", "", "--dir", s.dir)
	return port, err
}

// beside measures ours and a rival in turns.
func (s *stand) beside(r rival) ([]row, error) {
	if _, err := exec.LookPath(r.program); err != nil {
		return nil, fmt.Errorf("not installed (Debian: %s)", r.debian)
	}
	ours, at, err := s.adapter("ours-"+r.name, "sources:\n  app: "+r.source+"\nviews:\n  /metrics: {from: app"+r.view+"}\n")
	if err != nil {
		return nil, err
	}
	defer ours.stop()
	listen := freeAddr()
	theirs, err := s.start(r.name, proxyCPU, listen, append([]string{r.program}, r.argv(listen)...)...)
	if err != nil {
		return nil, err
	}
	defer theirs.stop()
	time.Sleep(200 * time.Millisecond)
	n := s.b.sized(100, 3)
	page, err := fetch(at + "/metrics")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "page"), page, 0o600); err != nil {
		return nil, err
	}
	pairs, err := lab.Pairs(s.b.pairs, func() (lab.Sample, error) { return scrapes(ours, at+"/metrics", n, 100) },
		func() (lab.Sample, error) { return scrapes(theirs, "http://"+listen+r.path, n, 100) })
	if err != nil {
		return nil, err
	}
	a, c, x := lab.Compare(pairs, "cpu")
	last := pairs[len(pairs)-1]
	return []row{
		info("CPU of a scrape, beside "+r.name, lab.MS(a), lab.MS(c), lab.Ratio(x)),
		info("the same: memory", lab.MB(last.A["rss"]), lab.MB(last.B["rss"]), ratio(last.A["rss"], last.B["rss"])),
	}, nil
}
