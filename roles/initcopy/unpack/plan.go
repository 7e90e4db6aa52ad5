package unpack

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// plan is what the folder holds, or will hold. All questions of kind and order are answered here, so that the file
// system is never asked what an archive did to it.
type plan struct {
	entries []entry
	at      map[string]int // path to index in entries
	shared  map[int]bool   // files with several names
	steps   int            // of following links, see leads
}

// entry is an item with what unpacking needs to know of it.
type entry struct {
	item.Item
	named bool // by a member; not just a folder on the way to one
	owned bool // UID and GID are known
	made  bool // it is there
	gone  bool // replaced by a later member
	grew  bool // a folder that has the setgid bit of the folder it was made in
	file  int  // which file it is a name of: the index of the entry that wrote it
}

func newPlan() plan { return plan{at: map[string]int{}, shared: map[int]bool{}} }

// add takes an entry in. Folders above it that are missing are added before it. It returns the index of the entry, and of
// the file or link that it replaces, which is -1 mostly; replacing is refused with once.
func (p *plan) add(e entry, member string, once bool) (at, old int, err error) {
	if e.Path != "." {
		up, _ := split(e.Path)
		if err := p.above(up, member, e.Mtime); err != nil {
			return 0, -1, err
		}
	}
	i, exists := p.at[e.Path]
	switch {
	case !exists:
		return p.put(e), -1, nil
	case p.entries[i].Kind != e.Kind:
		return 0, -1, reject(member, fmt.Sprintf("is a %s, but an earlier member made it a %s", e.Kind, p.entries[i].Kind), "")
	case e.Kind == item.Dir:
		was := &p.entries[i]
		e.made, e.grew, e.file = was.made, was.grew, was.file
		*was = e
		return i, -1, nil
	case once:
		return 0, -1, reject(member, "is in the archive twice; programs differ in which one they take", "make the archive again")
	}
	p.entries[i].gone = true
	return p.put(e), i, nil
}

func (p *plan) put(e entry) int {
	e.file = len(p.entries)
	p.entries = append(p.entries, e)
	p.at[e.Path] = len(p.entries) - 1
	return len(p.entries) - 1
}

// above makes sure that a folder is planned, and that everything on the way to it is a folder.
func (p *plan) above(dir, member string, mtime int64) error {
	if i, ok := p.at[dir]; ok {
		if kind := p.entries[i].Kind; kind != item.Dir {
			return reject(member, fmt.Sprintf("lies below %s, which is a %s", quote(dir), kind), "")
		}
		return nil
	}
	if dir != "." {
		up, _ := split(dir)
		if err := p.above(up, member, mtime); err != nil {
			return err
		}
		p.put(entry{Item: item.Item{Path: dir, Kind: item.Dir, Mode: 0o755, Mtime: mtime}})
	}
	return nil
}

// maxLinks is how many links the kernel follows for one path; maxSteps bounds the work for all links of an archive.
const (
	maxLinks = 40
	maxSteps = 10_000_000
)

// leads follows a link through the plan, and says why it may not be made: "" when it stays in the folder, or ends where nothing is.
func (p *plan) leads(link, target string) (reason string) {
	dir, _ := split(link)
	var at []string
	if dir != "." {
		at = strings.Split(dir, "/")
	}
	todo := []string{target}
	for followed := 0; len(todo) > 0; {
		rest := todo[len(todo)-1]
		if strings.HasPrefix(rest, "/") {
			return "leads to an absolute path"
		}
		part, rest, more := strings.Cut(rest, "/")
		todo = todo[:len(todo)-1]
		if more {
			todo = append(todo, strings.TrimLeft(rest, "/"))
		}
		if p.steps++; p.steps > maxSteps {
			return "is one of too many links that lead through links"
		}
		switch part {
		case "", ".":
			continue
		case "..":
			if len(at) == 0 {
				return "leads out of the folder"
			}
			at = at[:len(at)-1]
			continue
		}
		at = append(at, part)
		if i, ok := p.at[strings.Join(at, "/")]; ok && p.entries[i].Kind == item.Symlink {
			if followed++; followed > maxLinks {
				return "leads in a circle, or through too many links"
			}
			at = at[:len(at)-1]
			todo = append(todo, p.entries[i].Link)
		}
	}
	return ""
}

// sorted are the items that are there, in the order of a scan. Of several names of one file, the first carries it.
func (p *plan) sorted() []item.Item {
	live := make([]int, 0, len(p.at))
	for i := range p.entries {
		if e := &p.entries[i]; e.made && !e.gone {
			live = append(live, i)
		}
	}
	slices.SortFunc(live, func(a, b int) int { return item.Compare(p.entries[a].Path, p.entries[b].Path) })
	items := make([]item.Item, len(live))
	first := map[int]string{}
	for n, i := range live {
		e := &p.entries[i]
		if items[n] = e.Item; p.shared[e.file] {
			if items[n].Hard = first[e.file]; items[n].Hard == "" {
				first[e.file] = e.Path
			}
		}
	}
	return items
}
