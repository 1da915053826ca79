package telemetry

import (
	"context"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

// runJob does what the pipeline does with telemetry for one job: five stages with three
// detail spans each.
func runJob(b testing.TB, p *Provider, id int64, ends []StageEnd) (plain, stored int) {
	j := testJob(p, id)
	m := testMessage()
	store := func(msg Message, err error) {
		if err != nil {
			b.Fatal(err)
		}
		plain += msg.Size
		stored += len(msg.Body)
	}
	store(p.JobStarted(j, m))
	ctx := p.JobContext(context.Background(), j)
	records := make([]commentator.StageRecord, 0, len(ends))
	for i := range ends {
		sctx, st := p.StartStage(ctx, j, commentator.Stages[i])
		for range 3 {
			_, d := StartDetail(sctx, "chat gpt-4o", trace.SpanKindClient)
			if d.Recording() {
				d.Set(attribute.String(wire.AttrGenAIRequestModel, "gpt-4o"), attribute.Int(wire.AttrUsageInput, 5))
			}
			d.End(nil)
		}
		end := ends[i]
		end.Record.SpanID = st.SpanID()
		store(st.End(end))
		records = append(records, end.Record)
	}
	store(p.JobEnded(finish(j, commentator.OutcomeSuccess), m, records))
	p.Notify()
	return plain, stored
}

// BenchmarkJobFull is everything that telemetry does on the path of a job in full detail,
// but for the insert into the outbox: once with 5 × 42 KB in its messages, artifacts,
// inputs and outputs together, and once with values of 42 KB each, which thereby make
// three times as much.
func BenchmarkJobFull(b *testing.B) {
	for _, bc := range []struct {
		name string
		size int
	}{{"recorded=210KB", 14_000}, {"recorded=650KB", 42_000}} {
		b.Run(bc.name, func(b *testing.B) {
			p, _ := newTestProvider(b, nil)
			ends := testStages(bc.size)
			b.ReportAllocs()
			var id int64
			var plain, stored int
			var times []time.Duration
			for b.Loop() {
				id++
				start := time.Now()
				plain, stored = runJob(b, p, id, ends)
				times = append(times, time.Since(start))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(plain), "recorded-B/op")
			b.ReportMetric(float64(stored), "stored-B/op")
		})
	}
}

// BenchmarkJobTracking is the same without detail spans and texts.
func BenchmarkJobTracking(b *testing.B) {
	p, _ := newTestProvider(b, func(c *Config) { c.Mode = ModeTracking })
	ends := testStages(42_000)
	b.ReportAllocs()
	var id int64
	for b.Loop() {
		id++
		runJob(b, p, id, ends)
	}
}

func BenchmarkDetailSpan(b *testing.B) {
	p, _ := newTestProvider(b, nil)
	j := testJob(p, 1)
	ctx, st := p.StartStage(context.Background(), j, commentator.StageA)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n++; n%maxDetails == 0 {
			ctx, st = p.StartStage(context.Background(), j, commentator.StageA)
		}
		_, d := StartDetail(ctx, "chat gpt-4o", trace.SpanKindClient)
		d.Set(attribute.String(wire.AttrGenAIRequestModel, "gpt-4o"), attribute.Int(wire.AttrUsageInput, 5))
		d.End(nil)
	}
	_ = st
}

func BenchmarkOff(b *testing.B) {
	var p *Provider
	ends := testStages(100)
	b.ReportAllocs()
	for b.Loop() {
		offJob(p, ends)
	}
}
