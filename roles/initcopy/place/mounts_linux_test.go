package place

import (
	"slices"
	"testing"
)

func TestMountPoints(t *testing.T) {
	const info = "22 1 0:20 / / rw - ext4 /dev/vda rw\n30 22 0:21 / /a\\040b\\134c rw shared:1 - tmpfs none rw\nshort\n\n"
	if got, want := mountPoints(info), []string{"/", `/a b\c`}; !slices.Equal(got, want) {
		t.Errorf("mountPoints = %q; want %q", got, want)
	}
	if !slices.Contains(Mounts(), "/proc") {
		t.Skip("/proc is not mounted")
	}
}
