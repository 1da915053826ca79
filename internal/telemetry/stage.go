package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

// Stage is an attempt at a stage that is running, and the buffer of its detail spans. A
// nil Stage is off. It may be used by several goroutines.
type Stage struct {
	provider *Provider
	job      commentator.Job
	stage    commentator.Stage
	id       trace.SpanID
	full     bool
	// detailAttrs are the start attributes of all detail spans, made once.
	detailAttrs trace.SpanStartEventOption
	beside      *beside // what is done for detail spans; with full only

	mu      sync.Mutex
	ended   bool
	details []sdktrace.ReadWriteSpan // in the order in which they started
	dropped int64                    // started when the buffer was full
}

type stageKey struct{}

func stageFrom(ctx context.Context) *Stage {
	st, _ := ctx.Value(stageKey{}).(*Stage)
	return st
}

// StartStage starts an attempt at a stage. Detail spans that are started from the returned
// context, however deep below it, belong to the stage. For a job that is off it returns
// ctx itself and nil.
func (p *Provider) StartStage(ctx context.Context, j commentator.Job, s commentator.Stage) (context.Context, *Stage) {
	if !p.records(j) {
		return ctx, nil
	}
	st := &Stage{
		provider: p, job: j, stage: s,
		id:   randomSpanID(),
		full: j.Detail == commentator.DetailFull,
	}
	if st.full {
		st.beside = newBeside(p.rec, p.cfg.Logger)
		st.detailAttrs = p.rec.attributes(
			attribute.String(wire.AttrJobID, jobID(j)),
			attribute.String(wire.AttrJobDetail, detailValue(j)),
			attribute.String(wire.AttrTier, wire.TierDetail),
		).option()
	}
	ctx = trace.ContextWithSpanContext(ctx, rootContext(j).WithSpanID(st.id))
	return context.WithValue(ctx, stageKey{}, st), st
}

// SpanID returns the id of the stage's span in hex, "" when off.
func (s *Stage) SpanID() string {
	if s == nil {
		return ""
	}
	return s.id.String()
}

// StageEnd is what is known when an attempt at a stage ends. The values that the stage did
// not come to stay nil.
type StageEnd struct {
	// Record is the row to be stored. Its times become the span's, its error the status, its
	// Result, which is the value below as JSON, the artifact.
	Record   commentator.StageRecord
	Evidence *commentator.Evidence
	Facts    *commentator.Facts
	Comment  *commentator.Comment
	Gates    *commentator.GateReport
	Post     *commentator.Post
	// Input becomes job.input as JSON, in full detail only. The values of earlier stages are
	// not encoded again, alone or as Parts.
	Input any
}

// End ends the stage and returns the one message that holds its span and its detail
// spans; the caller stores it in the transaction that stores the record. Detail spans that
// are still open are cut. Only the first call has an effect.
func (s *Stage) End(end StageEnd) (Message, error) {
	if s == nil {
		return Message{}, nil
	}
	p := s.provider
	details, ok := s.close(end.Record.EndedAt)
	if !ok {
		return Message{}, nil
	}
	if id := end.Record.SpanID; id != "" {
		p.rollups.put(id, rollupOf(end))
	}

	content := p.cfg.CaptureContent
	value, err := encodeValue(end)
	if err != nil {
		return Message{}, err
	}
	artifacts, err := p.rec.stageArtifacts(end, value, content)
	if err != nil {
		return Message{}, err
	}
	var texts clean
	if s.full && content {
		texts = p.stageTexts(s.job, end, artifacts)
	}
	return p.emitOfJob(s.job, wire.TierLifecycle, s.id, closedSpan{
		name: string(s.stage), start: end.Record.StartedAt, end: end.Record.EndedAt,
		attrs: stageAttributes(s.stage, end, content), texts: texts, artifacts: artifacts,
		failed: end.Record.Failed(), failure: end.Record.ErrorMessage,
		details: details,
	})
}

// StageEnded measures a finished attempt at a stage, recorded or not.
func (p *Provider) StageEnded(r commentator.StageRecord) {
	if p != nil {
		p.metrics.stageEnded(context.Background(), r)
	}
}

// close stops the collection of detail spans, ends those that are open, and returns all.
// It returns false when the stage was closed before.
func (s *Stage) close(at time.Time) ([]sdktrace.ReadWriteSpan, bool) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return nil, false
	}
	s.ended = true
	details, dropped := s.details, s.dropped
	s.details = nil
	s.mu.Unlock()
	s.beside.close()

	var open int64
	for _, d := range details {
		if !d.IsRecording() {
			continue
		}
		open++
		s.provider.rec.set(d, attribute.Bool(wire.AttrCut, true))
		end := at
		if start := d.StartTime(); end.Before(start) {
			end = start
		}
		// An ended span ignores whatever its owner still does to it, a late End included.
		d.End(trace.WithTimestamp(end))
	}
	if open > 0 {
		s.provider.metrics.detailCut(context.Background(), open)
	}
	if dropped > 0 {
		s.provider.metrics.detailDropped(context.Background(), dropped, "stage_full")
	}
	return details, true
}

// recordsDetail reports whether a detail span that starts now would leave with the stage.
func (s *Stage) recordsDetail() bool {
	if !s.full {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended && len(s.details) >= maxDetails {
		s.dropped++
		return false
	}
	return !s.ended
}

// collect takes a detail span into the buffer.
func (s *Stage) collect(span sdktrace.ReadWriteSpan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.details = append(s.details, span)
	}
}

// collector is the span processor that brings detail spans to their stage, the nearest
// lifecycle ancestor, which it finds through the context that they start from. The stage
// reads them when it ends, so their own end needs no attention.
type collector struct{}

func (collector) OnStart(parent context.Context, span sdktrace.ReadWriteSpan) {
	if st := stageFrom(parent); st != nil {
		st.collect(span)
	}
}

func (collector) OnEnd(sdktrace.ReadOnlySpan)      {}
func (collector) Shutdown(context.Context) error   { return nil }
func (collector) ForceFlush(context.Context) error { return nil }
