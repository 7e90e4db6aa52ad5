package logsink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
)

// Doc is a document that was stored.
type Doc struct {
	Index, ID string
	Source    map[string]any
}

// Front stands in front of a strict Elasticsearch, asks for the API key, and keeps what that stored.
type Front struct {
	Behind string // URL

	mu   sync.Mutex // guards what follows
	key  string     // empty: nobody is asked
	docs []Doc
	err  error
}

// Ask makes it ask for an API key.
func (f *Front) Ask(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.key = key
}

// Docs are the documents so far.
func (f *Front) Docs() ([]Doc, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.docs), f.err
}

func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	key := f.key
	f.mu.Unlock()
	if key != "" && r.Header.Get("Authorization") != "ApiKey "+key {
		http.Error(w, `{"error":{"type":"security_exception","reason":"missing authentication credentials"},"status":401}`, http.StatusUnauthorized)
		return
	}
	if err := f.pass(w, r); err != nil {
		f.mu.Lock()
		f.err = err
		f.mu.Unlock()
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
}

func (f *Front) pass(w http.ResponseWriter, r *http.Request) error {
	body, err := plain(r)
	if err != nil {
		return nil // the client was killed
	}
	req, err := http.NewRequest(r.Method, f.Behind+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", r.Header.Get("Content-Type"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusOK && len(body) > 0 {
		if err := f.keep(r.URL.Path, body, answer); err != nil {
			return err
		}
	}
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(answer) // who went away asks again
	return nil
}

// keep keeps the documents of a request that the answer says were stored.
func (f *Front) keep(path string, body, answer []byte) error {
	var result struct {
		Items []struct {
			Create struct {
				ID     string `json:"_id"`
				Status int    `json:"status"`
			} `json:"create"`
		} `json:"items"`
	}
	if err := json.Unmarshal(answer, &result); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	lines := bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
	if len(lines) != 2*len(result.Items) {
		return fmt.Errorf("%d lines and %d items", len(lines), len(result.Items))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, item := range result.Items {
		if item.Create.Status != http.StatusCreated {
			continue
		}
		d := Doc{Index: path, ID: item.Create.ID}
		if err := json.Unmarshal(lines[2*i+1], &d.Source); err != nil {
			return fmt.Errorf("document %s: %w", lines[2*i+1], err)
		}
		f.docs = append(f.docs, d)
	}
	return nil
}
