package apply

import (
	"context"
	"slices"
	"sync"
)

// slots bounds the requests that are on their way at one time. Those ahead do not wait behind
// others: spans keep a process of the server busy the longest, and the client makes its next
// connection meanwhile (internal/mlflow/spread.go).
type slots struct {
	mu    sync.Mutex
	free  int
	ahead []chan struct{} // who waits, the oldest first
	rest  []chan struct{}
}

// take waits for a slot, which is to be given back unless there is an error.
func (s *slots) take(ctx context.Context, ahead bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.free > 0 {
		s.free--
		s.mu.Unlock()
		return nil
	}
	mine := make(chan struct{}, 1)
	if ahead {
		s.ahead = append(s.ahead, mine)
	} else {
		s.rest = append(s.rest, mine)
	}
	s.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	is := func(c chan struct{}) bool { return c == mine }
	s.ahead, s.rest = slices.DeleteFunc(s.ahead, is), slices.DeleteFunc(s.rest, is)
	s.mu.Unlock()
	select {
	case <-mine: // given at the moment of giving up
		s.giveBack()
	default:
	}
	return ctx.Err()
}

func (s *slots) giveBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, waiting := range []*[]chan struct{}{&s.ahead, &s.rest} {
		if len(*waiting) > 0 {
			(*waiting)[0] <- struct{}{}
			*waiting = (*waiting)[1:]
			return
		}
	}
	s.free++
}
