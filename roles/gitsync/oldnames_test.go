package gitsync

import (
	"path/filepath"
	"testing"
)

func TestPresetRootIsAFolderThatExists(t *testing.T) {
	dir := t.TempDir()
	if got := presetRoot(filepath.Join(dir, "none"), dir); got != dir {
		t.Errorf("presetRoot(none, %s) = %q; want %q", dir, got, dir)
	}
	if got := presetRoot(filepath.Join(dir, "none")); got != "" {
		t.Errorf("presetRoot(none) = %q; want nothing", got)
	}
}
