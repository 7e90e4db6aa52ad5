package main

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

func TestOddityKnowsWhatIsMalformed(t *testing.T) {
	const head = "POST /a?b HTTP/1.1\r\nHost: h:80\r\n"
	for _, good := range []string{
		"",
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		head + "Content-Length: 5\r\nX-A: caf\xe9\r\n\r\nhelloGET /b HTTP/1.0\r\n\r\n",
		head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: a\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
		head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhel", // broken off
		head + "Transfer-Encoding: chunked\r\n\r\n5",
		head + "Content-Length: 5\r\n\r\nhe",
		head,
	} {
		if got := oddity(good); got != "" {
			t.Errorf("oddity(%q) = %q; want nothing", good, got)
		}
	}
	for _, bad := range []string{
		"GET / HTTP/1.1\r\n\r\n",
		"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
		"GET / HTTP/1.1\nHost: h\n\n",
		head + "X: a\x00\r\n\r\n",
		head + "X\x80: a\r\n\r\n",
		head + "X : a\r\n\r\n",
		head + "X: a\n b\r\n\r\n",
		head + "X: a\r\n b\r\n\r\n",
		head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		head + "Content-Length: +5\r\n\r\n",
		head + "Transfer-Encoding: chunked, chunked\r\n\r\n",
		head + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
		head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
		head + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
		head + "Content-Length: 0\r\n\r\nG G\r\n\r\n",
	} {
		if oddity(bad) == "" {
			t.Errorf("oddity(%q) finds nothing", bad)
		}
	}
}

// What is in the table has to be wrong: an application that gets it as it is has got something malformed. Exceptions are right by
// themselves, and wrong for a proxy only.
func TestTheTableOfMalformedRequestsIsMalformed(t *testing.T) {
	forProxies := []string{"length name with an underline", "host and target differ", "field of 40 KB", "two hundred fields", "fragment in the target", "lines that end with CR", "version 0.9", "equal lengths"}
	for name, request := range malformed() {
		if oddity(request) == "" && !slices.Contains(forProxies, name) {
			t.Errorf("%s: oddity(%.80q) finds nothing", name, request)
		}
	}
}

func TestRoundsAlternateAndLeaveOutWhoFails(t *testing.T) {
	us, a, b := &contender{name: "us"}, &contender{name: "a"}, &contender{name: "b"}
	var order strings.Builder
	s, missing, err := rounds(2, []*contender{us, a, b}, func(c *contender) (lab.Sample, error) {
		order.WriteString(c.name + " ")
		if c == b && strings.Count(order.String(), "b") == 2 {
			return nil, errors.New("broke")
		}
		return lab.Sample{"cpu": 1}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if order.String() != "us a b b a us us a " {
		t.Errorf("order %q", order.String())
	}
	if len(s[us]) != 2 || len(s[a]) != 2 || s[b] != nil || len(missing) != 1 {
		t.Errorf("samples %v, missing %v", s, missing)
	}
	if _, _, err := rounds(1, []*contender{us}, func(*contender) (lab.Sample, error) { return nil, errors.New("broke") }); err == nil {
		t.Error("our own failure was lost")
	}
}

func TestWorkIsJudgedByTheRatioOfTheOthersCost(t *testing.T) {
	ours := []lab.Sample{{"cpu": 1}, {"cpu": 2}, {"cpu": 1}}
	theirs := []lab.Sample{{"cpu": 1.2}, {"cpu": 2.4}, {"cpu": 3}}
	r := work("x", compare(ours, theirs, "cpu"), microseconds, 1.0, 1.3)
	if r.verdict() != "floor met" || r.ratio != "1.20x (1.20 to 3.00)" {
		t.Errorf("%+v: %s; want floor met at 1.20x", r, r.verdict())
	}
	if v := work("x", compare(theirs, ours, "cpu"), microseconds, 1.0, 1.3).verdict(); v != "**missed**" {
		t.Errorf("verdict %q; want missed", v)
	}
}

func TestReadWrkSeesFailures(t *testing.T) {
	s, err := readWrk("  25625 requests in 1.50s, 30.00MB read\n  Socket errors: connect 0, read 2, write 0, timeout 1\n  Non-2xx or 3xx responses: 4\n")
	if err != nil || s["count"] != 25625 || s["seconds"] != 1.5 || s["failed"] != 7 {
		t.Errorf("%v, %v", s, err)
	}
	if _, err := readWrk("unable to connect"); err == nil {
		t.Error("no figures, and no error")
	}
}

func TestStartReportsWhatAProgramSaidBeforeItEnded(t *testing.T) {
	if _, err := exec.LookPath("taskset"); err != nil {
		t.Skip("taskset is not installed")
	}
	r := &rig{dir: t.TempDir()}
	defer r.close()
	_, err := r.start("x", loadCPU, "127.0.0.1:1", "sh", "-c", "echo no such option >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), "no such option") {
		t.Errorf("err = %v; want what it said", err)
	}
}
