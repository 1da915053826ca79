package mlflowexporter

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
)

const (
	// attemptsInHand is how often the files of a message are tried while a consumer of the queue has it
	// in hand, some five seconds with the default waits. Then it goes to the end of the queue: files may
	// wait for long, and as many such messages as there are consumers would hold up all others.
	attemptsInHand = 4
	// requeueTimeout bounds the wait for room in a queue that waits for room.
	requeueTimeout = time.Second
)

// patientFiles is what takes messages from the queue. Those of which only files are left to write it puts
// back now and then.
type patientFiles struct {
	write func(context.Context, ptrace.Traces) error
	// requeue gives a message to the queue; nil: there is none.
	requeue func(context.Context, ptrace.Traces) error
}

func (p *patientFiles) consume(ctx context.Context, td ptrace.Traces) error {
	err := p.write(ctx, td)
	var some consumererror.Traces
	if p.requeue == nil || !errors.As(err, &some) {
		return err
	}
	if n := fileAttempts(some); n == 0 || n%attemptsInHand != 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requeueTimeout)
	defer cancel()
	if p.requeue(ctx, some.Data()) != nil {
		return err // it waits here; what was put in all the same is written once
	}
	return nil
}

// fileAttempts is apply.FileAttempts of an error, but of its own traces only: messages that were written
// together share their errors.
func fileAttempts(some consumererror.Traces) int {
	own := map[string]bool{}
	for _, rs := range some.Data().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				own[s.TraceID().String()] = true
			}
		}
	}
	var errs []error
	for _, item := range apply.Errors(some.Unwrap()) {
		if own[item.TraceID] {
			errs = append(errs, item)
		}
	}
	return apply.FileAttempts(errors.Join(errs...))
}

// putsBack reports whether what was taken from the queue may be put into it again: not where that is done
// only when it is delivered, nor where retries end, since they would begin anew.
func putsBack(config *Config) bool {
	return config.Queue.HasValue() && !config.Queue.Get().WaitForResult && retriesWithoutEnd(config)
}

func retriesWithoutEnd(config *Config) bool {
	return config.Retry.Enabled && config.Retry.MaxElapsedTime == 0
}
