package routing

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Two gateways share the jobs of an agent. One of them stops in the middle of jobs, with
// what it had not written on its disk; the agent gives their rest to the other; the first
// comes back and writes what it had. Then one is away while the agent still counts on it,
// and what is meant for it waits. Everything comes to MLflow once, and each process of a worker
// has one service run, though its metrics came to both.
func TestGatewaysComeAndGo(t *testing.T) {
	server := startMLflow(t)
	places := []place{newPlace(t), newPlace(t)}
	one, other := start(t, places[0], "gateway.yaml"), start(t, places[1], "gateway.yaml")
	at := newPlace(t)
	agent := func(gateways ...place) *collector {
		t.Helper()
		var addresses []string
		for _, g := range gateways {
			addresses = append(addresses, g.grpc)
		}
		t.Setenv("OTLP_GATEWAYS", list(addresses...))
		return start(t, at, "full/agent.yaml")
	}
	accepted := func(c *collector) float64 { return c.metric("otelcol_receiver_accepted_spans") }
	measured := func(c *collector) float64 { return c.metric("otelcol_receiver_accepted_metric_points") }
	var processes []string
	for i := range 32 { // which gateway gets one hangs on the addresses, which are others each time
		processes = append(processes, fmt.Sprint("w", i))
	}

	jobs := slices.Concat(copies(t, "success", 0, 12), copies(t, "retried", 0, 6))
	for i, j := range jobs {
		// Of jobs older than its ledger a Collector asks MLflow in any case.
		jobs[i] = j.begunAt(time.Now())
	}
	server.down.Store(true)
	a := agent(places...)
	sent := 0
	for _, j := range jobs {
		for _, td := range j.before("stage_b") {
			a.send(td)
			sent += td.SpanCount()
		}
	}
	for _, w := range processes {
		a.sendMetrics(queueDepth(w))
	}
	await(t, "the gateways to have the first halves", func() bool {
		return int(accepted(one)+accepted(other)) == sent && int(measured(one)+measured(other)) == len(processes)
	})
	if accepted(one) == 0 || accepted(other) == 0 || measured(one) == 0 || measured(other) == 0 {
		t.Fatalf("the gateways got %v and %v spans, %v and %v metrics: nothing is shared", accepted(one), accepted(other), measured(one), measured(other))
	}
	first := measured(one)
	one.stop()
	a.stop()
	server.down.Store(false)

	a = agent(places[1])
	for _, j := range jobs {
		a.send(j.after("stage_b")...)
	}
	for _, w := range processes { // those of the other gateway, too
		a.sendMetrics(queueDepth(w))
	}
	await(t, "the roots of all jobs in MLflow", func() bool {
		s := server.state(t)
		return !slices.ContainsFunc(jobs, func(j job) bool {
			run := s.Runs[j.expected.Runs[0].Key]
			return run == nil || run.Status != j.expected.Runs[0].Status
		})
	})
	a.stop()

	one = start(t, places[0], "gateway.yaml")
	server.holds(t, jobs...)
	written := func(c *collector) float64 { return c.metric("otelcol_exporter_sent_metric_points") }
	await(t, "all metrics in MLflow", func() bool {
		return int(first+measured(other)) == 2*len(processes) && written(one) == first && written(other) == measured(other)
	})
	server.serves(t, processes...)

	a = agent(places...)
	other.stop()
	more := copies(t, "gate_failed", 0, 20)
	for _, j := range more {
		a.send(j.requests...)
	}
	await(t, "an attempt at the gateway that is away", func() bool { return a.metric("otelcol_loadbalancer_backend_outcome", `success="false"`) > 0 })
	other = start(t, places[1], "gateway.yaml")
	server.holds(t, append(jobs, more...)...)
	if accepted(other) == 0 {
		t.Error("nothing waited for the gateway that was away")
	}
	for name, n := range map[string]float64{
		"refused by the agent's queue": a.metric("otelcol_exporter_enqueue_failed_spans"), "dropped by the agent": a.metric("otelcol_exporter_send_failed_spans"),
		"dropped by a gateway": one.metric("otelcol_exporter_mlflow_dropped_items") + other.metric("otelcol_exporter_mlflow_dropped_items"),
	} {
		if n != 0 {
			t.Errorf("%v spans were %s", n, name)
		}
	}
}
