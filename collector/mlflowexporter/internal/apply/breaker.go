package apply

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
)

const (
	// awayAfter is how many requests in a row must fail before MLflow counts as away; of
	// those that it does not answer in time one is enough.
	awayAfter = 3
	// awayPause is how long nothing is sent then. It bounds how late a server that is back
	// is noticed.
	awayPause = 2 * time.Second
	// probeTimeout bounds the question whether it is back.
	probeTimeout = 3 * time.Second
	// MaxRetryAfter bounds what is made of a server's Retry-After.
	MaxRetryAfter = time.Minute
)

// breaker keeps requests from a server that is away, so that a batch of many jobs fails at
// once instead of one time-out after the other. When the pause is over, one caller asks
// for the version first; the others are refused until it has its answer.
type breaker struct {
	now func() time.Time
	// changed is called, without the lock, when the server went away or came back.
	changed func()

	mu      sync.Mutex
	heard   time.Time // when it was last known whether the server is there; zero: never
	failed  int       // in a row
	until   time.Time // no requests before; zero: the server is there
	probing bool
	fell    int // how often it was found to be away
	cause   string
	refuses bool // cause is an answer that a person has to do something about
}

// awayError is a request that was not sent. It does not wrap what came of the requests
// before it, which says nothing of this one.
type awayError struct {
	cause string
	after time.Duration
}

func (e *awayError) Error() string { return "not sent, MLflow is away: " + e.cause }

// ticket is the leave to send a request.
type ticket struct {
	probe bool // the server has to be asked first whether it is back
	fell  int  // as it was then
}

// enter asks for leave to send a request.
func (b *breaker) enter() (ticket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until.IsZero() {
		return ticket{false, b.fell}, nil
	}
	if wait := b.until.Sub(b.now()); wait > 0 || b.probing {
		return ticket{}, &awayError{b.cause, max(wait, 0)}
	}
	b.probing = true
	return ticket{true, b.fell}, nil
}

// leave notes what came of a request.
func (b *breaker) leave(t ticket, err error) {
	if b.note(t, err) {
		b.changed()
	}
}

// note is leave, and reports whether the server went away or came back, or began or ended to
// refuse everything.
func (b *breaker) note(t ticket, err error) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was, refused := b.until.IsZero(), b.refuses
	if t.probe {
		b.probing = false
	}
	pause, gone := away(err)
	switch {
	case errors.Is(err, context.Canceled): // by us: says nothing of the server
	case !gone && strange(err): // of a proxy, perhaps
	case !gone && t.fell != b.fell: // it was on its way when the server went away
	case !gone:
		b.heard = b.now()
		b.failed, b.until = 0, time.Time{}
	default:
		b.failed++
		if b.failed >= awayAfter || pause > 0 || t.probe || timedOut(err) {
			b.heard = b.now()
			b.fell++
			var e *mlflow.Error
			b.cause, b.refuses = err.Error(), errors.As(err, &e) && e.Configuration()
			if until := b.now().Add(max(pause, awayPause)); until.After(b.until) {
				b.until = until
			}
		}
	}
	return was != b.until.IsZero() || (!was && refused != b.refuses)
}

// away reports whether an error is one that every other request would meet too, and how
// long the server asked to be left alone.
func away(err error) (pause time.Duration, gone bool) {
	var e *mlflow.Error
	if !errors.As(err, &e) {
		return 0, errors.Is(err, context.DeadlineExceeded)
	}
	switch e.Status {
	case 0, http.StatusMisdirectedRequest, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout:
		return min(e.RetryAfter, MaxRetryAfter), true
	case http.StatusServiceUnavailable:
		// With a code it is MLflow's own answer, which says that its database is busy.
		return min(e.RetryAfter, MaxRetryAfter), e.Retryable() && (e.Code == "" || e.RetryAfter > 0)
	}
	return 0, e.Configuration()
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// guard runs one request unless the server is away.
func (a *Applier) guard(ctx context.Context, request func() error) error {
	leave, err := a.breaker.enter()
	if err != nil {
		return err
	}
	if leave.probe {
		err = a.isBack(ctx)
	}
	if err == nil {
		err = a.believed(ctx, request())
	}
	a.breaker.leave(leave, err)
	return err
}

// believed looks, when the server says that it has no such route, whether it is MLflow that says so,
// by a call that every MLflow takes.
func (a *Applier) believed(ctx context.Context, err error) error {
	var e *mlflow.Error
	if !errors.As(err, &e) || !e.NoRoute() || e.Configuration() {
		return err
	}
	_, asked := a.client.GetExperimentByName(ctx, a.cfg.DefaultExperiment)
	if e = nil; asked == nil || (errors.As(asked, &e) && e.Code != "" && !e.Configuration()) {
		return err
	}
	return fmt.Errorf("%w, after: %w", asked, err)
}

func strange(err error) bool {
	var e *mlflow.Error
	return errors.As(err, &e) && e.Strange() && !e.Configuration()
}

// askVersion is guard for the version, which is told even where everything else is refused.
func (a *Applier) askVersion(ctx context.Context) (version string, err error) {
	leave, err := a.breaker.enter()
	if err != nil {
		return "", err
	}
	if version, err = a.client.Version(ctx); err != nil || !a.breaker.refused(leave) {
		a.breaker.leave(leave, err)
	}
	return version, err
}

// refused reports whether everything was refused last; a probe ends then without a result.
func (b *breaker) refused(t ticket) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	refused := !b.until.IsZero() && b.refuses
	if t.probe && refused {
		b.probing = false
	}
	return refused
}

// isBack asks for the version: a request that costs nothing and is answered at once. What
// comes back may be another version.
func (a *Applier) isBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	version, err := a.client.Version(ctx)
	if _, gone := away(err); gone {
		return fmt.Errorf("ask whether it is back: %w", err)
	}
	if err == nil {
		a.isVersion(version)
	}
	return nil
}
