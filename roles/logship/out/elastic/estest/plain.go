package estest

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
)

// Start starts a server outside of a test's own life: who starts it closes it, and asks for Complaints.
func Start() *Server {
	s := &Server{docs: map[string]json.RawMessage{}, templates: map[string]string{}, Keep: true}
	s.Server = httptest.NewServer(s)
	return s
}

// Complaints are the requests that a real server would have refused.
func (s *Server) Complaints() []string { s.Lock(); defer s.Unlock(); return slices.Clone(s.complain) }

// All are the documents, with Keep.
func (s *Server) All() (docs []string) {
	s.Lock()
	defer s.Unlock()
	for _, d := range s.docs {
		docs = append(docs, string(d))
	}
	slices.Sort(docs)
	return docs
}
