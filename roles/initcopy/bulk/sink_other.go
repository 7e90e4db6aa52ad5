//go:build !linux

package bulk

import "errors"

// Other systems get the content through the cache.

func (s *sink) goDirect() {}

func (s *sink) setDirect(bool) error { return nil }

func (s *sink) behind(int64) error { return nil }

func (s *source) setDirect(bool) error { return errors.ErrUnsupported }
