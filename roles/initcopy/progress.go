package initcopy

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// progress tells how far long work is: a line in the log now and then, or a bar where a person looks on.
type progress struct {
	files, bytes           atomic.Int64
	wantFiles, wantedBytes atomic.Int64
	quit, ended            chan struct{}
}

func newProgress(every time.Duration, log zerolog.Logger) *progress {
	p := &progress{quit: make(chan struct{}), ended: make(chan struct{})}
	if every <= 0 {
		close(p.ended)
		return p
	}
	bar := terminal()
	if bar {
		every = 200 * time.Millisecond
	}
	go func() {
		defer close(p.ended)
		p.tell(every, bar, log)
	}()
	return p
}

func (p *progress) tell(every time.Duration, bar bool, log zerolog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	drawn := false
	for {
		select {
		case <-tick.C:
			if bar {
				fmt.Fprintf(os.Stderr, "\r%s", p.bar())
				drawn = true
				continue
			}
			log.Info().Int64("files", p.files.Load()).Int64("of_files", p.wantFiles.Load()).
				Int64("bytes", p.bytes.Load()).Int64("of_bytes", p.wantedBytes.Load()).Msg("copying")
		case <-p.quit:
			if drawn {
				fmt.Fprintf(os.Stderr, "\r%s\r", strings.Repeat(" ", 78))
			}
			return
		}
	}
}

// bar is one line of a terminal.
func (p *progress) bar() string {
	const width = 40
	done, all := p.bytes.Load(), p.wantedBytes.Load()
	filled := 0
	if all > 0 {
		filled = int(min(width, width*done/all))
	}
	return fmt.Sprintf("[%s%s] %d files, %d of %d MiB ", strings.Repeat("#", filled), strings.Repeat(".", width-filled),
		p.files.Load(), done>>20, all>>20)
}

// expect says how much there is to do.
func (p *progress) expect(files int, bytes int64) {
	p.wantFiles.Store(int64(files))
	p.wantedBytes.Store(bytes)
}

// add is told what was done since it was told last, by any goroutine.
func (p *progress) add(files int, bytes int64) {
	p.files.Add(int64(files))
	p.bytes.Add(bytes)
}

func (p *progress) stop() {
	close(p.quit)
	<-p.ended
}

func terminal() bool {
	_, err := unix.IoctlGetWinsize(int(os.Stderr.Fd()), unix.TIOCGWINSZ)
	return err == nil && os.Getenv("NO_COLOR") == ""
}
