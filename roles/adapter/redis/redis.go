// Package redis asks a redis server what it says of itself.
package redis

import (
	"context"
	"errors"

	"github.com/sidecar-kit/sidecar/internal/draft"
)

// Options say which server is asked, and as whom.
type Options struct{ Address string }

// Keys are the keys that Parse reads.
func Keys() []string { return []string{"address"} }

// Parse reads those keys. The error has all complaints.
func Parse(v draft.Value) (Options, error) { return Options{}, v.Errorf("not there yet") }

// Target is the server for people, without secrets.
func (o *Options) Target() string { return o.Address }

// Ask opens a connection, says PING and INFO, and closes it. The answer is a JSON object of the fields of INFO, numbers as numbers, and of role and lag.
func (o *Options) Ask(_ context.Context) ([]byte, error) { return nil, errors.New("not there yet") }
