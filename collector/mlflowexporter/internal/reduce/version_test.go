package reduce

import (
	"math"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// MLflow answers 500 to a whole request, each time, for a time that its database cannot hold.
func TestTimesThatNoDatabaseHoldsAreClamped(t *testing.T) {
	for name, start := range map[string]pcommon.Timestamp{"end": pcommon.NewTimestampFromTime(began), "both": math.MaxUint64 - 1} {
		t.Run(name, func(t *testing.T) {
			s := newSpan(t, Job, "job", 1, nil)
			s.Span.SetStartTimestamp(start)
			s.Span.SetEndTimestamp(math.MaxUint64)
			s.Span.Events().AppendEmpty().SetTimestamp(math.MaxUint64)
			plan := Reduce([]Span{s}, simple)
			run, info := plan.Runs[0], plan.Traces[0].Info
			if run.StartTime < 0 || run.EndTime != math.MaxInt64/nanosPerMilli || run.Version.EndUnixNano != math.MaxInt64 {
				t.Errorf("run from %d to %d ms, version %d", run.StartTime, run.EndTime, run.Version.EndUnixNano)
			}
			if info.RequestTimeMS != run.StartTime || info.DurationMS < 0 || run.Metrics[0].Value < 0 {
				t.Errorf("info is %+v, metrics %v", info, run.Metrics)
			}
			got := plan.Traces[0].Spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
			if got.StartTimestamp() != min(start, math.MaxInt64) || got.EndTimestamp() != math.MaxInt64 || got.Events().At(0).Timestamp() != math.MaxInt64 {
				t.Errorf("span from %d to %d, event at %d", got.StartTimestamp(), got.EndTimestamp(), got.Events().At(0).Timestamp())
			}
		})
	}
}
