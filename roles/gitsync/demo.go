package gitsync

import (
	"context"
	"io"
)

func demo(ctx context.Context, out io.Writer) error { return nil }
