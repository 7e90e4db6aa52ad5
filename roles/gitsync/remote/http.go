package remote

import (
	"context"
	"errors"
)

type httpRemote struct {
	cfg Config
	loc location
}

func openHTTP(cfg Config, loc location) (Remote, error) {
	return &httpRemote{cfg: cfg, loc: loc}, nil
}

func (h *httpRemote) List(ctx context.Context, prefixes []string) ([]Ref, error) {
	return nil, errors.ErrUnsupported
}

func (h *httpRemote) Fetch(ctx context.Context, req FetchRequest) (*FetchResponse, error) {
	return nil, errors.ErrUnsupported
}

func (h *httpRemote) Close() error { return nil }
