package kind

import (
	"context"
	"errors"
	"slices"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/check"
	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
	"github.com/sidecar-kit/sidecar/roles/adapter/mysql"
	"github.com/sidecar-kit/sidecar/roles/adapter/postgres"
	"github.com/sidecar-kit/sidecar/roles/adapter/redis"
)

// makeMySQL reads {dsn-file: ..., query: ..., expect: JQ}.
func makeMySQL(v draft.Value, _ *Env, s *check.Spec) error {
	rest, query, expect, err := cut(v, mysql.Keys())
	o, more := mysql.Parse(rest)
	useSQL(s, o.Target(), query, expect, o.Query)
	return errors.Join(err, more)
}

// makePostgres reads the same.
func makePostgres(v draft.Value, _ *Env, s *check.Spec) error {
	rest, query, expect, err := cut(v, postgres.Keys())
	o, more := postgres.Parse(rest)
	useSQL(s, o.Target(), query, expect, o.Query)
	return errors.Join(err, more)
}

// cut takes query and expect out of a mapping.
func cut(v draft.Value, keys []string) (rest draft.Value, query string, expect *expectation, err error) {
	rest, query, expect = v, "SELECT 1", &expectation{}
	if v.Shape != draft.Map {
		return rest, query, expect, nil
	}
	rest.Pairs = nil
	err = v.Each(slices.Concat(keys, []string{"query", "expect"}), func(key string, v draft.Value) error {
		switch key {
		case "query":
			return v.Word(&query)
		case "expect":
			return expect.read(v)
		}
		rest.Pairs = append(rest.Pairs, draft.Pair{Key: key, Place: v.Place, Value: v})
		return nil
	})
	return rest, query, expect, err
}

func useSQL(s *check.Spec, target, query string, expect *expectation, ask func(ctx context.Context, query string) ([]byte, error)) {
	s.Target, s.Remote = target, true
	s.Do = func(ctx context.Context) check.Result {
		rows, err := ask(ctx, query)
		if err != nil {
			return check.Result{Detail: err.Error()}
		}
		return expect.check(ctx, single(rows), "answered")
	}
}

// single is the one value of an answer with one row of one column, which is what most queries of checks give; other answers stay a list of rows.
func single(rows []byte) []byte {
	doc, err := jq.Parse(rows, jq.Limits{})
	if err != nil || doc.Root().Len() != 1 {
		return rows
	}
	row, _ := doc.Root().At(0)
	if row.Len() != 1 {
		return rows
	}
	row.Each(func(_, value jq.Value) bool {
		rows = value.AppendJSON(nil)
		return false
	})
	return rows
}

// makeRedis reads {address: ..., expect: JQ}; the document is what INFO says.
func makeRedis(v draft.Value, _ *Env, s *check.Spec) error {
	expect := &expectation{}
	rest := v
	var err error
	if v.Shape == draft.Map {
		rest.Pairs = nil
		err = v.Each(append(redis.Keys(), "expect"), func(key string, v draft.Value) error {
			if key == "expect" {
				return expect.read(v)
			}
			rest.Pairs = append(rest.Pairs, draft.Pair{Key: key, Place: v.Place, Value: v})
			return nil
		})
	}
	o, more := redis.Parse(rest)
	s.Target, s.Remote = o.Target(), true
	s.Do = func(ctx context.Context) check.Result {
		info, err := o.Ask(ctx)
		if err != nil {
			return check.Result{Detail: err.Error()}
		}
		return expect.check(ctx, info, "PONG")
	}
	return errors.Join(err, more)
}
