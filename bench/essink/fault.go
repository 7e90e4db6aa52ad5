package main

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fault is a way to fail, for some requests, for some time.
type fault struct {
	kind  string
	every int64 // of every so many requests one
	until time.Time
	hold  time.Duration
}

func kinds() []string {
	return []string{"none", "503", "429", "401", "403", "hang", "refuse", "drop", "item429", "item400", "item503", "short", "huge", "empty"}
}

func parseFault(q url.Values) (*fault, error) {
	f := &fault{kind: q.Get("kind"), every: 1, hold: time.Minute}
	if !slices.Contains(kinds(), f.kind) {
		return nil, fmt.Errorf("kind %q is none of %s", f.kind, strings.Join(kinds(), ", "))
	}
	if text := q.Get("every"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("every %q is no number", text)
		}
		f.every = n
	}
	for _, d := range []struct {
		key string
		set func(time.Duration)
	}{
		{"for", func(d time.Duration) { f.until = time.Now().Add(d) }},
		{"hold", func(d time.Duration) { f.hold = d }},
	} {
		if text := q.Get(d.key); text != "" {
			v, err := time.ParseDuration(text)
			if err != nil {
				return nil, err
			}
			d.set(v)
		}
	}
	return f, nil
}

// active is the fault for the request of now, or nil. It is called with mu held.
func (s *server) active(now time.Time) *fault {
	s.faults = slices.DeleteFunc(s.faults, func(f *fault) bool { return !f.until.IsZero() && now.After(f.until) })
	for _, f := range s.faults {
		if s.number%f.every == 0 {
			s.stored.c.Faults++
			return f
		}
	}
	return nil
}

func kind(f *fault) string {
	if f == nil {
		return ""
	}
	return f.kind
}
