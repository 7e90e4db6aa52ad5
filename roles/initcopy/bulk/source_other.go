//go:build !linux

package bulk

func (s *source) probe([]byte, int64) (n int, cold bool) { return 0, false }

func (s *source) extent(off, size int64) (data, hole int64) { return off, size }

func clone(int, int) bool { return false }

func drop(int, int64, int64) {}
