package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// The load and the backend have one processor, the proxy has the other one.
const (
	loadCPU  = "0"
	proxyCPU = "1"
)

// rig holds what a proxy case started, so that all of it ends with the case.
type rig struct {
	b       *bench
	dir     string
	backend string // address
	mu      sync.Mutex
	running []*pinned
}

// newRig makes a folder with a certificate, and starts the backend.
func (b *bench) newRig() (*rig, error) {
	dir, err := os.MkdirTemp(b.dir, "rig-*")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	r := &rig{b: b, dir: dir, backend: freeAddr()}
	if err := writeCert(dir, 1); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(b.bin, "proxyload")); err != nil {
		if out, err := exec.Command("go", "build", "-o", b.bin+"/", "./proxyload").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build the load: %w: %s", err, out)
		}
	}
	_, err = r.start("backend", loadCPU, r.backend, filepath.Join(b.bin, "proxyload"), "backend", r.backend)
	return r, err
}

// pinned is a process bound to one processor, in a process group of its own: some programs leave their workers behind.
type pinned struct {
	name  string
	cmd   *exec.Cmd
	log   string
	ended chan struct{} // closed; exited is set before

	exited time.Time
}

// start runs a program and waits until it takes connections at addr, when there is one.
func (r *rig) start(name, cpu, addr string, argv ...string) (*pinned, error) {
	p := &pinned{name: name, log: filepath.Join(r.dir, name+".out"), ended: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = exec.Command("taskset", append([]string{"-c", cpu}, argv...)...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = r.dir, out, out
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "XDG_DATA_HOME=" + r.dir, "XDG_CONFIG_HOME=" + r.dir, "GOMAXPROCS=1"}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r.mu.Lock()
	r.running = append(r.running, p)
	r.mu.Unlock()
	go func() { _ = p.cmd.Wait(); p.exited = time.Now(); close(p.ended) }() // its code is read from its state
	if addr == "" {
		return p, nil
	}
	return p, p.await(addr)
}

func (p *pinned) await(addr string) error {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-p.ended:
			said, _ := os.ReadFile(p.log)
			return fmt.Errorf("%s ended: %s: %s", p.name, p.cmd.ProcessState, strings.Join(strings.Fields(string(said[:min(len(said), 400)])), " "))
		default:
		}
	}
	return fmt.Errorf("%s does not listen at %s after 10s", p.name, addr)
}

func (p *pinned) pid() int { return p.cmd.Process.Pid }

// stop ends the process and all of its group.
func (p *pinned) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(2 * time.Second):
	}
	for range 200 { // the group may outlive its leader
		if syscall.Kill(-p.pid(), syscall.SIGKILL) != nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	<-p.ended
}

func (r *rig) close() {
	r.mu.Lock()
	list := r.running
	r.running = nil
	r.mu.Unlock()
	var all sync.WaitGroup
	for _, p := range list {
		all.Go(p.stop)
	}
	all.Wait()
	_ = os.RemoveAll(r.dir)
}

// closeOnSignal ends what runs when the benchmark is interrupted: workers of killed proxies would stay.
func (r *rig) closeOnSignal() (stop func()) {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			r.close()
			os.Exit(130)
		case <-done:
		}
	}()
	return func() { signal.Stop(signals); close(done) }
}

// tree is a process and those below it.
func tree(pid int) []int {
	pids := []int{pid}
	lists, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, l := range lists {
		b, _ := os.ReadFile(l)
		for _, f := range bytes.Fields(b) {
			if child, err := strconv.Atoi(string(f)); err == nil {
				pids = append(pids, tree(child)...)
			}
		}
	}
	return pids
}

// cpu is what the processes of a proxy used so far, in nanoseconds of the scheduler; threads that ended are in it.
func (p *pinned) cpu() time.Duration {
	const schedClock = 2
	var sum time.Duration
	for _, pid := range tree(p.pid()) {
		var ts unix.Timespec
		if unix.ClockGettime(int32(^pid<<3|schedClock), &ts) == nil {
			sum += time.Duration(ts.Nano())
		}
	}
	return sum
}

// rss is the memory of all processes of a proxy, shared pages counted in each.
func (p *pinned) rss() (sum float64) {
	for _, pid := range tree(p.pid()) {
		n, err := lab.ResidentNow(pid)
		if err == nil {
			sum += n
		}
	}
	return sum
}

// load runs the load tool on its processor.
func (r *rig) load(procs int, args ...string) (lab.Sample, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", loadCPU, filepath.Join(r.b.bin, "proxyload")}, args...)...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(procs))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("load: %w: %s", err, said.String())
	}
	var s lab.Sample
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return s, nil
}

// freeAddr is an address of this machine that nobody listens at now.
func freeAddr() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0"
	}
	defer l.Close()
	return l.Addr().String()
}

// writeCert makes tls.crt, tls.key and both.pem: ECDSA P-256, for bench.local and this machine. The key goes first: whoever follows the
// files sees no certificate without its key.
func writeCert(dir string, serial int64) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "bench.local"}, DNSNames: []string{"bench.local"}, IPAddresses: []net.IP{{127, 0, 0, 1}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	crt, pk := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	return errors.Join(replaceFile(dir, "tls.key", pk), replaceFile(dir, "tls.crt", crt), replaceFile(dir, "both.pem", append(crt, pk...)))
}

func replaceFile(dir, name string, content []byte) error {
	tmp := filepath.Join(dir, "."+name)
	if err := os.WriteFile(tmp, content, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, name))
}
