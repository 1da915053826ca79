package routing

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"
)

var outage = flag.Duration("outage", 0, "how long the other backend is away at least; 0 is as long as it takes to fill its queue")

// Another backend hangs or refuses while jobs come: the receiver takes everything, MLflow
// gets every job once while the backend is away, and as soon as by a Collector whose backend
// is well; the backend's queue stays within its bound and what does not fit is counted; when it
// is back it gets jobs again.
func TestDeadBackendDelaysNobody(t *testing.T) {
	for _, trouble := range []mode{hangs, refuses} {
		t.Run(string(trouble), func(t *testing.T) { deadBackend(t, trouble) })
	}
}

func deadBackend(t *testing.T, trouble mode) {
	const (
		bound  = 200_000 // bytes; some twenty jobs
		burst  = 10      // jobs
		bursts = 40      // in an outage of a given length
		least  = 7       // bursts, of which the median is taken
	)
	startMLflow(t)
	startBackend(t)
	t.Setenv("OTELCOL_PROMETHEUS_ENDPOINT", freeAddress(t))
	well := &feed{c: start(t, newPlace(t), "jaeger-prometheus.yaml")}
	server, jaeger := startMLflow(t), startBackend(t)
	t.Setenv("OTELCOL_PROMETHEUS_ENDPOINT", freeAddress(t))
	c := start(t, newPlace(t), "jaeger-prometheus.yaml",
		fmt.Sprintf("exporters::otlp_grpc::sending_queue::queue_size: %d", bound),
		// Otherwise the end of the test waits for what has been tried often.
		"exporters::otlp_grpc::retry_on_failure::initial_interval: 50ms",
		"exporters::otlp_grpc::retry_on_failure::max_interval: 100ms",
		"exporters::otlp_grpc::timeout: 1s")
	of := func(metric, exporter string) float64 {
		return c.metric("otelcol_exporter_"+metric, `exporter="`+exporter+`"`)
	}

	ill := &feed{c: c}
	var beside, during []time.Duration
	for range 3 {
		ill.send(t, burst)
		well.send(t, burst)
	}

	jaeger.becomes(trouble)
	since, fullest := time.Now(), 0.0
	pace := time.NewTicker(max(*outage/bursts, time.Millisecond))
	defer pace.Stop()
	for len(during) < least || of("enqueue_failed_spans", "otlp_grpc") == 0 || jaeger.troubled() == 0 || time.Since(since) < *outage {
		if time.Since(since) > patience+*outage {
			t.Fatal("the backend's queue drops nothing")
		}
		<-pace.C
		during = append(during, ill.send(t, burst))
		beside = append(beside, well.send(t, burst))
		fullest = max(fullest, of("queue_size", "otlp_grpc"))
	}
	server.holds(t, ill.jobs...)
	// What else the machine does delays both.
	if got, limit := median(during), 3*median(beside)+time.Second; got > limit {
		t.Errorf("MLflow has a burst after %v, limit %v; %v where the backend is well", got, limit, median(beside))
	}
	if fullest > bound {
		t.Errorf("the backend's queue grew to %.0f bytes, bound %d", fullest, bound)
	}
	for _, metric := range []string{"enqueue_failed_spans", "send_failed_spans", "mlflow_dropped_items"} {
		if n := of(metric, "mlflow"); n != 0 {
			t.Errorf("%s of mlflow is %v", metric, n)
		}
	}
	t.Logf("away for %v: %d jobs, in bursts of %d that took MLflow %v (%v beside), %.0f spans dropped by the backend's queue, at most %.0f bytes in it",
		time.Since(since).Round(time.Second), len(ill.jobs), burst, median(during).Round(time.Millisecond), median(beside).Round(time.Millisecond),
		of("enqueue_failed_spans", "otlp_grpc"), fullest)

	jaeger.becomes(takes)
	await(t, "the backend's queue to be empty", func() bool { return of("queue_size", "otlp_grpc") == 0 })
	next := recorded(t, "success")
	c.send(next.requests...)
	await(t, "the next job at the backend", func() bool { return len(jaeger.trace(next.trace)) == len(next.spans()) })
	server.holds(t, append(ill.jobs, next)...)
}

// feed is the jobs that a Collector gets.
type feed struct {
	c     *collector
	jobs  []job
	spans int
}

// send sends n jobs, and tells how long it took until MLflow had them.
func (f *feed) send(t *testing.T, n int) time.Duration {
	t.Helper()
	more := copies(t, "success", len(f.jobs), n)
	f.jobs = append(f.jobs, more...)
	begun := time.Now()
	for _, j := range more {
		f.c.send(j.requests...)
		for _, td := range j.requests {
			f.spans += td.SpanCount()
		}
	}
	of := func(metric string) int { return int(f.c.metric("otelcol_exporter_"+metric, `exporter="mlflow"`)) }
	await(t, "MLflow to have the jobs", func() bool { return of("sent_spans") == f.spans && of("queue_size") == 0 })
	return time.Since(begun)
}

func median(of []time.Duration) time.Duration { return slices.Sorted(slices.Values(of))[len(of)/2] }
