package kind

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/adapter/check"
	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
	"github.com/sidecar-kit/sidecar/roles/adapter/source"
)

// makeHTTP reads an address of sidecar probe, or {url: ..., expect: JQ, match: REGEX} with the keys of a source that is asked over HTTP.
func makeHTTP(v draft.Value, _ *Env, s *check.Spec) error {
	if v.Shape == draft.Word {
		return useProbe(v.Text, v, s)
	}
	var expect expectation
	var match *regexp.Regexp
	rest := v
	rest.Pairs = nil
	known := slices.Concat(source.Keys(), []string{"expect", "match"})
	err := v.Each(known, func(key string, v draft.Value) error {
		switch key {
		case "expect":
			return expect.read(v)
		case "match":
			var text string
			if err := v.Word(&text); err != nil {
				return err
			}
			var err error
			if match, err = regexp.Compile(text); err != nil {
				return v.Errorf("%w", err)
			}
			return nil
		case "file", "command", "format", "cache", "stale-if-error", "max-age", "timeout":
			return v.Errorf("a check over HTTP has no %s of its own", key)
		}
		rest.Pairs = append(rest.Pairs, draft.Pair{Key: key, Place: v.Place, Value: v})
		return nil
	})
	o, more := source.Parse(s.Name, rest)
	if err = errors.Join(err, more); err != nil {
		return err
	}
	o.MaxBody, o.MaxSize = min(o.MaxBody, 1<<20), min(o.MaxSize, 4<<20)
	s.Target, s.Remote = o.URL.Redacted(), !slices.Contains([]string{"127.0.0.1", "localhost", "::1"}, o.URL.Hostname())
	// Certificates are read when the check is made to look the first time, so that a check that is only validated needs no files.
	s.Do = lazily(func() (check.Doer, error) {
		o.Timeout = s.Timeout + 100*time.Millisecond // the context of a look ends before, and says why
		web, err := source.NewWeb(o)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) check.Result { return lookHTTP(ctx, web, &expect, match) }, nil
	})
	return nil
}

func lookHTTP(ctx context.Context, web *source.Web, expect *expectation, match *regexp.Regexp) check.Result {
	body, err := web.Get(ctx)
	if err != nil {
		return check.Result{Detail: err.Error()}
	}
	if match != nil && !match.Match(body.Data) {
		return check.Result{Detail: fmt.Sprintf("its body (%d bytes) does not match %q", len(body.Data), match)}
	}
	return expect.check(ctx, body.Data, "an answer of "+fmt.Sprint(len(body.Data))+" bytes")
}

// lazily makes a check at its first look, again each time until that works. The scheduler never calls it twice at once.
func lazily(make func() (check.Doer, error)) check.Doer {
	var do check.Doer
	return func(ctx context.Context) check.Result {
		if do == nil {
			var err error
			if do, err = make(); err != nil {
				return check.Result{Detail: err.Error()}
			}
		}
		return do(ctx)
	}
}

// expectation is a jq query that has to hold.
type expectation struct{ query *jq.Query }

func (e *expectation) read(v draft.Value) error {
	var text string
	if err := v.Word(&text); err != nil {
		return err
	}
	var err error
	if e.query, err = jq.Compile(text); err != nil {
		return v.Errorf("%w", err)
	}
	return nil
}

// check asks the query about a JSON document; said is the detail when no query is there.
func (e *expectation) check(ctx context.Context, document []byte, said string) check.Result {
	if e.query == nil {
		return check.Result{OK: true, Detail: said}
	}
	doc, err := jq.Parse(document, jq.Limits{})
	if err != nil {
		return check.Result{Detail: "the answer is no JSON: " + err.Error()}
	}
	ok, err := e.query.Expect(ctx, doc.Root())
	if err != nil {
		return check.Result{Detail: fmt.Sprintf("expect %s: %v", e.query, err)}
	}
	shown := short(document)
	if !ok {
		return check.Result{Detail: fmt.Sprintf("%s does not hold for %s", e.query, shown), Value: shown}
	}
	return check.Result{OK: true, Detail: fmt.Sprintf("%s holds", e.query), Value: shown}
}

// short is the beginning of a document, for people: on one line, since what an application says must not look like lines of ours.
func short(document []byte) string {
	const most = 120
	if len(document) <= most {
		return secret.Printable(string(document))
	}
	end := most
	for end > most-utf8.UTFMax && !utf8.RuneStart(document[end]) {
		end--
	}
	return secret.Printable(string(document[:end])) + "…"
}
