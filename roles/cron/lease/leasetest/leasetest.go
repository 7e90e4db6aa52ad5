// Package leasetest is an API server that knows Leases only, for tests: optimistic concurrency as the real one has it, and faults on request.
// With Client it is asked without a network, so that it works in a bubble of testing/synctest.
package leasetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault is what goes wrong with one request.
type Fault struct {
	Status     int           // answered instead of being done
	RetryAfter string        // with Status
	Body       string        // answered instead of the Lease, after it was done
	Before     time.Duration // until it is done, also when the client has gone
	After      time.Duration // from then until it is answered
	Drop       bool          // done, but the answer is lost
	Refuse     bool          // not even done
}

// Server keeps Leases. The zero value is ready.
type Server struct {
	// Fault, where set, is asked about every request.
	Fault func(*http.Request) Fault
	// Token, where set, is what a request must carry.
	Token string

	mu      sync.Mutex
	version int
	leases  map[string]map[string]any
	served  int
}

// Served returns how many requests were done.
func (s *Server) Served() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served
}

// Lease returns a Lease as JSON, "" when there is none.
func (s *Server) Lease(namespace, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lease, ok := s.leases[namespace+"/"+name]
	if !ok {
		return ""
	}
	data, _ := json.Marshal(lease) // it was JSON
	return string(data)
}

// Delete removes a Lease.
func (s *Server) Delete(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.leases, namespace+"/"+name)
}

// Edit changes a Lease as kubectl does, and gives it a new version.
func (s *Server) Edit(namespace, name string, change func(lease map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lease := s.leases[namespace+"/"+name]
	change(lease)
	s.version++
	lease["metadata"].(map[string]any)["resourceVersion"] = strconv.Itoa(s.version)
}

// Client asks the server within the process. Every client may have a fault of its own beside the server's.
func (s *Server) Client(fault func(*http.Request) Fault) *http.Client {
	return &http.Client{Transport: transport{s, fault}}
}

type transport struct {
	server *Server
	fault  func(*http.Request) Fault
}

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	var fault Fault
	if t.fault != nil {
		fault = t.fault(req)
	}
	if fault == (Fault{}) && t.server.Fault != nil {
		fault = t.server.Fault(req)
	}
	if fault.Refuse {
		return nil, errors.New("connection refused")
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	answered := make(chan *http.Response, 1)
	go func() { // a request that was sent is done whether or not somebody waits
		w := httptest.NewRecorder()
		sent := req.Clone(context.WithoutCancel(req.Context()))
		sent.Body = io.NopCloser(bytes.NewReader(body))
		t.server.serve(w, sent, fault)
		answered <- w.Result()
	}()
	select {
	case resp := <-answered:
		if fault.Drop {
			return nil, errors.New("connection reset by peer")
		}
		return resp, nil
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

// ServeHTTP is the server on a network.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var fault Fault
	if s.Fault != nil {
		fault = s.Fault(r)
	}
	if fault.Refuse {
		panic(http.ErrAbortHandler)
	}
	done := httptest.NewRecorder()
	s.serve(done, r, fault)
	if fault.Drop {
		panic(http.ErrAbortHandler)
	}
	for name, values := range done.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(done.Code)
	_, _ = w.Write(done.Body.Bytes())
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, fault Fault) {
	time.Sleep(fault.Before) // not until the client goes: a server that is slow writes all the same, and that is what has to be survived
	switch {
	case s.Token != "" && r.Header.Get("Authorization") != "Bearer "+s.Token:
		refuse(w, http.StatusUnauthorized, "Unauthorized")
	case fault.Status != 0:
		if fault.RetryAfter != "" {
			w.Header().Set("Retry-After", fault.RetryAfter)
		}
		refuse(w, fault.Status, "injected")
	case fault.Body != "":
		s.do(httptest.NewRecorder(), r)
		_, _ = io.WriteString(w, fault.Body)
	default:
		s.do(w, r)
	}
	time.Sleep(fault.After)
}

func refuse(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code})
}

// do is what a real server does, in one step.
func (s *Server) do(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.served++
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/apis/coordination.k8s.io/v1/namespaces/"), "/")
	var sent map[string]any
	if r.Method != http.MethodGet {
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	meta, _ := sent["metadata"].(map[string]any)
	switch {
	case len(parts) == 2 && parts[1] == "leases" && r.Method == http.MethodPost:
		s.create(w, parts[0]+"/"+fmt.Sprint(meta["name"]), sent, meta)
	case len(parts) == 3 && parts[1] == "leases" && s.leases[parts[0]+"/"+parts[2]] == nil:
		refuse(w, http.StatusNotFound, fmt.Sprintf("leases.coordination.k8s.io %q not found", parts[2]))
	case len(parts) == 3 && r.Method == http.MethodGet:
		_ = json.NewEncoder(w).Encode(s.leases[parts[0]+"/"+parts[2]])
	case len(parts) == 3 && r.Method == http.MethodPut:
		key := parts[0] + "/" + parts[2]
		now := s.leases[key]["metadata"].(map[string]any)["resourceVersion"]
		if meta["resourceVersion"] != now {
			refuse(w, http.StatusConflict, "the object has been modified; please apply your changes to the latest version and try again")
			return
		}
		s.store(w, key, sent, meta)
	default:
		refuse(w, http.StatusNotFound, "the server could not find the requested resource")
	}
}

func (s *Server) create(w http.ResponseWriter, key string, sent, meta map[string]any) {
	if s.leases[key] != nil {
		refuse(w, http.StatusConflict, "already exists")
		return
	}
	if s.leases == nil {
		s.leases = map[string]map[string]any{}
	}
	s.store(w, key, sent, meta)
}

func (s *Server) store(w http.ResponseWriter, key string, sent, meta map[string]any) {
	spec, _ := sent["spec"].(map[string]any)
	for _, name := range []string{"renewTime", "acquireTime"} {
		if _, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", fmt.Sprint(spec[name])); err != nil || meta == nil {
			refuse(w, http.StatusUnprocessableEntity, name+": "+fmt.Sprint(err))
			return
		}
	}
	s.version++
	meta["resourceVersion"] = strconv.Itoa(s.version)
	s.leases[key] = sent
	_ = json.NewEncoder(w).Encode(sent)
}
