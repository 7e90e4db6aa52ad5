package lease

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"
)

const (
	microTime  = "2006-01-02T15:04:05.000000Z07:00"
	annotation = "sidecar-kit.github.io/cron-last"
)

// record is a Lease. What it does not know of is kept and written back.
type record struct {
	top, meta, spec map[string]json.RawMessage
	annotations     map[string]string

	holder, renewed, acquired string
	transitions               int64
	duration                  time.Duration
	last                      time.Time
}

func decode(data []byte) (record, error) {
	var r record
	if err := json.Unmarshal(data, &r.top); err != nil {
		return r, fmt.Errorf("not a Lease: %w", err)
	}
	var known struct {
		Kind     string
		Metadata struct{ ResourceVersion string }
		Spec     struct {
			HolderIdentity, RenewTime, AcquireTime string
			LeaseTransitions, LeaseDurationSeconds int64
		}
	}
	var annotations struct {
		Metadata struct{ Annotations map[string]string }
	}
	err := errors.Join(json.Unmarshal(data, &known), json.Unmarshal(data, &annotations), part(r.top["metadata"], &r.meta), part(r.top["spec"], &r.spec))
	if err == nil && (known.Kind != "Lease" || known.Metadata.ResourceVersion == "") {
		err = errors.New("no kind Lease or no resourceVersion")
	}
	if err != nil {
		return r, fmt.Errorf("not a Lease: %w", err)
	}
	s := known.Spec
	r.annotations = annotations.Metadata.Annotations
	r.holder, r.renewed, r.acquired, r.transitions = s.HolderIdentity, s.RenewTime, s.AcquireTime, s.LeaseTransitions
	r.duration = time.Duration(min(max(s.LeaseDurationSeconds, 0), 3600)) * time.Second
	if text := r.annotations[annotation]; text != "" {
		if r.last, err = time.Parse(time.RFC3339, text); err != nil {
			return r, fmt.Errorf("annotation %s of the Lease: %q: want a time such as 2026-01-31T02:30:00Z, or none", annotation, text)
		}
		r.last = r.last.UTC()
	}
	return r, nil
}

// part reads an object, or none.
func part(data json.RawMessage, into *map[string]json.RawMessage) error {
	if data == nil {
		return nil
	}
	return json.Unmarshal(data, into)
}

// encode changes nothing that r shares with other records.
func (r record) encode(namespace, name string) ([]byte, error) {
	var failed error
	set := func(m map[string]json.RawMessage, key string, value any) {
		data, err := json.Marshal(value)
		failed = errors.Join(failed, err)
		m[key] = data
	}
	top, meta, spec, annotations := clone(r.top), clone(r.meta), clone(r.spec), maps.Clone(r.annotations)
	if !r.last.IsZero() {
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[annotation] = r.last.UTC().Format(time.RFC3339)
	}
	set(spec, "holderIdentity", r.holder)
	set(spec, "renewTime", r.renewed)
	set(spec, "acquireTime", r.acquired)
	set(spec, "leaseTransitions", r.transitions)
	set(spec, "leaseDurationSeconds", int64((r.duration+time.Second-1)/time.Second))
	set(meta, "name", name)
	set(meta, "namespace", namespace)
	if annotations != nil {
		set(meta, "annotations", annotations)
	}
	set(top, "apiVersion", "coordination.k8s.io/v1")
	set(top, "kind", "Lease")
	set(top, "metadata", meta)
	set(top, "spec", spec)
	data, err := json.Marshal(top)
	return data, errors.Join(failed, err)
}

func clone(m map[string]json.RawMessage) map[string]json.RawMessage {
	if m == nil {
		return map[string]json.RawMessage{}
	}
	return maps.Clone(m)
}
