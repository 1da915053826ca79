package apply_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
)

// startMS is when the jobs of these tests started.
const startMS = 1_795_000_000_000

var stages = []string{"retrieval", "stage_a", "stage_b", "quality_gates", "slack_post"}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// jobID makes the trace id of a job of these tests.
func jobID(experiment string, n int) string { return hash(fmt.Sprint(experiment, n))[:32] }

func version(name string, end int64) reduce.Version {
	return reduce.Version{EndUnixNano: uint64(end) * 1e6, Hash: hash(fmt.Sprint(name, end))}
}

// plan is everything of job n of an experiment: 1 + 5 runs, 6 artifacts, a trace of 12
// spans.
func plan(experiment string, n int) reduce.Plan {
	trace := jobID(experiment, n)
	job := reduce.Run{
		Key: trace, TraceID: trace, Experiment: experiment, Name: fmt.Sprintf("job_%d", n), StartTime: startMS,
		Status: "FINISHED", EndTime: startMS + 2000, Version: version(trace, startMS+2000),
		Params:  []reduce.KeyValue{{Key: "job_id", Value: fmt.Sprint(n)}, {Key: "stage_a_model", Value: "gpt-4o"}},
		Tags:    []reduce.KeyValue{{Key: "mlflow.note.content", Value: "[run]({{ui}}/#/experiments/{{experiment_id}}/runs/{{run_id}})"}, {Key: "mlflow.user", Value: "somebody"}, {Key: "outcome", Value: "success"}},
		Metrics: []reduce.Metric{{Key: "gate_failures", TimestampMS: startMS + 2000}, {Key: "latency_seconds", Value: 2, TimestampMS: startMS + 2000}},
	}
	p := reduce.Plan{Runs: []reduce.Run{job}}
	for i, stage := range stages {
		span := spanID(trace, i+1)
		r := reduce.Run{
			Key: trace + "-" + span.String(), ParentKey: trace, TraceID: trace, Experiment: experiment, Name: stage, StartTime: startMS + int64(i)*300,
			Status: "FINISHED", EndTime: startMS + int64(i)*300 + 200, Version: version(stage+trace, startMS+int64(i)*300+200),
			Params:  []reduce.KeyValue{{Key: "stage", Value: stage}},
			Tags:    []reduce.KeyValue{{Key: "mlflow.user", Value: "somebody"}, {Key: "stage", Value: stage}},
			Metrics: []reduce.Metric{{Key: "latency_seconds", Value: 0.2, TimestampMS: startMS + int64(i)*300 + 200}},
		}
		r.Artifacts = append(r.Artifacts, artifact(stage+".json", strings.Repeat(stage, 2000)))
		if stage == "stage_a" {
			r.Artifacts = append(r.Artifacts, artifact("sources.txt", "one"))
		}
		p.Runs = append(p.Runs, r)
	}
	t := reduce.Trace{TraceID: trace, RunKey: trace, Experiment: experiment, Spans: spans(trace, 12), Info: &reduce.TraceInfo{
		Version: job.Version, Name: job.Name, RequestTimeMS: startMS, DurationMS: 2000, State: "OK", RequestPreview: "question", ResponsePreview: "answer",
		Session: "s1", User: "u-1", TokenUsage: map[string]int64{"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0},
		Tags: []reduce.KeyValue{{Key: "outcome", Value: "success"}},
	}}
	p.Traces = []reduce.Trace{t}
	return p
}

func artifact(path, content string) reduce.Artifact {
	return reduce.Artifact{Path: path, MediaType: "text/plain", Content: []byte(content), SHA256: hash(content)}
}

func spanID(trace string, n int) pcommon.SpanID {
	var id pcommon.SpanID
	copy(id[:], hash(fmt.Sprint(trace, n)))
	return id
}

// spans makes a root, five stages and detail spans below the first stage.
func spans(trace string, n int) ptrace.Traces {
	out := ptrace.NewTraces()
	ss := out.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	for i := range n {
		addSpan(ss.Spans(), trace, i)
	}
	return out
}

func addSpan(to ptrace.SpanSlice, trace string, i int) ptrace.Span {
	s := to.AppendEmpty()
	var id pcommon.TraceID
	_, _ = hex.Decode(id[:], []byte(trace))
	s.SetTraceID(id)
	s.SetSpanID(spanID(trace, i))
	s.SetName(fmt.Sprint("span ", i))
	switch {
	case i > len(stages):
		s.SetParentSpanID(spanID(trace, 1))
		s.SetName("GET")
	case i > 0:
		s.SetParentSpanID(spanID(trace, 0))
		s.SetName(stages[i-1])
	default:
		s.Attributes().PutStr(reduce.AttrTokenUsage, `{"input_tokens":1,"output_tokens":2,"total_tokens":3,"cache_read_input_tokens":0,"cache_creation_input_tokens":0}`)
	}
	s.SetStartTimestamp(pcommon.Timestamp(startMS * 1e6))
	s.SetEndTimestamp(pcommon.Timestamp((startMS + 100 + int64(i)) * 1e6))
	s.Attributes().PutStr("mlflow.spanType", "CHAIN")
	s.Status().SetCode(ptrace.StatusCodeOk)
	return s
}

// split takes a plan apart as if each of its spans had come in a message of its own: first
// "job started", then each stage, then the details, then the root.
func split(p reduce.Plan) []reduce.Plan {
	job := p.Runs[0]
	implied := reduce.Run{
		Key: job.Key, TraceID: job.TraceID, Experiment: job.Experiment, Name: job.Name, StartTime: job.StartTime, Implied: true,
		Params: job.Params[:1], Tags: job.Tags[1:2],
	}
	started := implied
	started.Params, started.Tags = job.Params, job.Tags[:2]
	parts := []reduce.Plan{{Runs: []reduce.Run{started}}}
	for _, r := range p.Runs[1:] {
		parts = append(parts, reduce.Plan{Runs: []reduce.Run{implied, r}})
	}
	for _, t := range p.Traces {
		all := t.Spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
		for i := range all.Len() {
			one := t
			one.Spans = ptrace.NewTraces()
			all.At(i).CopyTo(one.Spans.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
			part := reduce.Plan{Runs: []reduce.Run{implied}, Traces: []reduce.Trace{one}}
			if i == 0 {
				part.Runs = []reduce.Run{job}
			} else {
				part.Traces[0].Info = nil
			}
			parts = append(parts, part)
		}
	}
	if len(p.Traces) == 0 {
		parts = append(parts, reduce.Plan{Runs: []reduce.Run{job}})
	}
	return parts
}

// join puts plans into one, as a batch of several jobs is.
func join(plans ...reduce.Plan) reduce.Plan {
	var all reduce.Plan
	for _, p := range plans {
		all.Runs = append(all.Runs, p.Runs...)
		all.Traces = append(all.Traces, p.Traces...)
	}
	return all
}
