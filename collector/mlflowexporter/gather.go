package mlflowexporter

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const (
	// groupsAtOnce is how many groups are written at one time: while the spans of one are on
	// their way as a single request, the runs of the other keep the second connection busy.
	groupsAtOnce = 2
	// maxGroupBytes is the size of the batches of one group, except that one batch may be
	// larger by itself.
	maxGroupBytes = 8 << 20
)

// gatherer lets batches that wait for their turn go on together, as one: the spans of many
// jobs then share requests, and so do the messages of one job. A batch that comes while
// there is little to do goes on alone and at once. It is safe for concurrent use.
type gatherer struct {
	write func(context.Context, ptrace.Traces) error

	mu      sync.Mutex
	writing int
	waiting []*waiter
}

type waiter struct {
	ctx  context.Context
	td   ptrace.Traces
	size int
	done chan error
}

// consume writes a batch, alone or with others, and gives the errors of its own jobs.
func (g *gatherer) consume(ctx context.Context, td ptrace.Traces) error {
	w := &waiter{ctx: ctx, td: td, size: (&ptrace.ProtoMarshaler{}).TracesSize(td), done: make(chan error, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	lead := g.writing < groupsAtOnce
	if lead {
		g.writing++
	}
	g.mu.Unlock()
	if lead {
		go g.lead() // not here: this batch is done before the last that the leader takes on
	}
	return <-w.done
}

// lead writes groups until none waits.
func (g *gatherer) lead() {
	for {
		group := g.next()
		if group == nil {
			return
		}
		err := g.write(group[0].ctx, together(group))
		for _, w := range group {
			w.done <- ownPart(err, w.td)
		}
	}
}

// next takes the batches that go together, the oldest first.
func (g *gatherer) next() []*waiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	size, n := 0, 0
	for _, w := range g.waiting {
		if size += w.size; n > 0 && size > maxGroupBytes {
			break
		}
		n++
	}
	if n == 0 {
		g.writing--
		return nil
	}
	group := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	return group
}

// together joins batches. They stay as they are: each may have to be tried again.
func together(group []*waiter) ptrace.Traces {
	if len(group) == 1 {
		return group[0].td
	}
	out := ptrace.NewTraces()
	for _, w := range group {
		for _, rs := range w.td.ResourceSpans().All() {
			rs.CopyTo(out.ResourceSpans().AppendEmpty())
		}
	}
	return out
}

// ownPart is what an error about a group means for one of its batches.
func ownPart(err error, td ptrace.Traces) error {
	var some consumererror.Traces
	if !errors.As(err, &some) {
		return err
	}
	failed := map[string]bool{}
	for _, rs := range some.Data().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				failed[s.TraceID().String()] = true
			}
		}
	}
	own := ofTraces(td, failed)
	if own.SpanCount() == 0 {
		return nil
	}
	return consumererror.NewTraces(some.Unwrap(), own)
}
