package source

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/roles/logship/hold"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// BenchmarkNext reads lines of 135 bytes. ns/op is for one line.
func BenchmarkNext(b *testing.B) {
	dir := b.TempDir()
	line := `{"time":"2026-01-01T00:00:00Z","level":"info","msg":"` + strings.Repeat("x", 135-56) + "\"}\n"
	line = line[len(line)-135:]
	const n = 500_000
	if err := os.WriteFile(filepath.Join(dir, "a.log"), []byte(strings.Repeat(line, n)), 0o600); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(135)
	done := 0
	for done < b.N {
		set, r, stop := open(b, dir)
		ctx := b.Context()
		set.Finish(ctx)
		for {
			block, err := r.Next(ctx)
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			done += len(block.Lines)
			block.Release()
		}
		stop()
	}
}

// open reads a folder.
func open(b *testing.B, dir string) (*Set, *Reader, func()) {
	b.Helper()
	store, err := state.Open(b.TempDir(), zerolog.Nop())
	if err != nil {
		b.Fatal(err)
	}
	in := Default()
	in.Name, in.Paths = "app", []string{filepath.Join(dir, "*.log")}
	set, err := New(Config{Inputs: []Input{in}, Store: store, Pins: hold.NewPins(), Log: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	r := set.Reader("out", []string{"app"})
	ctx, cancel := context.WithCancel(b.Context())
	end := make(chan struct{})
	go func() { defer close(end); _ = set.Run(ctx) }()
	return set, r, func() { cancel(); <-end; store.Close() }
}
