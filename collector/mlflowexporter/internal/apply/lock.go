package apply

import (
	"slices"
	"sync"
)

// locks are mutexes by name that exist while somebody wants them.
type locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	sync.Mutex
	users int
}

// lock takes all the names, in sorted order so that two callers never wait for each
// other, and gives back what releases them.
func (l *locks) lock(names []string) (unlock func()) {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	taken := make([]*lock, len(names))
	for i, name := range names {
		l.mu.Lock()
		if l.held == nil {
			l.held = map[string]*lock{}
		}
		one := l.held[name]
		if one == nil {
			one = &lock{}
			l.held[name] = one
		}
		one.users++
		l.mu.Unlock()
		one.Lock()
		taken[i] = one
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for i, one := range taken {
			one.Unlock()
			if one.users--; one.users == 0 {
				delete(l.held, names[i])
			}
		}
	}
}
