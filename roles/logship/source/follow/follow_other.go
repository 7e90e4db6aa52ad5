//go:build !linux

package follow

import "errors"

// Watcher watches nothing here.
type Watcher struct{ pile *pile }

// New says that folders cannot be watched: they have to be looked at now and then.
func New() (*Watcher, error) {
	return nil, errors.New("folders cannot be watched on this system, they are looked at now and then")
}

// Ready never receives.
func (w *Watcher) Ready() <-chan struct{} { return w.pile.ready }

// Take returns nothing.
func (w *Watcher) Take() []Names { return w.pile.take() }

// Add does nothing.
func (w *Watcher) Add(string) error { return nil }

// Remove does nothing.
func (w *Watcher) Remove(string) {}

// Close does nothing.
func (w *Watcher) Close() error { return nil }
