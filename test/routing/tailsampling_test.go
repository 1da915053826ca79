package routing

import (
	"encoding/json"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/wire"
)

// MLflow gets every job; the other backend the one that failed a stage, also what comes of
// it long after the decision, and neither the dull one nor anything of it. Verdicts that
// come days later make no trace there. Errors have lost their words.
func TestTailSampling(t *testing.T) {
	server, tempo := startMLflow(t), startBackend(t)
	c := start(t, newPlace(t), "full/tail-sampling.yaml",
		"processors::tail_sampling::decision_wait: 1s",
		"processors::tail_sampling::decision_wait_after_root_received: 0s",
		"processors::tail_sampling::policies: "+policiesWithoutChance(t))
	decided := func(as string) float64 {
		return c.metric("otelcol_processor_tail_sampling_global_count_traces_sampled", `sampled="`+as+`"`)
	}
	forgotten := func() bool { return c.metric("otelcol_processor_tail_sampling_sampling_traces_on_memory") == 0 }

	// Each of these jobs takes longer than the wait: the second half comes after it. That a
	// gate fails in the second half of the last one comes too late.
	failed, dull, late := recorded(t, "retried").quoting(quote), recorded(t, "late_feedback"), recorded(t, "gate_failed")
	c.send(joined(failed.before("stage_b")))
	c.send(joined(dull.before("stage_b")))
	c.send(joined(late.before("quality_gates")))
	await(t, "the decisions", func() bool { return decided("true") == 1 && decided("false") == 2 && forgotten() })
	c.send(failed.after("stage_b")...)
	c.send(dull.after("stage_b")...) // with the verdict
	c.send(late.after("quality_gates")...)

	server.holds(t, failed, dull, late)
	await(t, "the whole failed job", func() bool { return len(tempo.trace(failed.trace)) == len(failed.spans()) })
	checkWhole(t, tempo, failed)

	// A job within the wait is seen whole, though its root comes last.
	gate := copies(t, "gate_failed", 0, 1)[0]
	c.send(joined(gate.requests))
	await(t, "the job whose gate failed", func() bool { return len(tempo.trace(gate.trace)) == len(gate.spans()) })

	// One that took longer than a minute, and one of just a minute.
	slow, quick := copies(t, "success", 0, 1)[0].lasting(time.Minute+time.Second), copies(t, "success", 1, 1)[0].lasting(time.Minute-time.Second)
	c.send(joined(slow.requests))
	c.send(joined(quick.requests))
	await(t, "the slow job", func() bool { return len(tempo.trace(slow.trace)) == len(slow.spans()) })
	await(t, "the decision on the quick job", func() bool { return decided("true") == 3 && decided("false") == 3 && forgotten() })
	for _, j := range []job{dull, late, quick} {
		if got := tempo.trace(j.trace); len(got) > 0 {
			t.Errorf("the backend has %v of a job that was not taken", got)
		}
	}
	if n := c.metric("otelcol_processor_tail_sampling_early_releases_from_cache_decision"); n == 0 {
		t.Error("no span followed an earlier decision")
	}
	checkForMLflowAlone(t, tempo)
	checkNoContent(t, tempo)
	c.sendMetrics(queueDepth("w"))
	server.holds(t, failed, dull, late, gate, slow, quick)
	server.serves(t, "w")
}

// joined makes one request of several, in their order, so that what is decided in time of a job has
// come in time.
func joined(requests []ptrace.Traces) ptrace.Traces {
	one := ptrace.NewTraces()
	for _, td := range requests {
		for _, rs := range td.ResourceSpans().All() {
			rs.CopyTo(one.ResourceSpans().AppendEmpty())
		}
	}
	return one
}

// policiesWithoutChance are the policies of the configuration, with none of the rest instead of
// one in ten.
func policiesWithoutChance(t *testing.T) string {
	t.Helper()
	policies := readTailSampling(t).Policies
	for _, p := range policies {
		if p["type"] == "probabilistic" {
			p["probabilistic"] = map[string]any{"sampling_percentage": 0}
		}
	}
	text, err := json.Marshal(policies)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// lasting moves the start of a job so that it takes as long as that from its first span to the
// end of its last.
func (j job) lasting(d time.Duration) job {
	first, last := pcommon.Timestamp(1<<63-1), pcommon.Timestamp(0)
	j.each(func(sp ptrace.Span) {
		if tier, _ := sp.Attributes().Get(wire.AttrTier); tier.Str() != wire.TierMessage {
			first, last = min(first, sp.StartTimestamp()), max(last, sp.EndTimestamp())
		}
	})
	j.each(func(sp ptrace.Span) {
		if sp.StartTimestamp() == first {
			sp.SetStartTimestamp(last - pcommon.Timestamp(d))
		}
	})
	return j
}
