package apply

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
)

// ItemError says what went wrong with one job.
type ItemError struct {
	TraceID string // hex
	// Permanent says that trying again would not help, and that the item has been dealt
	// with.
	Permanent bool
	Err       error
}

func (e *ItemError) Error() string { return fmt.Sprintf("trace %s: %v", e.TraceID, e.Err) }
func (e *ItemError) Unwrap() error { return e.Err }

// Errors takes an error of Apply apart.
func Errors(err error) []*ItemError {
	var items []*ItemError
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			items = append(items, Errors(e)...)
		}
		return items
	}
	var item *ItemError
	if errors.As(err, &item) {
		return []*ItemError{item}
	}
	return nil
}

// RetryAfter is how long the server asked to be left alone, at most MaxRetryAfter; 0 means
// that it did not.
func RetryAfter(err error) time.Duration {
	var longest time.Duration
	for _, item := range Errors(err) {
		var e *mlflow.Error
		var away *awayError
		switch {
		case errors.As(item, &away):
			longest = max(longest, away.after)
		case errors.As(item, &e):
			longest = max(longest, e.RetryAfter)
		}
	}
	return min(longest, MaxRetryAfter)
}

// finalError is an error that no repetition mends.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// permanent reports whether trying again is in vain. Wrong credentials and a host name
// that the server refuses are not: a person mends them, and until then the queue on disk
// is a better place than the dead-letter directory.
func permanent(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var final finalError
	if errors.As(err, &final) {
		return true
	}
	var e *mlflow.Error
	return errors.As(err, &e) && !e.Retryable() && !e.Configuration()
}

// failures tells a request that fails by itself from a server that is down: both may
// answer 500. A request is given up when it was answered with 500 eight times, and
// meanwhile the server did the same for others.
type failures struct {
	mu    sync.Mutex
	done  map[string]int // by operation
	items map[string]*failure
}

type failure struct{ times, doneBefore int }

const giveUpAfter = 8

// result notes how an operation on an item ended, and makes its error final when it is to
// be given up.
func (f *failures) result(operation, item string, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.items == nil {
		f.done, f.items = map[string]int{}, map[string]*failure{}
	}
	id := operation + " " + item
	if err == nil {
		f.done[operation]++
		delete(f.items, id)
		return nil
	}
	var e *mlflow.Error
	if !errors.As(err, &e) || e.Status != 500 || !e.Retryable() {
		return err
	}
	one := f.items[id]
	if one == nil {
		one = &failure{doneBefore: f.done[operation]}
		f.items[id] = one
	}
	one.times++
	if one.times >= giveUpAfter && f.done[operation] > one.doneBefore {
		delete(f.items, id)
		return finalError{fmt.Errorf("given up after %d attempts: %w", one.times, err)}
	}
	return err
}
