package unpack

import "github.com/sidecar-kit/sidecar/roles/initcopy/item"

// Outside lists the symbolic links of a tree that lead out of it, each with the reason. The items may come from several
// archives, each of which was without fault: two harmless links can make a harmful one.
func Outside(items []item.Item) (links []item.Item, reasons []string) {
	p := newPlan()
	for i := range items {
		p.put(entry{Item: items[i]})
	}
	for i := range items {
		if it := items[i]; it.Kind == item.Symlink {
			if reason := p.leads(it.Path, it.Link); reason != "" {
				links, reasons = append(links, it), append(reasons, reason)
			}
		}
	}
	return links, reasons
}
