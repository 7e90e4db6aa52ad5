package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sidecar-kit/sidecar/roles/logship/out/elastic/estest"
)

// logshipCommands are what scripts of the logship role need.
func logshipCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"elastic": elastic,
		"fault":   elasticFault,
		"stored":  stored,
		"addline": addLine,
		"cut":     cutFile,
		"fill":    fillFile,
	}
}

// elasticKey is under what a script keeps its server.
type elasticKey struct{}

type elasticSet struct{ server *estest.Server }

// elastic VAR starts a strict server that speaks as Elasticsearch does, and puts its address into VAR.
func elastic(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: elastic VAR")
	}
	s := estest.Start()
	ts.Defer(func() {
		s.CloseClientConnections()
		s.Close()
		if c := s.Complaints(); len(c) > 0 {
			ts.Fatalf("the server complains: %q", c)
		}
	})
	ts.Value(elasticKey{}).(*elasticSet).server = s
	ts.Setenv(args[0], strings.TrimPrefix(s.URL, "http://"))
}

// fault STATUS|reject|lost|none makes every request fail, every second document be refused, every answer be lost, or nothing.
func elasticFault(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(elasticKey{}).(*elasticSet).server
	if neg || len(args) != 1 || s == nil {
		ts.Fatalf("usage: fault STATUS|reject|lost|none, after elastic")
	}
	s.Lock()
	defer s.Unlock()
	switch args[0] {
	case "none":
		s.Fault = nil
	case "lost":
		s.Fault = func(int) estest.Faults { return estest.Faults{Drop: true} }
	case "reject":
		s.Fault = func(int) estest.Faults {
			return estest.Faults{EachNth: 2, Nth: estest.Result{Status: http.StatusBadRequest, Kind: "document_parsing_exception", Reason: "failed to parse field [status]"}}
		}
	default:
		code, err := strconv.Atoi(args[0])
		ts.Check(err)
		s.Fault = func(int) estest.Faults { return estest.Faults{Status: code, Body: `{"error":"scripted"}`} }
	}
}

// stored N [TEXT...] waits until the server has N documents and every text is in one of them. ! stored TEXT: it is in none.
func stored(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(elasticKey{}).(*elasticSet).server
	if len(args) < 1 || s == nil {
		ts.Fatalf("usage: stored N [TEXT...], ! stored TEXT, after elastic")
	}
	if neg {
		if all := strings.Join(s.All(), "\n"); strings.Contains(all, args[0]) {
			ts.Fatalf("%s is in\n%s", args[0], all)
		}
		return
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		all := s.All()
		text := strings.Join(all, "\n")
		missing := ""
		for _, want := range args[1:] {
			if !strings.Contains(text, want) {
				missing = want
			}
		}
		if len(all) == n && missing == "" {
			return
		}
		if time.Now().After(limit) || len(all) > n {
			ts.Fatalf("%d documents, want %d; %q is missing in\n%s", len(all), n, missing, text)
		}
	}
}

// addline FILE TEXT... appends a line.
func addLine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: addline FILE TEXT...")
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	_, err = fmt.Fprintln(f, strings.Join(args[1:], " "))
	ts.Check(err)
	ts.Check(f.Close())
}

// cut FILE truncates it to nothing, as logrotate's copytruncate does.
func cutFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: cut FILE")
	}
	ts.Check(os.Truncate(ts.MkAbs(args[0]), 0))
}

// fillFile FILE puts the script's variables in their places.
func fillFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fill FILE")
	}
	text := ts.ReadFile(args[0])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(os.Expand(text, ts.Getenv)), 0o600))
}
