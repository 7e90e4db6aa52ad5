package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// rest is the memory some seconds after the last change.
func (b *bench) rest() ([]row, error) {
	files, total := smallFiles, int64(smallBytes)
	if b.quick {
		files, total = files/20, total/20
	}
	s, url, err := b.serve("rest", files, total, 0)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var values []float64
	for range min(3, b.pairs) {
		v, err := b.restOnce(url)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	v := lab.Quantile(values, 0.5)
	return []row{{
		what: fmt.Sprintf("RSS at rest after syncing %d files, --period 1s", files), ours: lab.MB(v), peer: "-", ratio: "-",
		value: v, floor: 20e6, target: 12e6, bounds: "20 / 12 MB",
	}}, nil
}

// settle is long enough for the Go runtime's scavenger to have given memory back.
const settle = 15 * time.Second

func (b *bench) restOnce(url string) (float64, error) {
	root := filepath.Join(b.dir, "rest-root")
	defer os.RemoveAll(root)
	// With the admin endpoint on, as it is in a pod.
	argv := append(b.ours.Watch(url, root, time.Second), "--admin", "127.0.0.1:0")
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	for deadline := time.Now().Add(time.Minute); lab.Published(root) == ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return 0, errors.New("nothing published in a minute")
		}
	}
	if b.quick {
		time.Sleep(time.Second)
	} else {
		time.Sleep(settle)
	}
	return lab.ResidentNow(cmd.Process.Pid)
}

// kill and torn have programs of their own, which are useful by hand as well.
func (b *bench) kill() ([]row, error) {
	type result struct {
		Kills, Wedges, WrongTrees int
		UnreadableSeconds         float64
	}
	var ours, peer result
	if err := b.helper(&ours, "killtest", "-n", strconv.Itoa(b.kills), "-sidecar", b.sidecar); err != nil {
		return nil, err
	}
	// The loop wedges about once in four kills: a few tens show it.
	if err := b.helper(&peer, "killtest", "-n", strconv.Itoa(min(b.kills, 60)), "-peer"); err != nil {
		return nil, err
	}
	bad, peerBad := ours.Wedges+ours.WrongTrees, peer.Wedges+peer.WrongTrees
	return []row{
		{what: "kill -9 at a random instant, then one clean start: wedges or wrong trees", ours: fmt.Sprintf("%d in %d", bad, ours.Kills),
			peer: fmt.Sprintf("%d in %d", peerBad, peer.Kills), ratio: "-", value: reached(float64(bad), ours.Kills < 300, ours.Kills < 2000), floor: 0.5, bounds: "0 in 300 / 0 in 2,000"},
		{what: "time in which published content was unreadable", ours: lab.MS(ours.UnreadableSeconds), peer: lab.MS(peer.UnreadableSeconds), ratio: "-",
			value: ours.UnreadableSeconds, bounds: "0 / 0 ms"},
	}, nil
}

func (b *bench) torn() ([]row, error) {
	var r struct {
		Walks, Torn, Incomplete, Pushes, Published int64
	}
	if err := b.helper(&r, "torn", "-walks", strconv.FormatInt(b.walks, 10), "-sidecar", b.sidecar); err != nil {
		return nil, err
	}
	return []row{
		{what: fmt.Sprintf("torn trees seen through a directory handle (%d pushes, %d changes met)", r.Pushes, r.Published),
			ours: fmt.Sprintf("%d in %d walks", r.Torn, r.Walks), peer: "-", ratio: "-",
			value: reached(float64(r.Torn), r.Walks < 1e4, r.Walks < 1e6), floor: 0.5, bounds: "0 in 10^4 / 0 in 10^6"},
		info("walks whose tree was removed under them", strconv.FormatInt(r.Incomplete, 10), "-", "-"),
	}, nil
}

// reached is 0 when nothing bad happened in as many tries as the target asks, a half when
// they were enough for the floor only, and NaN when for neither.
func reached(bad float64, belowFloor, belowTarget bool) float64 {
	switch {
	case bad > 0:
		return bad
	case belowFloor:
		return math.NaN()
	case belowTarget:
		return 0.5
	}
	return 0
}

// helper runs one of the programs; exit code 1 with a result is a bad result, not an error.
func (b *bench) helper(result any, name string, args ...string) error {
	cmd := exec.Command(filepath.Join(b.bin, name), append(args, "-json", "-gitserver", filepath.Join(b.bin, "gitserver"))...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if jsonErr := json.Unmarshal(out, result); jsonErr != nil {
		return fmt.Errorf("%s: %w", name, errors.Join(err, jsonErr))
	}
	return nil
}

func (b *bench) size() ([]row, error) {
	st, err := os.Stat(b.sidecar)
	if err != nil {
		return nil, err
	}
	size := float64(st.Size())
	return []row{{what: "binary, static and stripped, all roles", ours: lab.MB(size), peer: "-", ratio: "-", value: size, floor: 20e6, target: 15e6, bounds: "20 / 15 MB"}}, nil
}
