package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func ask(t *testing.T, s *server, path, body string) (int, string) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(s.serve))
	defer srv.Close()
	resp, err := http.Post(srv.URL+path, "application/x-ndjson", strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func pair(id string, seq int) string {
	return fmt.Sprintf("{\"create\":{\"_id\":%q}}\n{\"message\":\"{\\\"seq\\\":%d}\"}\n", id, seq)
}

func TestWhatIsStoredIsCounted(t *testing.T) {
	s := &server{strict: true}
	s.stored.reset(100)
	code, text := ask(t, s, "/logs/_bulk", pair("a", 1)+pair("b", 2)+pair("a", 1)+pair("c", 2))
	if code != 200 || !json.Valid([]byte(text)) || !strings.Contains(text, `"errors":true`) || strings.Count(text, `"status":201`) != 3 {
		t.Errorf("answer %d %s; want three items of 201 and one of 409", code, text)
	}
	w := httptest.NewRecorder()
	s.missing(w, httptest.NewRequest("GET", "/_missing?upto=5", nil))
	if got := w.Body.String(); got != "3-5\n" {
		t.Errorf("missing %q; want 3-5", got)
	}
	c := s.stored.counts()
	if c.Unique != 2 || c.Doubled != 1 || c.Conflicts != 1 || c.IDs != 3 || c.Docs != 4 {
		t.Errorf("counts %+v; want 2 unique, 1 doubled, 1 conflict, 3 ids", c)
	}
	if code, _ := ask(t, s, "/lines", "seq=3 hello\nseq=4\n"); code != 200 || s.stored.c.Unique != 4 {
		t.Errorf("lines: %d, %d unique; want 200 and 4", code, s.stored.c.Unique)
	}
}

func TestLinesAreFoundInOTLP(t *testing.T) {
	s := &server{}
	s.stored.reset(100)
	code, text := ask(t, s, "/v1/logs", "\n\x12\x0a\x10{\"seq\":1,\"a\":\"b\"}\x0a\x12\n{\"seq\":27}")
	if code != 200 || text != "" || s.stored.c.Unique != 2 || s.stored.c.Highest != 27 {
		t.Errorf("%d %q, counts %+v; want 2 unique, the highest 27", code, text, s.stored.c)
	}
}

func TestFilterPathMakesAnswersShort(t *testing.T) {
	s := &server{}
	s.stored.reset(100)
	code, text := ask(t, s, "/_bulk?filter_path=errors,items.*.status,items.*.error", pair("a", 1)+pair("b", 2))
	if want := `{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}`; code != 200 || text != want {
		t.Errorf("%d %s; want %s", code, text, want)
	}
}

func TestIndexUnderTheSameIDReplaces(t *testing.T) {
	s := &server{}
	s.stored.reset(100)
	one := strings.Replace(pair("a", 1), "create", "index", 1)
	if code, _ := ask(t, s, "/_bulk", one+one); code != 200 || s.stored.c.Unique != 1 || s.stored.c.Doubled != 0 || s.stored.c.Replaced != 1 {
		t.Errorf("%d, counts %+v; want 1 unique, none doubled, 1 replaced", code, s.stored.c)
	}
}

func TestWhatIsMalformedIsRefused(t *testing.T) {
	s := &server{strict: true}
	s.stored.reset(100)
	for _, body := range []string{"{\"create\":{}}\n", "{\"create\":{}}\n{\"a\":1}", "{\"drop\":{}}\n{}\n", "{\"create\":{}}\n{\"a\":\n"} {
		if code, text := ask(t, s, "/_bulk", body); code != 400 {
			t.Errorf("%q is answered with %d %s; want 400", body, code, text)
		}
	}
	if s.stored.c.Docs != 0 || s.stored.c.Malformed != 4 {
		t.Errorf("counts %+v; want nothing stored", s.stored.c)
	}
}

func TestFaults(t *testing.T) {
	for kind, want := range map[string]struct {
		code   int
		unique int64
	}{
		"503": {503, 0}, "drop": {0, 2}, "short": {200, 2}, "refuse": {0, 0}, "item429": {200, 1}, "huge": {200, 2},
	} {
		s := &server{}
		s.stored.reset(100)
		f, err := parseFault(url.Values{"kind": {kind}, "for": {"1h"}})
		if err != nil {
			t.Fatal(err)
		}
		s.faults = append(s.faults, f)
		code, text := ask(t, s, "/_bulk", pair("a", 1)+pair("b", 2))
		if code != want.code || s.stored.c.Unique != want.unique {
			t.Errorf("%s: %d %.100s, %d stored; want %d and %d", kind, code, text, s.stored.c.Unique, want.code, want.unique)
		}
	}
	if _, err := parseFault(url.Values{"kind": {"nonsense"}}); err == nil {
		t.Error("a fault that does not exist is taken")
	}
}

func TestSetGrows(t *testing.T) {
	s := newSet(1)
	for i := range uint64(100_000) {
		if !s.add(i*2654435761 + 1) {
			t.Fatalf("%d is said to be there", i)
		}
	}
	if s.add(1) {
		t.Error("what was added is not there")
	}
}
