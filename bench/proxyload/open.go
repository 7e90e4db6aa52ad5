package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// open sends requests at a fixed rate, whether or not earlier ones were answered. A request's time counts from when it was due, so
// that one slow answer is seen in all that had to wait for it.
func open(t task) (map[string]float64, error) {
	if t.rate <= 0 {
		return nil, errors.New("want a -rate")
	}
	total := int(t.rate * t.duration.Seconds())
	due := make(chan time.Duration, total)
	var sum tally
	var all sync.WaitGroup
	began := time.Now().Add(200 * time.Millisecond) // connections are made before
	took := make([][]time.Duration, t.conns)
	ready := make(chan error, t.conns)
	for i := range t.conns {
		all.Go(func() {
			c, err := t.dial(nil)
			if err == nil {
				defer c.Close()
				err = t.once(c)
			}
			ready <- err
			if err != nil {
				return
			}
			took[i] = t.answer(c, began, due, &sum)
		})
	}
	for range t.conns {
		if err := <-ready; err != nil {
			close(due)
			return nil, err
		}
	}
	err := pace(began, t.rate, total, due)
	all.Wait()
	if err != nil {
		return nil, err
	}
	times := slices.Concat(took...)
	if len(times) == 0 {
		return nil, errors.New("nothing was answered")
	}
	slices.Sort(times)
	at := func(q float64) float64 { return times[min(len(times)-1, int(q*float64(len(times))))].Seconds() }
	figures, err := sum.figures(time.Since(began))
	if err == nil {
		figures["p50"], figures["p99"], figures["max"] = at(0.5), at(0.99), at(1)
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			return nil, err
		}
		figures["cpu"] = time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
	}
	return figures, err
}

// answer takes requests that are due as long as there are any.
func (t *task) answer(c net.Conn, began time.Time, due <-chan time.Duration, sum *tally) (took []time.Duration) {
	request := []byte("GET " + t.path + " HTTP/1.1\r\nHost: bench.local\r\n\r\n")
	buf := make([]byte, 8192)
	_ = c.SetDeadline(began.Add(t.duration + 10*time.Second))
	for at := range due {
		_, err := c.Write(request)
		if err == nil {
			err = readAnswer(c, buf)
		}
		if err != nil {
			sum.fail(err)
			return took
		}
		took = append(took, time.Since(began)-at)
		sum.count.Add(1)
	}
	return took
}

// pace says when requests are due. Its clock is a descriptor that the poller waits for together with the connections: timers of the
// runtime are exact to a millisecond only, and a thread that sleeps would cost more than the requests.
func pace(began time.Time, rate float64, total int, due chan<- time.Duration) error {
	defer close(due)
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	clock := os.NewFile(uintptr(fd), "clock")
	defer clock.Close()
	gap := time.Duration(float64(time.Second) / rate)
	spec := unix.ItimerSpec{Interval: unix.NsecToTimespec(int64(gap)), Value: unix.NsecToTimespec(int64(max(1, time.Until(began))))}
	if err := unix.TimerfdSettime(fd, 0, &spec, nil); err != nil {
		return os.NewSyscallError("timerfd_settime", err)
	}
	ticks := make([]byte, 8)
	for i := 0; i < total; {
		if _, err := clock.Read(ticks); err != nil {
			return err
		}
		for n := binary.NativeEndian.Uint64(ticks); n > 0 && i < total; n-- {
			due <- time.Duration(i) * gap
			i++
		}
	}
	return nil
}

// readAnswer reads one answer with a length.
func readAnswer(c io.Reader, buf []byte) error {
	n := 0
	for {
		m, err := c.Read(buf[n:])
		if err != nil {
			return err
		}
		n += m
		end := bytes.Index(buf[:n], []byte("\r\n\r\n"))
		if end < 0 {
			continue
		}
		if !bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 200")) {
			return fmt.Errorf("answer %.40q", buf[:n])
		}
		length, err := contentLength(buf[:end])
		if err != nil {
			return err
		}
		for left := length - (n - end - 4); left > 0; left -= m {
			if m, err = c.Read(buf[:min(left, len(buf))]); err != nil {
				return err
			}
		}
		return nil
	}
}

func contentLength(head []byte) (int, error) {
	const name = "content-length:"
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			return strconv.Atoi(string(bytes.TrimSpace(line[len(name):])))
		}
	}
	return 0, errors.New("an answer without a length")
}
