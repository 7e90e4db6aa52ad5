package tree

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// inOrder lists a commit's objects as git sends them: a tree before what is in it.
func inOrder(m memory, commit Hash) []Hash {
	root, _, _ := Commit(m[commit].data)
	out := []Hash{commit}
	seen := map[Hash]bool{}
	var walk func(h Hash)
	walk = func(h Hash) {
		if seen[h] {
			return
		}
		seen[h] = true
		out = append(out, h)
		list, _ := Parse(m[h].data)
		for _, e := range list {
			switch e.Mode {
			case Dir:
				walk(e.Hash)
			case File, Exec, Symlink:
				if !seen[e.Hash] {
					seen[e.Hash] = true
					out = append(out, e.Hash)
				}
			}
		}
	}
	walk(root)
	return out
}

func feed(co *Checkout, m memory, commit Hash) error { return feedAll(co, m, inOrder(m, commit)) }

// feedAll gives objects as the store does: blobs by several goroutines, the rest by one.
func feedAll(co *Checkout, m memory, list []Hash) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	give := func(h Hash) {
		if err := co.Object(m[h].typ, h, m[h].data); err != nil {
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		}
	}
	for _, h := range list {
		if m[h].typ != plumbing.BlobObject {
			give(h)
			continue
		}
		wg.Go(func() { give(h) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func TestCheckoutInAnyOrderIsABuild(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	orders := map[string]func(list []Hash) []Hash{
		"as git sends": func(list []Hash) []Hash { return list },
		"backwards": func(list []Hash) []Hash {
			out := []Hash{}
			for i := len(list) - 1; i >= 0; i-- {
				out = append(out, list[i])
			}
			return out
		},
		"shuffled": func(list []Hash) []Hash {
			rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			return list
		},
		"everything twice": func(list []Hash) []Hash { return append(list, list...) },
		"each twice": func(list []Hash) []Hash {
			out := []Hash{}
			for _, h := range list {
				out = append(out, h, h)
			}
			return out
		},
		"half": func(list []Hash) []Hash {
			rnd.Shuffle(len(list)-1, func(i, j int) { list[i+1], list[j+1] = list[j+1], list[i+1] })
			return list[:len(list)/2]
		},
		"nothing": func([]Hash) []Hash { return nil },
	}
	for round := range 40 {
		m := memory{}
		tree := m.write(randomTree(rnd))
		commit := m.commit(tree)
		_, want, _ := built(t, Node{m, tree}, nil)
		for name, order := range orders {
			f, dir := folder(t)
			co := NewCheckout(f, commit, Rules{}, Options{Links: KeepLinks, Sync: round%20 == 0})
			if err := feedAll(co, m, order(inOrder(m, commit))); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			records, err := co.Finish(t.Context(), m)
			if err != nil {
				t.Fatalf("%s: Finish = %v", name, err)
			}
			if g, w := look(t, dir), look(t, want); g != w {
				t.Fatalf("%s: Checkout made\n%s; Build\n%s", name, g, w)
			}
			if bad := Verify(f, records); len(bad) > 0 || len(records) != len(items(t, Node{m, tree}, Rules{})) {
				t.Fatalf("%s: %d records, of which bad %v", name, len(records), bad)
			}
		}
	}
}

func TestCheckoutRefusesHostileTrees(t *testing.T) {
	m := memory{}
	blob := m.put(plumbing.BlobObject, []byte("x"))
	for name, e := range map[string]Entry{
		"git folder": {".git", Dir, m.write(map[string]leaf{"config": {File, "x"}})}, "way up": {"..", Dir, m.write(nil)},
		"slash": {"a/b", File, blob}, "mode": {"a", 0o100777, blob},
	} {
		commit := m.commit(m.tree(Entry{"sub", Dir, m.tree(e)}))
		f, dir := folder(t)
		co := NewCheckout(f, commit, Rules{}, Options{})
		err := feed(co, m, commit)
		if err == nil {
			_, err = co.Finish(t.Context(), m)
		}
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v; want ErrRefused", name, err)
		}
		if got := look(t, dir); got != ". dir 755\n" && got != ". dir 755\nsub dir 755\n" {
			t.Errorf("%s left\n%s", name, got)
		}
	}
}

func TestCheckoutOfACommitThatIsNone(t *testing.T) {
	m := memory{}
	f, _ := folder(t)
	for name, h := range map[string]Hash{
		"missing": {1}, "a blob": m.put(plumbing.BlobObject, []byte("x")), "no tree": m.put(plumbing.CommitObject, []byte("parent x")),
		"a tree that is a blob": m.commit(m.put(plumbing.BlobObject, []byte("y"))),
	} {
		co := NewCheckout(f, h, Rules{}, Options{})
		if o, ok := m[h]; ok {
			_ = co.Object(o.typ, h, o.data)
		}
		if _, err := co.Finish(t.Context(), m); err == nil {
			t.Errorf("%s: Finish took it", name)
		}
	}
}
