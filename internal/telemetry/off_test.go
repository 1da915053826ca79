package telemetry

import (
	"context"
	"errors"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

var errTest = errors.New("broken")

// offJob makes every call that a job makes.
func offJob(p *Provider, ends []StageEnd) (messages int) {
	ctx := context.Background()
	j := commentator.Job{ID: 1, Detail: commentator.DetailOff, StartedAt: testStart}
	j.Detail = p.Decide(j, commentator.Message{}).Detail
	count := func(m Message, _ error) {
		if !m.Empty() {
			messages++
		}
	}
	count(p.JobStarted(j, commentator.Message{}))
	p.JobActive(1)
	jctx := p.JobContext(ctx, j)
	for i := range ends {
		sctx, st := p.StartStage(jctx, j, ends[i].Record.Stage)
		dctx, d := StartDetail(sctx, "chat gpt-4o", trace.SpanKindClient)
		d.Set(attribute.String(wire.AttrGenAIRequestModel, "gpt-4o"), attribute.Int(wire.AttrUsageInput, 5))
		if CaptureContent(dctx) || d.Recording() || dctx != ctx || st.SpanID() != "" {
			messages++
		}
		RecordModelCall(dctx, ModelCall{})
		d.End(errTest)
		count(st.End(ends[i]))
		p.StageEnded(ends[i].Record)
	}
	count(p.JobEnded(j, commentator.Message{}, nil))
	p.JobActive(-1)
	p.OutboxDropped(1, "full")
	p.FeedbackSeen("verdict")
	count(p.Feedback(j, commentator.Verdict{User: "U1"}))
	p.Notify()
	return messages
}

func TestOffCostsNoAllocation(t *testing.T) {
	ends := testStages(100)
	var off *Provider
	var messages int
	if n := testing.AllocsPerRun(100, func() { messages += offJob(off, ends) }); n != 0 {
		t.Errorf("a job without telemetry allocates %v times", n)
	}
	on, _ := newTestProvider(t, nil)
	j := commentator.Job{ID: 1, StoreID: testStore, Detail: commentator.DetailOff}
	if n := testing.AllocsPerRun(100, func() {
		ctx, st := on.StartStage(on.JobContext(context.Background(), j), j, commentator.StageA)
		_, d := StartDetail(ctx, "x", trace.SpanKindInternal)
		d.Set(attribute.Int(wire.AttrUsageInput, 5))
		d.End(nil)
		if st != nil {
			messages++
		}
	}); n != 0 {
		t.Errorf("an off job beside recorded ones allocates %v times", n)
	}
	if messages != 0 {
		t.Errorf("telemetry that is off made %d messages", messages)
	}
}

func TestOffStartsNothing(t *testing.T) {
	for _, mode := range []Mode{"", ModeOff} {
		p, err := New(context.Background(), Config{Mode: mode, Endpoint: "not even an address://"}, nil)
		if p != nil || err != nil {
			t.Errorf("mode %q: New returned %v, %v", mode, p, err)
		}
		if err := p.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := p.ObserveQueue(nil); err != nil {
			t.Error(err)
		}
	}
}
