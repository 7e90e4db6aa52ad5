// Package follow tells which names of which folders may have changed: by inotify on Linux, elsewhere and where that fails not at
// all. What it says is a hint to look, never a fact; whoever uses it looks now and then without one. Its user is source.
package follow

import "sync"

// Names are what may have changed in a folder.
type Names struct {
	Folder string
	Names  []string
	All    bool // more than could be counted: look at everything
}

// pile collects hints until they are taken.
type pile struct {
	mu    sync.Mutex // guards what follows
	dirs  map[string]map[string]bool
	all   map[string]bool
	ready chan struct{}
}

func newPile() *pile {
	return &pile{dirs: map[string]map[string]bool{}, all: map[string]bool{}, ready: make(chan struct{}, 1)}
}

func (p *pile) add(dir string, name []byte) {
	p.mu.Lock()
	names := p.dirs[dir]
	if names == nil {
		names = map[string]bool{}
		p.dirs[dir] = names
	}
	if !names[string(name)] {
		names[string(name)] = true
	}
	p.mu.Unlock()
}

func (p *pile) addAll(dir string) {
	p.mu.Lock()
	p.all[dir] = true
	p.mu.Unlock()
}

func (p *pile) signal() {
	select {
	case p.ready <- struct{}{}:
	default:
	}
}

func (p *pile) take() []Names {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Names
	for dir := range p.all {
		list = append(list, Names{Folder: dir, All: true})
	}
	for dir, names := range p.dirs {
		if p.all[dir] {
			continue
		}
		n := Names{Folder: dir}
		for name := range names {
			n.Names = append(n.Names, name)
		}
		list = append(list, n)
	}
	clear(p.all)
	clear(p.dirs)
	return list
}
