package unpack

import (
	"testing"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

func TestHarmlessLinksOfTwoArchivesThatLeadOutTogether(t *testing.T) {
	link := func(path, to string) item.Item { return item.Item{Path: path, Kind: item.Symlink, Link: to} }
	up, down := link("a/b/up", "../.."), link("out", "a/b/up/..")
	for _, alone := range []item.Item{up, down} {
		if links, _ := Outside([]item.Item{alone}); len(links) != 0 {
			t.Errorf("Outside(%v) = %v; want none", alone, links)
		}
	}
	links, reasons := Outside([]item.Item{up, down, link("ok", "a")})
	if len(links) != 1 || links[0].Path != "out" || reasons[0] != "leads out of the folder" {
		t.Errorf("Outside = %v, %v; want out", links, reasons)
	}
}
