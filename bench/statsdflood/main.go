// Command statsdflood sends datagrams of StatsD with numbers in them, as fast as is asked for, to our table and to statsd_exporter, and
// says what became of each: how many were read, how many were said to be dropped, how many nobody knows of, and what a line cost.
//
//	go -C bench build -o /tmp/statsd_exporter github.com/prometheus/statsd_exporter
//	go -C bench run ./statsdflood --exporter /tmp/statsd_exporter
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sidecar-kit/sidecar/roles/adapter/push"
)

func main() {
	serve := flag.String("serve", "", "be the receiver at this address, until standard input ends")
	exporter := flag.String("exporter", "", "path of statsd_exporter")
	datagrams := flag.Int("datagrams", 20_000, "how many to send")
	lines := flag.Int("lines", 15, "lines of each")
	within := flag.Duration("within", 1400*time.Millisecond, "spread over this time; 0: as fast as it goes")
	buffer := flag.Int("buffer", 0, "bytes of our receive buffer")
	flag.Parse()
	var err error
	if *serve != "" {
		err = receive(*serve, *buffer)
	} else {
		err = compare(*exporter, load{*datagrams, *lines, *within}, *buffer)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// receive is our side: it answers a line on standard input with its numbers.
func receive(address string, buffer int) error {
	table, err := push.New(push.Options{Listen: []string{"udp://" + address}, Receive: buffer})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := table.Open(ctx); err != nil {
		return err
	}
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			s := table.Stats()
			fmt.Printf("%d %d %d %d\n", s.Packets, s.KernelDrops, s.Samples, s.Receive)
		}
		stop()
	}()
	return table.Run(ctx)
}

type load struct {
	datagrams, lines int
	within           time.Duration
}

// send sends all datagrams; the one with number n has lines with n.
func (l load) send(address string) error {
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
		if l.within > 0 && n%20 == 0 {
			time.Sleep(time.Until(begin.Add(l.within * time.Duration(n) / time.Duration(l.datagrams))))
		}
	}
	return nil
}

func compare(exporter string, l load, buffer int) error {
	fmt.Printf("%d datagrams of %d lines within %s\n", l.datagrams, l.lines, l.within)
	if err := runOurs(l, buffer); err != nil {
		return fmt.Errorf("ours: %w", err)
	}
	if exporter == "" {
		return nil
	}
	if err := runTheirs(exporter, l); err != nil {
		return fmt.Errorf("statsd_exporter: %w", err)
	}
	return nil
}

func runOurs(l load, buffer int) error {
	const address = "127.0.0.1:18125"
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "--serve", address, "--buffer", strconv.Itoa(buffer))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	answers := bufio.NewReader(out)
	ask := func() (packets, drops, samples, receive uint64) {
		fmt.Fprintln(in)
		line, _ := answers.ReadString('\n')
		fmt.Sscan(line, &packets, &drops, &samples, &receive)
		return packets, drops, samples, receive
	}
	ask()
	time.Sleep(300 * time.Millisecond)
	before := cpu(cmd.Process.Pid)
	if err := l.send(address); err != nil {
		return err
	}
	time.Sleep(time.Second)
	spent := cpu(cmd.Process.Pid) - before
	packets, drops, samples, receive := ask()
	report("ours", l, packets, drops, samples, spent)
	fmt.Printf("      receive buffer %d bytes, peak RSS %d KB\n", receive, peak(cmd.Process.Pid))
	in.Close()
	return cmd.Wait()
}

func runTheirs(path string, l load) error {
	const address, web = "127.0.0.1:18126", "127.0.0.1:18127"
	cmd := exec.Command(path, "--statsd.listen-udp="+address, "--statsd.listen-tcp=", "--web.listen-address="+web, "--log.level=error")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	for i := 0; ; i++ {
		if _, err := scrape(web); err == nil {
			break
		} else if i == 100 {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond)
	before := cpu(cmd.Process.Pid)
	if err := l.send(address); err != nil {
		return err
	}
	time.Sleep(time.Second)
	spent := cpu(cmd.Process.Pid) - before
	m, err := scrape(web)
	if err != nil {
		return err
	}
	report("statsd_exporter", l, m["statsd_exporter_udp_packets_total"], m["statsd_exporter_udp_packet_drops_total"], m["statsd_exporter_samples_total"], spent)
	fmt.Printf("      peak RSS %d KB\n", peak(cmd.Process.Pid))
	return nil
}

func report(name string, l load, packets, drops, samples uint64, spent time.Duration) {
	lost := int64(l.datagrams) - int64(packets) - int64(drops) //nolint:gosec // small
	fmt.Printf("%s: read %d, says it lost %d, unknown %d; %d lines, %.3f CPU-us a line\n",
		name, packets, drops, lost, samples, float64(spent.Microseconds())/float64(max(1, samples)))
}

// cpu is what a process has used, to the hundredth of a second.
func cpu(pid int) time.Duration {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

func peak(pid int) (kilobytes int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	fmt.Sscan(rest, &kilobytes)
	return kilobytes
}

func scrape(address string) (map[string]uint64, error) {
	resp, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	all := map[string]uint64{}
	for line := range strings.Lines(string(body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil && v >= 0 {
			all[name] = uint64(v)
		}
	}
	return all, err
}
