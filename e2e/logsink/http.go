package logsink

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"

	"github.com/golang/snappy"
	"github.com/grafana/loki/pkg/push"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Loki takes what grafana/loki takes at /loki/api/v1/push, read with its own types. One of ten requests is taken and answered with 500,
// one of eleven is not taken.
type Loki struct{ Ledger }

var labels = regexp.MustCompile(`^\{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\.)*"(?:, ?[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\.)*")*\}$`)

func (l *Loki) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := l.Ask()
	if n%11 == 0 {
		http.Error(w, "try again", http.StatusTooManyRequests)
		return
	}
	err := l.take(r)
	switch {
	case err != nil:
		http.Error(w, l.Wrong("loki: %w", err).Error(), http.StatusBadRequest)
	case n%10 == 0:
		http.Error(w, "taken, but", http.StatusInternalServerError)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (l *Loki) take(r *http.Request) error {
	if r.URL.Path != "/loki/api/v1/push" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		return fmt.Errorf("%s %s of type %q", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
	}
	body, err := snappy.Decode(nil, whole(r))
	if err != nil {
		return err
	}
	var request push.PushRequest
	if err := request.Unmarshal(body); err != nil {
		return err
	}
	for _, s := range request.Streams {
		if !labels.MatchString(s.Labels) {
			return fmt.Errorf("labels %q", s.Labels)
		}
		for _, e := range s.Entries {
			// Loki keeps one of those that are equal in stream, time and text.
			if since := time.Since(e.Timestamp); since < -time.Minute || since > time.Hour {
				return fmt.Errorf("entry of %s", e.Timestamp)
			}
			l.Take([]byte(e.Line), fmt.Sprint(s.Labels, e.Timestamp.UnixNano()))
		}
	}
	return nil
}

// OTLP takes what an OpenTelemetry collector takes at /v1/logs as protobuf. One of ten requests is taken and answered with 503, one of
// eleven is not taken.
type OTLP struct{ Ledger }

func (o *OTLP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := o.Ask()
	if n%11 == 0 {
		w.Header().Set("Retry-After", "0")
		http.Error(w, "", http.StatusTooManyRequests)
		return
	}
	if err := o.take(r); err != nil {
		http.Error(w, o.Wrong("otlp: %w", err).Error(), http.StatusBadRequest)
		return
	}
	if n%10 == 0 {
		http.Error(w, "", http.StatusServiceUnavailable)
		return
	}
	// partial_success with an error_message and no rejected_log_records is a warning.
	warning := protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), "a word of warning")
	answer := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), warning)
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer) // who went away asks again
}

func (o *OTLP) take(r *http.Request) error {
	if r.URL.Path != "/v1/logs" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		return fmt.Errorf("%s %s of type %q", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
	}
	body, err := plain(r)
	if err != nil {
		return err
	}
	var request logs.LogsData // on the wire as ExportLogsServiceRequest, which drags a gateway in
	if err := proto.Unmarshal(body, &request); err != nil {
		return err
	}
	again, err := proto.Marshal(&request)
	if err != nil || len(again) != len(body) {
		return fmt.Errorf("%d bytes come back as %d, %w", len(body), len(again), err)
	}
	for _, resource := range request.ResourceLogs {
		for _, scope := range resource.ScopeLogs {
			for _, r := range scope.LogRecords {
				id := attribute(r.Attributes, "log.record.uid")
				if id == "" || r.ObservedTimeUnixNano == 0 || attribute(r.Attributes, "log.file.path") == "" {
					return fmt.Errorf("record %s", r)
				}
				text := r.Body.GetStringValue()
				if n := number(r.Attributes, "seq"); n > 0 {
					text = fmt.Sprintf("seq=%d", n)
				}
				o.Take([]byte(text), id)
			}
		}
	}
	return nil
}

func attribute(list []*common.KeyValue, key string) string {
	for _, kv := range list {
		if kv.Key == key {
			return kv.Value.GetStringValue()
		}
	}
	return ""
}

func number(list []*common.KeyValue, key string) int64 {
	for _, kv := range list {
		if kv.Key == key {
			return kv.Value.GetIntValue()
		}
	}
	return 0
}

// Lines takes one event a line. One of ten requests is taken and not answered, one of eleven is not taken.
type Lines struct {
	Ledger
	ID func(line []byte) string
}

func (l *Lines) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := l.Ask()
	body, err := plain(r)
	switch {
	case err != nil:
		http.Error(w, l.Wrong("http: %w", err).Error(), http.StatusBadRequest)
		return
	case n%11 == 0:
		http.Error(w, "", http.StatusBadGateway)
		return
	}
	for line := range bytes.Lines(body) {
		l.Take(line, l.ID(line))
	}
	if n%10 == 0 {
		panic(http.ErrAbortHandler)
	}
}

// whole is the body of a request as it came. A request that breaks off, since its sender was killed, is none: it gets no answer and is no fault.
func whole(r *http.Request) []byte {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return body
}

// plain is the body of a request, without compression.
func plain(r *http.Request) ([]byte, error) {
	switch body := whole(r); r.Header.Get("Content-Encoding") {
	case "":
		return body, nil
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(z)
	}
	return nil, fmt.Errorf("encoding %q", r.Header.Get("Content-Encoding"))
}
