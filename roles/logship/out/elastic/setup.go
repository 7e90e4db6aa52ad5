package elastic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/pattern"
	"github.com/sidecar-kit/sidecar/roles/logship/out/web"
)

// Setup writes an index template once, if there is none of its name.
type Setup struct {
	Name     string        // of the template; empty: sidecar- and the constant beginning of the index
	Stream   bool          // the template makes data streams, not indices
	Keep     time.Duration // the server deletes what is older, only of data streams; 0: it does not
	Shards   int           // 0: the server's choice
	Replicas int           // -1: the server's choice
}

// mappings are of the document that record.AppendJSON writes.
const mappings = `{"properties":{"@timestamp":{"type":"date_nanos"},"message":{"type":"text"},"log":{"properties":{` +
	`"level":{"type":"keyword"},"flags":{"type":"keyword"},"offset":{"type":"long"},` +
	`"file":{"properties":{"path":{"type":"keyword","ignore_above":1024}}}}}}}`

type setup struct {
	path string // empty: nothing to do
	body []byte

	mu   *sync.Mutex
	done bool
}

func (o *Setup) plan(index *pattern.Pattern) (setup, error) {
	if o == nil {
		return setup{}, nil
	}
	head, constant := index.Constant()
	matches := head
	if !constant {
		head, _, _ = strings.Cut(index.String(), "%")
		matches = head + "*"
	}
	if head == "" {
		return setup{}, fmt.Errorf("setup: index %q begins with no fixed text, so its template would match every index", index)
	}
	if o.Keep > 0 && !o.Stream {
		return setup{}, errors.New("setup: only data streams can be told how long to keep events")
	}
	settings, lifecycle, stream := []string{}, "", ""
	if o.Shards > 0 {
		settings = append(settings, fmt.Sprintf(`"index.number_of_shards":%d`, o.Shards))
	}
	if o.Replicas >= 0 {
		settings = append(settings, fmt.Sprintf(`"index.number_of_replicas":%d`, o.Replicas))
	}
	if o.Keep > 0 {
		lifecycle = fmt.Sprintf(`,"lifecycle":{"data_retention":"%ds"}`, int64(o.Keep/time.Second))
	}
	if o.Stream {
		stream = `,"data_stream":{}`
	}
	// The names of indices have no byte that JSON would have to escape.
	body := fmt.Sprintf(`{"index_patterns":["%s"],"priority":200%s,"template":{"settings":{%s},"mappings":%s%s}}`,
		matches, stream, strings.Join(settings, ","), mappings, lifecycle)
	name := o.Name
	if name == "" {
		name = "sidecar-" + strings.Trim(head, "-_.")
	}
	return setup{path: "/_index_template/" + name, body: []byte(body), mu: &sync.Mutex{}}, nil
}

// once looks for the template and writes it, before the first batch is sent.
func (s *setup) once(ctx context.Context, c *web.Client) error {
	if s.path == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return nil
	}
	drain := func(resp *http.Response) error { _, _ = io.CopyN(io.Discard, resp.Body, 64<<10); return nil }
	err := c.Do(ctx, web.Request{Method: http.MethodGet, Path: s.path}, drain)
	var status *web.Status
	if errors.As(err, &status) && status.Code == http.StatusNotFound {
		err = c.Do(ctx, web.Request{Method: http.MethodPut, Path: s.path, Body: s.body, Type: "application/json"}, drain)
	}
	if err != nil {
		if errors.As(err, &status) && status.Code/100 == 4 && status.Code != http.StatusTooManyRequests {
			return out.Fail(out.Pause, "write the index template: %w", err) // no event is to blame
		}
		return fmt.Errorf("write the index template: %w", err)
	}
	s.done = true
	return nil
}
