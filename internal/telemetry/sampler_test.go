package telemetry

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

func TestSamplerTable(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	full, tracked := testJob(p, 1), testJob(p, 2)
	tracked.Detail = commentator.DetailTracking
	outside := context.Background()
	inFull, running := p.StartStage(outside, full, commentator.StageA)
	inTracked, _ := p.StartStage(outside, tracked, commentator.StageA)
	afterFull, ended := p.StartStage(outside, full, commentator.StageB)
	if _, ok := ended.close(testStart); !ok {
		t.Fatal("the stage was closed before")
	}
	crowded, packed := p.StartStage(outside, full, commentator.StageB)
	packed.details = make([]sdktrace.ReadWriteSpan, maxDetails)
	_ = running

	for _, tc := range []struct {
		name         string
		ctx          context.Context
		tier, detail string
		want         bool
	}{
		{"lifecycle span of a full job", outside, wire.TierLifecycle, wire.DetailFull, true},
		{"lifecycle span of a tracked job", outside, wire.TierLifecycle, wire.DetailLifecycle, true},
		{"lifecycle span of an off job", outside, wire.TierLifecycle, "off", false},
		{"message of a tracked job", outside, wire.TierMessage, wire.DetailLifecycle, true},
		{"message of an off job", outside, wire.TierMessage, "off", false},
		{"detail span in a full job", inFull, wire.TierDetail, wire.DetailFull, true},
		{"a library's span in a full job", inFull, "", "", true},
		{"detail span in a tracked job", inTracked, wire.TierDetail, wire.DetailLifecycle, false},
		{"detail span that lies about a tracked job", inTracked, wire.TierDetail, wire.DetailFull, false},
		{"detail span outside any job", outside, wire.TierDetail, wire.DetailFull, false},
		{"span of nothing", outside, "", "", false},
		{"detail span after its stage has ended", afterFull, wire.TierDetail, wire.DetailFull, false},
		{"detail span beyond the limit of a stage", crowded, wire.TierDetail, wire.DetailFull, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var attrs []attribute.KeyValue
			if tc.tier != "" {
				attrs = append(attrs, attribute.String(wire.AttrTier, tc.tier), attribute.String(wire.AttrJobDetail, tc.detail))
			}
			got := tieredSampler{}.ShouldSample(sdktrace.SamplingParameters{ParentContext: tc.ctx, Attributes: attrs})
			if (got.Decision == sdktrace.RecordAndSample) != tc.want {
				t.Errorf("decision is %v", got.Decision)
			}
		})
	}
}

func TestDecisionFollowsModeAndRatio(t *testing.T) {
	counts := func(change func(*Config)) map[commentator.Detail]int {
		p, _ := newTestProvider(t, change)
		n := map[commentator.Detail]int{}
		for id := range int64(2000) {
			n[p.Decide(commentator.Job{ID: id, StoreID: testStore, CreatedAt: testStart}, commentator.Message{}).Detail]++
		}
		return n
	}
	if n := counts(nil); n[commentator.DetailFull] != 2000 {
		t.Errorf("tracing with ratio 1 gives %v", n)
	}
	if n := counts(func(c *Config) { c.Ratio = 0 }); n[commentator.DetailTracking] != 2000 {
		t.Errorf("tracing with ratio 0 gives %v", n)
	}
	if n := counts(func(c *Config) { c.Mode = ModeTracking }); n[commentator.DetailTracking] != 2000 {
		t.Errorf("tracking gives %v", n)
	}
	n := counts(func(c *Config) { c.Ratio = 0.1 })
	if f := n[commentator.DetailFull]; f < 140 || f > 260 || n[commentator.DetailOff] != 0 {
		t.Errorf("tracing with ratio 0.1 gives %v", n)
	}
}
