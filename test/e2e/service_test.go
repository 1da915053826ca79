//go:build e2e

package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/wire"
)

// TestServiceRun lets a worker work on a job; what it measured is then a run of its own.
func TestServiceRun(t *testing.T) {
	const experiment = "measured"
	s := sharedServer(t)
	c := startCollector(t, s.url, experiment, t.TempDir())
	w := newWorker(t, c)
	w.run(t, "replay", w.page)

	var runs []run
	err := c.until("the service run", func() bool {
		runs = s.dump(t, experiment+"_service").Runs
		return len(runs) > 0 && len(runs[0].Metrics) > 0
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(runs) > 2 { // two when the test runs at midnight
		t.Errorf("%d runs", len(runs))
	}
	held := runs[0]
	if held.Status != "RUNNING" || !strings.HasSuffix(held.Name, " technoshare-commentator") || !strings.HasPrefix(held.Name, time.UnixMilli(held.StartMS).UTC().Format("2006-01-02 ")) {
		t.Errorf("run %q is %s", held.Name, held.Status)
	}
	want := []string{
		"job.active", "job.queue.depth", "job.queue.oldest.age", "telemetry.outbox.depth", "telemetry.outbox.size", "telemetry.outbox.age",
		"system/go.goroutine.count", "system/go.memory.used", "system/go.memory.gc.goal",
	}
	for _, what := range []string{"job.duration/success", "job.stage.duration/retrieval", "job.stage.duration/slack_post"} {
		for _, number := range []string{"count", "mean", "p50", "p95", "p99"} {
			want = append(want, what+"/"+number)
		}
	}
	for _, key := range want {
		if _, ok := held.Metrics[key]; !ok {
			t.Errorf("no metric %s in %v", key, slices.Sorted(maps.Keys(held.Metrics)))
		}
	}
	if n := held.Metrics["job.duration/success/count"]; n != 1 {
		t.Errorf("%g jobs", n)
	}
	for _, tag := range []string{wire.TagKey, wire.ResServiceName, wire.ResServiceInstanceID, wire.ResServiceVersion, "mlflow.user", "mlflow.source.name", "mlflow.note.content", "component"} {
		if held.Tags[tag] == "" {
			t.Errorf("no tag %s in %v", tag, held.Tags)
		}
	}
}
