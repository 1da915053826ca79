package apply

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
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

// Parts are the errors that were joined into one, each by itself.
func Parts(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, Parts(e)...)
	}
	return all
}

// Errors takes an error of Apply apart.
func Errors(err error) []*ItemError {
	var items []*ItemError
	for _, part := range Parts(err) {
		var item *ItemError
		if errors.As(part, &item) {
			items = append(items, item)
		}
	}
	return items
}

// RetryAfter is how long the server asked to be left alone, at most MaxRetryAfter; 0 means
// that it did not. Errors of Apply and of ApplyService tell it.
func RetryAfter(err error) time.Duration {
	var longest time.Duration
	for _, part := range Parts(err) {
		var e *mlflow.Error
		var away *awayError
		switch {
		case errors.As(part, &away):
			longest = max(longest, away.after)
		case errors.As(part, &e):
			longest = max(longest, e.RetryAfter)
		}
	}
	return min(longest, MaxRetryAfter)
}

// finalError is an error that no repetition mends.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// passingError is an error that may pass although the answer says that it does not.
type passingError struct{ error }

func (e passingError) Unwrap() error { return e.error }

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
	var passing passingError
	var e *mlflow.Error
	return errors.As(err, &e) && !e.Retryable() && !e.Configuration() && !errors.As(err, &passing)
}

// failures tells a request that fails by itself from a server that is down: both may
// answer 500. A failure counts when the server did something else since the one before it, so
// that nothing is given up because of a server that does nothing for anybody, however long.
type failures struct {
	mu   sync.Mutex
	done map[string]int // by operation
	// works is how often anything was done that needs the database, and how often it answered a
	// question for its own sake, see doubted.
	works int
	items map[string]*failure
}

// failure is what an item has met. Same and other count failures since whose predecessor the same
// operation, or any, was done.
type failure struct{ same, other, races, done, works int }

const (
	// giveUpAfter is how many failures end an item while the same operation is done for others.
	giveUpAfter = 8
	// giveUpLate is how many do while there is no other item of the operation, or every consumer
	// of the queue has one that fails: two minutes of attempts. Not so for files, which MLflow keeps
	// in a store of their own that may be away: see FileAttempts.
	giveUpLate = 30
	// giveUpRace is how many answers about two writers that met are believed.
	giveUpRace = 16

	// maxFailures bounds what is remembered.
	maxFailures = 10_000

	opArtifact = "artifact"
	// opPrompt asks the registry, which may be on a database of its own.
	opPrompt = "prompt"
)

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
		if operation != opArtifact {
			f.works++
		}
		delete(f.items, id)
		return nil
	}
	if !repeats(err) && (operation != opPrompt || !answersFailure(err)) {
		return err
	}
	one := f.items[id]
	switch {
	case one == nil:
		if len(f.items) == maxFailures { // most are of items that came again in another shape
			clear(f.items)
		}
		one = &failure{}
		f.items[id] = one
	case f.done[operation] > one.done:
		one.same++
		fallthrough
	case f.works > one.works && operation != opArtifact:
		one.other++
	}
	one.done, one.works = f.done[operation], f.works
	if raced(err) {
		one.races++
	}
	if one.same >= giveUpAfter || one.other >= giveUpLate || one.races >= giveUpRace {
		delete(f.items, id)
		return finalError{fmt.Errorf("given up after it failed %d times while MLflow did other things: %w", max(one.other, one.races), err)}
	}
	return err
}

// doubted reports whether there are items of which it is not known whether the server or
// they are to blame.
func (f *failures) doubted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, one := range f.items {
		if one.works == f.works && !strings.HasPrefix(id, opArtifact+" ") {
			return true
		}
	}
	return false
}

// doubt asks the database a question when nothing else tells whether it works: the items that fail
// may be all there is to do.
func (a *Applier) doubt(ctx context.Context) {
	if !a.failed.doubted() {
		return
	}
	err := a.guard(ctx, func() error { _, err := a.client.GetExperimentByName(ctx, a.cfg.DefaultExperiment); return err })
	if err == nil || mlflow.IsCode(err, mlflow.CodeNotFound) {
		a.failed.mu.Lock()
		a.failed.works++
		a.failed.mu.Unlock()
	}
}

// repeats reports whether an error may be an item's own although trying again may help.
func repeats(err error) bool {
	var passing passingError
	if errors.As(err, &passing) {
		return true
	}
	var e *mlflow.Error
	return errors.As(err, &e) && e.Retryable() && (e.Status == http.StatusInternalServerError || e.Strange() || raced(err))
}

// answersFailure reports whether the server answered that it could not do what it was asked, or nonsense.
func answersFailure(err error) bool {
	var e *mlflow.Error
	return errors.As(err, &e) && e.Retryable() && (e.Status >= http.StatusInternalServerError || e.Strange())
}

func raced(err error) bool {
	var e *mlflow.Error
	return errors.As(err, &e) && e.Race() && (e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity)
}
