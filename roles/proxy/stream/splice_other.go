//go:build !linux

package stream

// pipe exists on Linux only.
type pipe struct{}

func (p *Pool) putPipe(*pipe) {}

func (f *flow) fill(int) (done, ready bool) {
	f.noSplice = true
	return false, false
}

func (f *flow) pump() bool { return true }
