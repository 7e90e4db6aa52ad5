package estest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

type action struct {
	Index string `json:"_index"`
	ID    string `json:"_id"`
}

// store reads a bulk request and does what it says.
func (s *Server) store(index string, body []byte, f Faults) (results []map[string]any, bad bool, err error) {
	if len(body) == 0 {
		return nil, false, errors.New("request body is required")
	}
	if body[len(body)-1] != '\n' {
		return nil, false, errors.New("the bulk request must be terminated by a newline [\\n]")
	}
	lines := bytes.Split(body[:len(body)-1], []byte("\n"))
	if len(lines)%2 != 0 {
		return nil, false, fmt.Errorf("%d lines: an action without a document", len(lines))
	}
	s.Lock()
	defer s.Unlock()
	for i := 0; i < len(lines); i += 2 {
		var head map[string]action
		d := json.NewDecoder(bytes.NewReader(lines[i]))
		d.DisallowUnknownFields()
		if err := d.Decode(&head); err != nil || len(head) != 1 {
			return nil, false, fmt.Errorf("malformed action/metadata line [%d]: %.200s: %v", i+1, lines[i], err)
		}
		for op, a := range head {
			if a.Index == "" {
				a.Index = index
			}
			if err := names(op, a); err != nil {
				return nil, false, fmt.Errorf("line [%d]: %w", i+1, err)
			}
			r := s.one(op, a, lines[i+1], f, i/2)
			result := map[string]any{"_index": a.Index, "_id": a.ID, "status": r.Status}
			if r.Status/100 == 2 {
				result["_version"], result["result"], result["_seq_no"], result["_primary_term"] = 1, "created", s.items, 1
				result["_shards"] = map[string]int{"total": 2, "successful": 1, "failed": 0}
			} else {
				result["error"] = map[string]any{"type": r.Kind, "reason": r.Reason, "index_uuid": "aAsFqTI0Tc2W0LCWgPNrOA", "shard": "0", "index": a.Index}
				bad = true
			}
			s.items++
			results = append(results, map[string]any{op: result})
		}
	}
	return results, bad, nil
}

func names(op string, a action) error {
	switch {
	case op != "create" && op != "index":
		return fmt.Errorf("malformed action, found [%s]", op)
	case a.Index == "" || a.Index != strings.ToLower(a.Index) || strings.ContainsAny(a.Index, "\\/*?\"<>| ,#:") || strings.IndexByte("-_+", a.Index[0]) >= 0 ||
		a.Index == "." || a.Index == ".." || len(a.Index) > 255:
		return fmt.Errorf("invalid index name [%s]", a.Index)
	case a.ID == "" || len(a.ID) > 512:
		return fmt.Errorf("id [%s] has to be there, with at most 512 bytes", a.ID)
	}
	return nil
}

func (s *Server) one(op string, a action, doc []byte, f Faults, i int) Result {
	if r, ok := f.Item[i]; ok {
		return r
	}
	if f.EachNth > 0 && s.items%f.EachNth == 0 {
		return f.Nth
	}
	if s.Streams && op != "create" {
		return Result{http.StatusBadRequest, "illegal_argument_exception", "only write ops with an op_type of create are allowed in data streams"}
	}
	var known struct {
		Time string `json:"@timestamp"`
	}
	if len(doc) == 0 || doc[0] != '{' || json.Unmarshal(doc, &known) != nil || s.Streams && known.Time == "" {
		return Result{http.StatusBadRequest, "document_parsing_exception", "failed to parse: " + string(doc[:min(len(doc), 50)])}
	}
	key := a.Index + "/" + a.ID
	if _, ok := s.docs[key]; ok {
		s.again++
		if op == "create" {
			return Result{http.StatusConflict, "version_conflict_engine_exception", "[" + a.ID + "]: version conflict, document already exists"}
		}
		return Result{Status: http.StatusOK}
	}
	s.docs[key] = nil
	if s.Keep {
		s.docs[key] = append(json.RawMessage(nil), doc...)
	}
	return Result{Status: http.StatusCreated}
}
