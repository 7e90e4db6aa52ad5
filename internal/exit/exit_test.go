package exit

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestCode(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"nil", nil, OK},
		{"plain", io.EOF, Failed},
		{"usage", Usagef("--repo is empty"), Usage},
		{"wrapped", fmt.Errorf("start: %w", &Error{Code: Abandoned, Err: io.EOF}), Abandoned},
		{"joined", errors.Join(io.EOF, &Error{Code: Signal(15)}), 143},
	}
	for _, tt := range tests {
		if got := Code(tt.err); got != tt.want {
			t.Errorf("%s: Code(%v) = %d; want %d", tt.name, tt.err, got, tt.want)
		}
	}
}

func TestUsagefKeepsTheCause(t *testing.T) {
	err := Usagef("read %s: %w", "x", io.EOF)
	if !errors.Is(err, io.EOF) || err.Error() != "read x: EOF" {
		t.Errorf("Usagef(...) = %q; want it to wrap EOF and read %q", err, "read x: EOF")
	}
	if got := (&Error{Code: 3}).Error(); got != "exit code 3" {
		t.Errorf("Error() = %q; want %q", got, "exit code 3")
	}
}
