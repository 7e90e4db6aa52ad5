package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// torrent is a number of datagrams of StatsD, spread over some time.
type torrent struct {
	datagrams, lines int
	within           time.Duration
}

// send sends all datagrams; the one with number n has lines with n.
func (l torrent) send(address string) error {
	conn, err := net.Dial("udp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	begin := time.Now()
	var b []byte
	for n := range l.datagrams {
		b = b[:0]
		for i := range l.lines {
			switch (n + i) % 5 {
			case 0:
				b = fmt.Appendf(b, "flood.requests:1|c|#host:h%d,code:200\n", n%50)
			case 1:
				b = fmt.Appendf(b, "flood.latency:%d.25|ms|#path:/p%d\n", n%977, n%30)
			case 2:
				b = fmt.Appendf(b, "flood.sequence:%d|g\n", n)
			case 3:
				b = fmt.Appendf(b, "flood.hits,env=prod,shard=s%d:%d|c\n", n%20, n%7)
			case 4:
				b = fmt.Appendf(b, "flood.size:%d|h\n", n*37%100_000)
			}
		}
		if _, err := conn.Write(b); err != nil {
			return err
		}
		if n%20 == 0 {
			time.Sleep(time.Until(begin.Add(l.within * time.Duration(n) / time.Duration(l.datagrams))))
		}
	}
	return nil
}

// drain is a program that StatsD is sent to, and the names of its counters.
type drain struct {
	contender
	udp, counters         string // addresses
	packets, drops, lines string
}

// pour sends a flood and says what became of it: cpu is CPU seconds a line that was read, lost is datagrams that nobody knows of.
func (d *drain) pour(l torrent) (lab.Sample, error) {
	before, err := d.count()
	if err != nil {
		return nil, err
	}
	cpu := d.cpu()
	if err := l.send(d.udp); err != nil {
		return nil, err
	}
	time.Sleep(500 * time.Millisecond)
	spent := d.cpu() - cpu
	after, err := d.count()
	if err != nil {
		return nil, err
	}
	grew := func(name string) float64 { return after[name] - before[name] }
	if grew(d.lines) == 0 {
		return nil, errors.New("no line was read")
	}
	v, err := look(d.pid())
	return lab.Sample{
		"cpu": spent.Seconds() / grew(d.lines), "drops": grew(d.drops), "peak": v.peak,
		"lost": float64(l.datagrams) - grew(d.packets) - grew(d.drops), "short": grew(d.packets)*float64(l.lines) - grew(d.lines),
	}, err
}

// count adds the series of each name.
func (d *drain) count() (map[string]float64, error) {
	body, err := fetch("http://" + d.counters + "/metrics")
	all := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		at := strings.LastIndexByte(strings.TrimSpace(line), ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		name, _, _ := strings.Cut(line[:at], "{")
		if v, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64); err == nil {
			all[name] += v
		}
	}
	return all, err
}

func (s *stand) ourDrain() (*drain, error) {
	d := &drain{
		contender: contender{name: "sidecar"}, udp: freeUDP(), counters: freeAddr(),
		packets: "sidecar_adapter_push_packets_total", drops: "sidecar_adapter_push_kernel_drops_total", lines: "sidecar_adapter_push_lines_total",
	}
	path := filepath.Join(s.dir, "statsd.yaml")
	config := "sources:\n  pushed: {listen: \"udp://" + d.udp + "\", format: statsd}\nviews:\n  /metrics: {from: pushed}\n"
	err := os.WriteFile(path, []byte(config), 0o600)
	if err == nil {
		d.pinned, err = s.start("statsd", proxyCPU, d.counters, s.b.sidecar, "adapter", "--config", path, "--listen", freeAddr(), "--admin", d.counters, "--log-level", "warn")
	}
	return d, err
}

func (s *stand) theirDrain() (*drain, error) {
	program := filepath.Join(s.b.bin, "statsd_exporter")
	if _, err := os.Stat(program); err != nil {
		if out, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", s.b.bin+"/", "github.com/prometheus/statsd_exporter").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("statsd_exporter cannot be built: %w: %.200s", err, out)
		}
	}
	d := &drain{
		contender: contender{name: "statsd_exporter"}, udp: freeUDP(), counters: freeAddr(),
		packets: "statsd_exporter_udp_packets_total", drops: "statsd_exporter_udp_packet_drops_total", lines: "statsd_exporter_samples_total",
	}
	var err error
	d.pinned, err = s.start("statsd_exporter", proxyCPU, d.counters, program, "--statsd.listen-udp="+d.udp, "--statsd.listen-tcp=", "--web.listen-address="+d.counters, "--log.level=error")
	return d, err
}

func freeUDP() string {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0"
	}
	defer c.Close()
	return c.LocalAddr().String()
}

// adapterStatsd asks what a line of StatsD costs, and whether all that was sent is accounted for.
func (b *bench) adapterStatsd(s *stand) ([]row, error) {
	l := torrent{b.sized(20_000, 500), 15, time.Duration(b.sized(1400, 100)) * time.Millisecond}
	us, err := s.ourDrain()
	if err != nil {
		return nil, err
	}
	drains := map[string]*drain{us.name: us}
	list := []*contender{&us.contender}
	var missing []string
	if them, err := s.theirDrain(); err != nil {
		missing = append(missing, err.Error())
	} else {
		drains[them.name] = them
		list = append(list, &them.contender)
	}
	samples, failed, err := rounds(b.pairs, list, func(c *contender) (lab.Sample, error) { return drains[c.name].pour(l) })
	if err != nil {
		return nil, err
	}
	unknown := func(of []lab.Sample) (n float64) {
		for _, v := range of {
			n += max(v["lost"], -v["lost"])
		}
		return n
	}
	mine := samples[list[0]]
	short := 0.0
	for _, v := range mine {
		short += max(v["short"], -v["short"])
	}
	what := fmt.Sprintf("%d lines in %d datagrams within %s", l.datagrams*l.lines, l.datagrams, l.within)
	exact := judged(fmt.Sprintf("datagrams that are neither read nor said to be lost, and lines of those read that are not counted, in %d such floods", len(mine)),
		fmt.Sprintf("%.0f, %.0f", unknown(mine), short), "-", "-", unknown(mine)+short, 0, 0, "0 / 0")
	show := func(seconds float64) string { return million(1 / seconds) }
	first := info("lines in a second of CPU, "+what, million(perCPU(mine)), "-", "-")
	memory := info("the same: peak memory", lab.MB(worst(mine, "peak")), "-", "-")
	if len(list) > 1 && samples[list[1]] != nil {
		theirs := samples[list[1]]
		first = work("lines in a second of CPU, "+what+", beside statsd_exporter", compare(mine, theirs, "cpu"), show, 1.5, 3)
		exact.peer = fmt.Sprintf("%.0f", unknown(theirs))
		memory.peer, memory.ratio = lab.MB(worst(theirs, "peak")), ratio(worst(mine, "peak"), worst(theirs, "peak"))
	}
	return append([]row{first, exact, memory}, missingRows(append(missing, failed...))...), nil
}
