package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
	"github.com/sidecar-kit/sidecar/bench/site"
)

// idle measures what one poll costs when nothing has changed: the CPU of a long run minus
// that of a short one, over the difference of their polls, so that start-up and first sync
// cancel. 50,000 references show whether a busy repository costs more.
func (b *bench) idle() ([]row, error) {
	var rows []row
	var alone float64
	for _, refs := range []int{0, 50_000} {
		s, url, err := b.serve(fmt.Sprintf("idle-%d", refs), 20, 200_000, refs)
		if err != nil {
			return nil, err
		}
		n := 0
		fresh := func() string {
			n++
			return filepath.Join(b.dir, fmt.Sprintf("idle-%d-%d", refs, n))
		}
		pairs, err := lab.Pairs(b.pairs,
			func() (lab.Sample, error) { return b.pollByTime(s, url, fresh) },
			func() (lab.Sample, error) { return b.pollByCount(url, fresh) })
		s.Close()
		if err != nil {
			return nil, err
		}
		ours, peer, ratio := lab.Compare(pairs, "cpu")
		r := row{what: fmt.Sprintf("CPU of an idle poll over http, %s", refsText(refs)), ours: lab.MS(ours), peer: lab.MS(peer), ratio: fmt.Sprintf("%.4fx", ratio), value: ours, floor: 0.5e-3, target: 0.3e-3, bounds: "0.5 / 0.3 ms"}
		if refs == 0 {
			alone = ours
		} else {
			growth := ours/alone - 1
			r.value, r.floor, r.target = growth, 0.2, 0.2
			r.bounds = "+20 % over 1 reference"
			r.ratio += fmt.Sprintf(" (%+.0f %%)", growth*100)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func refsText(extra int) string {
	if extra == 0 {
		return "1 reference"
	}
	return "50,000 references"
}

// pollByTime runs the program for two spans and lets the server count the polls.
func (b *bench) pollByTime(s *lab.Server, url string, fresh func() string) (lab.Sample, error) {
	var cpu, polls [2]float64
	for i, span := range []time.Duration{time.Second, 5 * time.Second} {
		if b.quick {
			span /= 2
		}
		root := fresh()
		before, err := s.Stats()
		if err != nil {
			return nil, err
		}
		m, err := lab.StartMetered(b.dir, b.ours.Watch(url, root, 10*time.Millisecond)...)
		if err != nil {
			return nil, err
		}
		time.Sleep(span)
		if lab.Published(root) == "" {
			m.Stop()
			m.Wait()
			return nil, fmt.Errorf("nothing published in %s: %s", span, m.Tail())
		}
		m.Stop()
		u, err := m.Wait()
		if err != nil {
			return nil, err
		}
		after, err := s.Stats()
		if err != nil {
			return nil, err
		}
		cpu[i], polls[i] = u.CPU.Seconds(), float64(after.UploadPack-before.UploadPack)
	}
	if polls[1] <= polls[0] {
		return nil, fmt.Errorf("%v polls in the short run and %v in the long one", polls[0], polls[1])
	}
	return lab.Sample{"cpu": (cpu[1] - cpu[0]) / (polls[1] - polls[0])}, nil
}

// pollByCount does the same for the loop, which can be told how often to poll and then
// does not even sleep.
func (b *bench) pollByCount(url string, fresh func() string) (lab.Sample, error) {
	const few, many = 2, 22
	var cpu [2]float64
	for i, n := range []int{few, many} {
		u, err := lab.Measure(b.dir, b.peer.Polls(url, fresh(), n)...)
		if err != nil {
			return nil, err
		}
		cpu[i] = u.CPU.Seconds()
	}
	return lab.Sample{"cpu": (cpu[1] - cpu[0]) / (many - few)}, nil
}

// serve makes a repository and a server in front of it.
func (b *bench) serve(name string, files int, total int64, refs int) (*lab.Server, string, error) {
	dir := filepath.Join(b.dir, name)
	repo, err := site.Create(filepath.Join(dir, "site.git"))
	if err != nil {
		return nil, "", err
	}
	if err := repo.Fill(files, total, 1); err != nil {
		return nil, "", err
	}
	if refs > 0 {
		if err := repo.AddRefs(refs); err != nil {
			return nil, "", err
		}
	}
	s, err := lab.StartServer(filepath.Join(b.bin, "gitserver"), dir)
	if err != nil {
		return nil, "", err
	}
	return s, s.URL + "/site.git", nil
}
