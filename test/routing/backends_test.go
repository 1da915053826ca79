package routing

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/wire"
)

// checkWhole reports what a backend has of a job, if it is not all of it.
func checkWhole(t *testing.T, b *backend, j job) {
	t.Helper()
	if got, want := b.trace(j.trace), j.spans(); !slices.Equal(got, want) {
		t.Errorf("the backend has of %s\n%s\nwant\n%s", j.trace, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// checkForMLflowAlone reports what a backend should never get.
func checkForMLflowAlone(t *testing.T, b *backend) {
	t.Helper()
	b.each(func(sp ptrace.Span) {
		tier, _ := sp.Attributes().Get(wire.AttrTier)
		detail, _ := sp.Attributes().Get(wire.AttrJobDetail)
		if tier.Str() == wire.TierMessage || detail.Str() != wire.DetailFull {
			t.Errorf("the backend got %s of a job with detail %s", sp.Name(), detail.Str())
		}
		for _, e := range sp.Events().All() {
			if e.Name() == wire.EventArtifact {
				t.Errorf("the backend got an artifact of %s", sp.Name())
			}
		}
	})
}

// content are the attributes that hold what pages, people and models said.
var content = []string{
	wire.AttrInput, wire.AttrOutput, wire.AttrCommentText, wire.AttrGenAIInput, wire.AttrGenAIOutput, wire.AttrGenAIToolArguments, wire.AttrGenAIToolResult,
	wire.AttrErrorMessage,
}

// Jaeger gets jobs in full detail, whole; Prometheus the metrics; MLflow everything.
func TestJaegerAndPrometheus(t *testing.T) {
	server, jaeger := startMLflow(t), startBackend(t)
	prometheus := freeAddress(t)
	t.Setenv("OTELCOL_PROMETHEUS_ENDPOINT", prometheus)
	c := start(t, newPlace(t), "jaeger-prometheus.yaml")
	full := []job{recorded(t, "success"), recorded(t, "retried"), recorded(t, "late_feedback")}
	tracked := recorded(t, "tracking_only")
	for _, j := range append(full, tracked) {
		c.send(j.requests...)
	}
	c.sendMetrics(queueDepth("w"))

	server.holds(t, append(full, tracked)...)
	server.serves(t, "w")
	for _, j := range full {
		await(t, "Jaeger to have "+j.trace.String(), func() bool { return len(jaeger.trace(j.trace)) >= len(j.spans()) })
		checkWhole(t, jaeger, j)
	}
	if got := jaeger.trace(tracked.trace); len(got) > 0 {
		t.Errorf("Jaeger has %v of a job that is only tracked", got)
	}
	checkForMLflowAlone(t, jaeger)
	await(t, "Prometheus to show the metric", func() bool {
		return strings.Contains(string(get(t, "http://"+prometheus+"/metrics")), "job_queue_depth")
	})
}

// queueDepth is a metric of a worker's process.
func queueDepth(instance string) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr(wire.ResServiceName, "commentator")
	rm.Resource().Attributes().PutStr(wire.ResServiceInstanceID, instance)
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName(wire.MetricQueueDepth)
	p := m.SetEmptyGauge().DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	p.SetIntValue(7)
	return md
}

// One job in ten goes to the other backend, whole and without content.
func TestHeadSampling(t *testing.T) {
	server, tempo := startMLflow(t), startBackend(t)
	c := start(t, newPlace(t), "head-sampling.yaml")
	jobs := slices.Concat(copies(t, "success", 0, 40), copies(t, "retried", 0, 40))
	for _, j := range jobs {
		c.send(j.quoting(quote).requests...)
	}
	c.sendMetrics(queueDepth("w"))
	server.holds(t, jobs...)
	server.serves(t, "w")
	await(t, "the spans to be sent", func() bool {
		return c.metric("otelcol_exporter_queue_size", `exporter="otlp_grpc"`) == 0 && c.metric("otelcol_exporter_sent_spans", `exporter="otlp_grpc"`) > 0
	})
	sampled, failed := 0, 0
	for i, j := range jobs {
		if len(tempo.trace(j.trace)) > 0 {
			sampled++
			if i >= 40 {
				failed++
			}
			checkWhole(t, tempo, j)
		}
	}
	// The trace ids are always the same, and so are those that are taken.
	if failed < 1 || sampled == failed || sampled > len(jobs)/4 {
		t.Errorf("%d of %d jobs went to the backend, %d of those that failed a stage", sampled, len(jobs), failed)
	}
	checkForMLflowAlone(t, tempo)
	checkNoContent(t, tempo)
}

// quote stands for what a model said and an error quotes.
const quote = "the model said so"

func checkNoContent(t *testing.T, b *backend) {
	t.Helper()
	if strings.Contains(b.text(t), quote) {
		t.Error("the backend has what a model said, in an error")
	}
	b.each(func(sp ptrace.Span) {
		for _, key := range content {
			if _, ok := sp.Attributes().Get(key); ok {
				t.Errorf("the backend got %s of %s", key, sp.Name())
			}
		}
	})
}

// A request that is larger than Jaeger takes comes to it in parts, also when it waited on the
// disk for a Jaeger that refused, and for the next start.
func TestLargeRequestReachesJaeger(t *testing.T) {
	server, jaeger := startMLflow(t), startBackend(t)
	t.Setenv("OTELCOL_PROMETHEUS_ENDPOINT", freeAddress(t))
	at := newPlace(t)
	run := func() *collector {
		t.Helper()
		return start(t, at, "jaeger-prometheus.yaml", "exporters::otlp_grpc::retry_on_failure::initial_interval: 50ms", "exporters::otlp_grpc::retry_on_failure::max_interval: 100ms")
	}
	jobs, request, spans := copies(t, "success", 0, 20), ptrace.NewTraces(), 0
	for _, j := range jobs {
		j.each(func(sp ptrace.Span) { sp.Attributes().PutStr("padding", strings.Repeat("x", 50<<10)) })
		for _, td := range j.requests {
			for _, rs := range td.ResourceSpans().All() {
				rs.CopyTo(request.ResourceSpans().AppendEmpty())
			}
		}
		spans += len(j.spans())
	}
	if n := (&ptrace.ProtoMarshaler{}).TracesSize(request); n < 6<<20 {
		t.Fatalf("the request has %d bytes", n)
	}
	jaeger.becomes(refuses)
	c := run()
	failed := func() float64 { return c.metric("otelcol_exporter_send_failed_spans", `exporter="otlp_grpc"`) }
	c.send(request)
	await(t, "Jaeger to refuse", func() bool { return jaeger.troubled() > 0 || failed() > 0 })
	if n := failed(); n != 0 {
		t.Fatalf("%v spans were dropped", n)
	}
	server.holds(t, jobs...)
	c.stop()
	jaeger.becomes(takes)

	c = run()
	await(t, "the spans to be sent", func() bool {
		return failed() > 0 || int(c.metric("otelcol_exporter_sent_spans", `exporter="otlp_grpc"`)) == spans
	})
	if n := failed(); n != 0 {
		t.Errorf("%v spans were dropped", n)
	}
	for _, j := range jobs {
		checkWhole(t, jaeger, j)
	}
}
