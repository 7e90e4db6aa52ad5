//go:build !linux

package hold

import (
	"fmt"
	"os"
)

func link(_, d *os.File, _ string) error {
	return fmt.Errorf("%w: %s: links by descriptor exist on Linux only", ErrImpossible, d.Name())
}

// Punch works on Linux only.
func Punch(f *os.File, _ int64) (int64, error) {
	return 0, fmt.Errorf("%s: giving back blocks works on Linux only", f.Name())
}
