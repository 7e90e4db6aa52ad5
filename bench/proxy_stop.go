package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// stopper is a proxy with a way in to the application and a way out for it, and the signal that asks it to end gently.
type stopper struct {
	*contender
	out    string // where the application connects to
	signal syscall.Signal
}

// stopFigures are what a stop did.
type stopFigures struct {
	in, inFailed, out, outFailed atomic.Int64
	exit                         int
	after                        time.Duration // from the end of the application; below 0: before
	cut                          bool          // it had to be killed
}

// proxyStop asks proxies to end while an application still has five seconds of work: other pods send it requests for another two, and
// it opens connections to its database until the end.
func (b *bench) proxyStop(r *rig) ([]row, error) {
	var rows []row
	for i, s := range []stopper{
		{b.usBothWays(), freeAddr(), syscall.SIGTERM},
		{&contender{name: "nginx", program: "nginx", debian: "nginx-light, libnginx-mod-stream"}, freeAddr(), syscall.SIGQUIT},
		{&contender{name: "HAProxy", program: "haproxy", debian: "haproxy"}, freeAddr(), syscall.SIGUSR1},
	} {
		f, err := r.stopUnderLoad(&s, time.Duration(b.sized(5, 2))*time.Second)
		if err != nil && i == 0 {
			return nil, err
		}
		if err != nil {
			rows = append(rows, missingRows([]string{fmt.Sprintf("%s: %v", s.name, err)})...)
			continue
		}
		failed := f.inFailed.Load() + f.outFailed.Load()
		tried := f.in.Load() + f.out.Load()
		said := fmt.Sprintf("%d of %d (requests in: %d, connections out: %d)", failed, tried, f.inFailed.Load(), f.outFailed.Load())
		exit := fmt.Sprintf("%d, %.2f s", f.exit, f.after.Seconds())
		if f.cut {
			exit = "killed after 20 s"
		}
		if i > 0 {
			rows = append(rows, info("the same with "+s.name+", "+s.signal.String(), "-", said, "-"), info("the same: exit code, and seconds from the application's end to that of the proxy", "-", exit, "-"))
			continue
		}
		took := math.Abs(f.after.Seconds())
		if f.exit != 0 || f.cut || f.after < 0 {
			took = math.Inf(1)
		}
		rows = append(rows, judged("failed in the 5 s in which the application stops, after SIGTERM", said, "-", "-", reached(float64(failed), tried < 100, tried < 1000), 0, 0, "0 / 0"),
			judged("exit code, and seconds from the application's end to that of the proxy", exit, "-", "-", took, 5, 1, "exit 0 / within 1 s"))
	}
	return rows, nil
}

func (b *bench) usBothWays() *contender {
	c := b.us()
	c.argv = nil
	return c
}

// command is how a proxy is started with both routes.
func (s *stopper) command(r *rig, app, db string) ([]string, error) {
	switch s.name {
	case "nginx":
		argv, err := nginxArgs("")(&rig{b: r.b, dir: r.dir, backend: app}, duty{scheme: "https"}, s.addr)
		if err != nil {
			return nil, err
		}
		file := argv[len(argv)-1]
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		more := fmt.Sprintf("stream { server { listen %s; proxy_timeout 1h; proxy_pass %s; } }\n", s.out, db)
		return argv, os.WriteFile(file, []byte(streamModule()+string(text)+more), 0o600)
	case "HAProxy":
		argv, err := haproxyArgs(&rig{b: r.b, dir: r.dir, backend: app}, duty{scheme: "https"}, s.addr)
		if err != nil {
			return nil, err
		}
		file := argv[len(argv)-1]
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		more := fmt.Sprintf("listen db\n  mode tcp\n  bind %s\n  server db %s\n", s.out, db)
		return argv, os.WriteFile(file, append(text, more...), 0o600)
	}
	return []string{
		r.b.sidecar, "proxy", "--admin", "", "--log-level", "warn", "--follow", "tcp:" + port(app), "--default", "log=off",
		"https://" + s.addr + "?cert=" + r.dir + " => http://" + app, "tcp://" + s.out + " => tcp://" + db,
	}, nil
}

func (r *rig) stopUnderLoad(s *stopper, work time.Duration) (*stopFigures, error) {
	app := &http.Server{Handler: http.HandlerFunc(echoApp)}
	defer app.Close()
	appAddr, err := listenAndServe(app)
	if err != nil {
		return nil, err
	}
	db, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	go echoDB(db)
	s.addr = freeAddr()
	argv, err := s.command(r, appAddr, db.Addr().String())
	if err != nil {
		return nil, err
	}
	if s.pinned, err = r.start(s.name+"-stop", proxyCPU, s.addr, argv...); err != nil {
		return nil, err
	}
	defer s.stop()
	f := new(stopFigures)
	inbound, stopInbound := context.WithCancel(context.Background())
	outbound, stopOutbound := context.WithCancel(context.Background())
	defer stopInbound()
	defer stopOutbound()
	var in, out sync.WaitGroup
	for i := range 6 {
		in.Go(func() { f.requests(inbound, s.addr, i%2 == 0) })
	}
	for i := range 4 {
		out.Go(func() { f.connections(outbound, s.out, i == 0) })
	}
	time.Sleep(time.Second)
	_ = s.cmd.Process.Signal(s.signal)
	time.Sleep(work * 2 / 5)
	stopInbound()
	in.Wait()
	time.Sleep(work * 3 / 5)
	stopOutbound()
	out.Wait()
	_ = app.Close()
	end := time.Now()
	select {
	case <-s.ended: // how long ago is in exited
	case <-time.After(20 * time.Second):
		f.cut = true
	}
	f.after, f.exit = s.exited.Sub(end), -1
	if st := s.cmd.ProcessState; !f.cut && st != nil {
		f.exit = st.ExitCode()
	}
	return f, nil
}

// requests come from other pods: on kept connections, which a client uses again as net/http does, or each on a new one.
func (f *stopFigures) requests(ctx context.Context, addr string, kept bool) {
	t := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: !kept}
	defer t.CloseIdleConnections()
	client := &http.Client{Transport: t, Timeout: 5 * time.Second}
	for ctx.Err() == nil {
		resp, err := client.Get("https://" + addr + "/")
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if err == nil && resp.StatusCode != http.StatusOK {
				err = errors.New(resp.Status)
			}
		}
		f.in.Add(1)
		if err != nil {
			f.inFailed.Add(1)
		}
		wait(ctx, 2*time.Millisecond)
	}
}

// connections are those of the application to its database, new ones all the time or one for ever.
func (f *stopFigures) connections(ctx context.Context, addr string, long bool) {
	for ctx.Err() == nil {
		f.out.Add(1)
		if err := talk(ctx, addr, long); err != nil {
			f.outFailed.Add(1)
		}
		wait(ctx, 5*time.Millisecond)
	}
}

func talk(ctx context.Context, addr string, long bool) error {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	word := []byte("hello")
	for again := true; again; again = long && ctx.Err() == nil {
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Write(word); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, word); err != nil {
			return err
		}
		if long {
			wait(ctx, 10*time.Millisecond)
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func echoDB(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

// streamModule is the line that loads nginx' stream module where it is one.
func streamModule() string {
	const module = "/usr/lib/nginx/modules/ngx_stream_module.so"
	if _, err := os.Stat(module); err != nil {
		return ""
	}
	return "load_module " + module + ";\n"
}
