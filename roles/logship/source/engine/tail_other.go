//go:build !linux

package engine

import "os"

// descriptorName is the name that the file was opened with: there is no other here. A rotation may confuse this engine.
func descriptorName(f *os.File) string { return f.Name() }
