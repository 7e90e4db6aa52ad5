package memory

import (
	"slices"
	"strings"
	"testing"
)

// What a position-independent program looks like: code, constants, constants that hold filled-in addresses, and data.
const smaps = `55d0a0000000-55d0a0738000 r-xp 00000000 08:01 42 /bin/sidecar
Rss:                4096 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
55d0a0738000-55d0a0eff000 r--p 00738000 08:01 42 /bin/sidecar
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd mr mw me
55d0a0eff000-55d0a10c0000 r--p 00eff000 08:01 42 /bin/sidecar
Anonymous:          1796 kB
Swap:                  0 kB
VmFlags: rd mr mw me
55d0a10c0000-55d0a1139000 rw-p 010c0000 08:01 42 /bin/sidecar
Anonymous:             0 kB
VmFlags: rd wr mr mw me
7f0000000000-7f0000100000 r--p 00000000 08:01 43 /lib/libc.so.6
Anonymous:             0 kB
VmFlags: rd mr mw me
c000000000-c000400000 rw-p 00000000 00:00 0
Anonymous:          4096 kB
VmFlags: rd wr mr mw me
`

func TestOnlyPagesThatAreInTheFileAreGivenBack(t *testing.T) {
	want := []mapping{{0x55d0a0000000, 0x55d0a0738000}, {0x55d0a0738000, 0x55d0a0eff000}}
	if got := cleanMappings(strings.NewReader(smaps), "/bin/sidecar"); !slices.Equal(got, want) {
		t.Errorf("cleanMappings = %x; want %x", got, want)
	}
	if got := cleanMappings(strings.NewReader(strings.ReplaceAll(smaps, "Swap:                  0", "Swap:                  8")), "/bin/sidecar"); len(got) != 0 {
		t.Errorf("cleanMappings with swapped pages = %x; want none", got)
	}
}
