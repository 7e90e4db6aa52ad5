package h2

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/proxy/web"
)

// TestH2spec runs by hand, with the path of the program (github.com/summerwind/h2spec) in H2SPEC. The bar is 138 of 145.
func TestH2spec(t *testing.T) {
	program := os.Getenv("H2SPEC")
	if program == "" {
		t.Skip("H2SPEC is not set")
	}
	f := through(t, one(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "hello")
	}), web.Limits{})
	host, port, _ := strings.Cut(f.addr, ":")
	out, err := exec.CommandContext(t.Context(), program, "-h", host, "-p", port, "-t", "-k", "-o", "2").CombinedOutput()
	t.Logf("%s\n%v", out, err)
}
