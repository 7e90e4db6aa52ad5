package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
	"github.com/sidecar-kit/sidecar/bench/site"
)

// push measures a one-line change in the small site: the time from the instant the
// server's branch moves until the link points at the new commit, and what the server sent.
func (b *bench) push() ([]row, error) {
	files, total := smallFiles, int64(smallBytes)
	if b.quick {
		files, total = files/20, total/20
	}
	s, url, err := b.serve("push", files, total, 0)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	p := &pusher{repo: site.Repo{Dir: filepath.Join(b.dir, "push", "site.git")}, rng: rand.New(rand.NewPCG(3, 3))}
	var rows []row
	for _, period := range []time.Duration{time.Second, 10 * time.Millisecond} {
		ours, err := b.latencies(b.ours, url, period, p)
		if err != nil {
			return nil, err
		}
		peer, err := b.latencies(b.peer, url, period, p)
		if err != nil {
			return nil, err
		}
		for _, q := range []struct {
			name string
			at   float64
		}{{"p50", 0.5}, {"p99", 0.99}, {"max", 1}} {
			x, y := lab.Quantile(ours, q.at), lab.Quantile(peer, q.at)
			r := info(fmt.Sprintf("push to published, --period %s, %s of %d", period, q.name, len(ours)), lab.MS(x), lab.MS(y), lab.Ratio(x/y))
			if period == time.Second && q.at == 1 {
				r.value, r.floor, r.target, r.bounds = x, 1.3, 1.06, "1.3 s / period + 60 ms"
			}
			rows = append(rows, r)
		}
	}
	more, err := b.changeBytes(s, url, p)
	return append(rows, more), err
}

// pusher changes one line of one file, again and again.
type pusher struct {
	repo site.Repo
	rng  *rand.Rand
	n    int
}

// prepare stores the next commit; the branch moves later.
func (p *pusher) prepare() (string, error) {
	head, err := p.repo.Head()
	if err != nil {
		return "", err
	}
	p.n++
	path := site.Path(0)
	old, err := p.repo.Git(nil, "show", head+":"+path)
	if err != nil {
		return "", err
	}
	return p.repo.Commit(head, map[string][]byte{path: fmt.Appendf(nil, "%s\n<p>line %d</p>\n", old, p.n)})
}

func (b *bench) latencies(tool lab.Tool, url string, period time.Duration, p *pusher) ([]float64, error) {
	root := filepath.Join(b.dir, "watch")
	defer os.RemoveAll(root)
	m, err := lab.StartMetered(b.dir, tool.Watch(url, root, period)...)
	if err != nil {
		return nil, err
	}
	defer func() { m.Stop(); m.Wait() }()
	head, err := p.repo.Head()
	if err != nil {
		return nil, err
	}
	if _, ok := lab.WaitPublished(root, head, time.Minute); !ok {
		return nil, fmt.Errorf("%s: first sync not published in a minute: %s", tool.Name, m.Tail())
	}
	var seconds []float64
	for i := range b.pushes + 1 {
		hash, err := p.prepare()
		if err != nil {
			return nil, err
		}
		time.Sleep(time.Duration(p.rng.Int64N(int64(period + 100*time.Millisecond))))
		if err := p.repo.Move(hash); err != nil {
			return nil, err
		}
		took, ok := lab.WaitPublished(root, hash, 30*time.Second)
		if !ok {
			return nil, fmt.Errorf("%s: push not published in 30 s: %s", tool.Name, m.Tail())
		}
		if i > 0 { // the first push is the warm-up
			seconds = append(seconds, took.Seconds())
		}
	}
	return seconds, nil
}

// changeBytes is what the server sends to a fresh process that finds one changed line:
// the handshake, the look and the change.
func (b *bench) changeBytes(s *lab.Server, url string, p *pusher) (row, error) {
	var sent [2]float64
	for i, tool := range []lab.Tool{b.ours, b.peer} {
		root := filepath.Join(b.dir, "bytes")
		if _, err := lab.Measure(b.dir, tool.Once(url, root)...); err != nil {
			return row{}, err
		}
		hash, err := p.prepare()
		if err != nil {
			return row{}, err
		}
		if err := p.repo.Move(hash); err != nil {
			return row{}, err
		}
		before, err := s.Stats()
		if err != nil {
			return row{}, err
		}
		if _, err := lab.Measure(b.dir, tool.Once(url, root)...); err != nil {
			return row{}, err
		}
		after, err := s.Stats()
		if err != nil {
			return row{}, err
		}
		if lab.Published(root) != hash {
			return row{}, fmt.Errorf("%s did not publish the change", tool.Name)
		}
		sent[i] = float64(after.BytesSent - before.BytesSent)
		if err := os.RemoveAll(root); err != nil {
			return row{}, err
		}
	}
	return row{
		what: "bytes from the server for that change, one whole run", ours: fmt.Sprintf("%.0f B", sent[0]), peer: fmt.Sprintf("%.0f B", sent[1]),
		ratio: lab.Ratio(sent[0] / sent[1]), value: sent[0], floor: 2 * sent[1], target: math.Min(2*sent[1], sent[1]+1000), bounds: "2x / + 1 KB",
	}, nil
}
