// Package mysql asks a server one question and gives the answer as JSON.
package mysql

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

// Query opens a connection, asks, and closes it. The answer is a JSON list with an object for each row; it is bounded.
func (o *Options) Query(_ context.Context, _ string) ([]byte, error) {
	return nil, errors.New("not there yet")
}
