package apply

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/internal/mlflow"
)

const (
	// maxRequest is the size of one request of spans before compression, in bytes.
	maxRequest = 4 << 20
	// maxRoots is how many traces one request holds at most.
	maxRoots = 100
	// maxHalving is how many requests are made in one attempt to find the bad spans of a
	// request. It finds about ten of thousands; with more the next attempt goes on.
	maxHalving = 128
)

// span is one span that MLflow lacks.
type span struct {
	of      *trace
	span    ptrace.Span
	scope   ptrace.ScopeSpans
	res     ptrace.ResourceSpans
	version ledger.SpanVersion
	size    int
}

// missing lists the spans that MLflow does not have in this version or a newer one.
func missing(t ptrace.Traces, have ledger.Spans) []span {
	if !hasSpans(t) {
		return nil
	}
	var out []span
	for _, rs := range t.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				version, size := versionOf(s)
				if old, ok := have[s.SpanID()]; !ok || old.Before(version) {
					out = append(out, span{span: s, scope: ss, res: rs, version: version, size: size})
				}
			}
		}
	}
	return out
}

func versionOf(s ptrace.Span) (ledger.SpanVersion, int) {
	one := ptrace.NewTraces()
	s.CopyTo(one.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
	b, _ := (&ptrace.ProtoMarshaler{}).MarshalTraces(one) // never fails: there is no invalid message in memory
	sum := sha256.Sum256(b)
	return ledger.SpanVersion{End: uint64(s.EndTimestamp()), Hash: binary.BigEndian.Uint64(sum[:8])}, len(b)
}

// applyTraces brings the traces of all jobs to MLflow, the spans of many in one request.
func (a *Applier) applyTraces(ctx context.Context, jobs []*job) {
	a.each(jobs, func(j *job) {
		for _, t := range j.traces {
			if j.stopped() || !j.fail(a.prepare(ctx, t)) {
				break
			}
		}
	})
	a.each(jobs, func(j *job) { a.tellTraces(ctx, j, true) })
	a.applySpans(ctx, jobs)
	a.each(jobs, func(j *job) { a.tellTraces(ctx, j, false) })
}

func (a *Applier) applySpans(ctx context.Context, jobs []*job) {
	byExperiment := map[string][]*trace{}
	for _, j := range jobs {
		if j.stopped() {
			continue
		}
		for _, t := range j.traces {
			if len(t.spans) > 0 {
				byExperiment[t.exp.id] = append(byExperiment[t.exp.id], t)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(byExperiment)) {
		for _, request := range requests(byExperiment[id]) {
			left := maxHalving
			a.export(ctx, id, request, &left, false)
		}
	}
}

// requests packs spans into requests, whole traces as long as they fit.
func requests(traces []*trace) [][]span {
	var all [][]span
	var one []span
	size, roots := 0, 0
	flush := func() {
		if len(one) > 0 {
			all = append(all, one)
		}
		one, size, roots = nil, 0, 0
	}
	for _, t := range traces {
		total := 0
		for _, s := range t.spans {
			total += s.size
		}
		if size+total > maxRequest || roots == maxRoots {
			flush()
		}
		roots++
		for _, s := range t.spans {
			if size+s.size > maxRequest {
				flush()
				roots = 1
			}
			s.of = t
			one, size = append(one, s), size+s.size
		}
	}
	flush()
	return all
}

// export sends spans. MLflow stores all or none of a request: when it refuses one for
// good, halves of it are tried, until the bad spans are alone or no requests are left. One
// bad span never costs another. Of a request that was given up, what fails again is given up at
// once.
func (a *Applier) export(ctx context.Context, experimentID string, spans []span, left *int, givenUp bool) {
	if *left == 0 {
		for _, t := range tracesOf(spans) {
			t.job.fail(fmt.Errorf("send spans: many spans of one request are refused; the rest %w", errRetry))
		}
		return
	}
	*left--
	err := a.exportOnce(ctx, experimentID, spans)
	if givenUp && repeats(err) && !permanent(err) {
		err = finalError{fmt.Errorf("given up: %w", err)}
	}
	var e *mlflow.Error
	answered := errors.As(err, &e)
	switch {
	case err == nil:
		a.tookSpans()
		a.stored(spans)
	case answered && permanent(err) && (e.NoRoute() || e.Status == 501):
		a.noTraces(err)
		for _, t := range tracesOf(spans) {
			t.off()
		}
	case !permanent(err):
		for _, t := range tracesOf(spans) {
			t.job.fail(fmt.Errorf("send spans: %w", err))
		}
	case len(spans) > 1 && answered && (e.Status == 400 || e.Status == 413 || e.Status == 422 || e.Status == 500):
		first, rest := halves(spans)
		givenUp = givenUp || repeats(err)
		a.export(ctx, experimentID, first, left, givenUp)
		a.export(ctx, experimentID, rest, left, givenUp)
	case mlflow.IsCode(err, mlflow.CodeNotFound) && a.moved(ctx, spans[0].of):
		for _, t := range tracesOf(spans) {
			t.job.fail(fmt.Errorf("send spans: the experiment changed: %w", errRetry))
		}
	default:
		for _, t := range tracesOf(spans) {
			var own []span
			for _, s := range spans {
				if s.of == t {
					own = append(own, s)
					t.rec.Spans[s.span.SpanID()] = s.version // dealt with: not again
				}
			}
			err := fmt.Errorf("send %d spans, first %s: %w", len(own), own[0].span.SpanID(), err)
			t.job.fail(err)
			a.bury(t.job, "spans", t.TraceID, err)
		}
	}
}

func (a *Applier) exportOnce(ctx context.Context, experimentID string, spans []span) error {
	body, err := ptraceotlp.NewExportRequestFromTraces(message(spans)).MarshalProto()
	if err != nil {
		return finalError{fmt.Errorf("encode spans: %w", err)}
	}
	runID, item := "", spans[0].of.TraceID
	if t := spans[0].of; len(tracesOf(spans)) == 1 && t.Info == nil { // info links it, too
		runID = t.runID() // a request links all its traces to one run
	}
	err = a.callAhead(ctx, func() error { return a.client.ExportTraces(ctx, experimentID, runID, body) })
	var e *mlflow.Error
	if errors.As(err, &e) && a.passing(e) {
		err = passingError{err}
	}
	return a.failed.result("spans", fmt.Sprint(item, len(spans)), err)
}

// halves splits between traces where there are several, so that few requests find a bad
// one.
func halves(spans []span) (first, rest []span) {
	middle := len(spans) / 2
	for i := middle; i < len(spans); i++ {
		if spans[i].of != spans[i-1].of {
			return spans[:i], spans[i:]
		}
	}
	for i := middle; i > 0; i-- {
		if spans[i].of != spans[i-1].of {
			return spans[:i], spans[i:]
		}
	}
	return spans[:middle], spans[middle:]
}

func tracesOf(spans []span) []*trace {
	var out []*trace
	for _, s := range spans {
		if len(out) == 0 || out[len(out)-1] != s.of {
			out = append(out, s.of)
		}
	}
	return out
}

// message builds one OTLP message, keeping resources and scopes together.
func message(spans []span) ptrace.Traces {
	out := ptrace.NewTraces()
	var res ptrace.ResourceSpans
	var scope ptrace.ScopeSpans
	for i, s := range spans {
		if i == 0 || s.res != spans[i-1].res {
			res = out.ResourceSpans().AppendEmpty()
			s.res.Resource().CopyTo(res.Resource())
			res.SetSchemaUrl(s.res.SchemaUrl())
		}
		if i == 0 || s.res != spans[i-1].res || s.scope != spans[i-1].scope {
			scope = res.ScopeSpans().AppendEmpty()
			s.scope.Scope().CopyTo(scope.Scope())
			scope.SetSchemaUrl(s.scope.SchemaUrl())
		}
		s.span.CopyTo(scope.Spans().AppendEmpty())
	}
	return out
}
