//go:build realserver

package apply_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
)

// benchPlan is a job with 110 KB of artifacts.
func benchPlan(experiment string, n int) reduce.Plan {
	p := plan(experiment, n)
	for i := range p.Runs[1:] {
		p.Runs[i+1].Artifacts[0] = artifact(p.Runs[i+1].Artifacts[0].Path, strings.Repeat(stages[i]+" ", 22_000/(len(stages[i])+1)))
	}
	return p
}

// BenchmarkJob writes one job after the other to a real server. The floor is what a client
// needs that makes the same requests on two connections, without thinking; the two take
// turns, so that a busy machine slows both alike.
func BenchmarkJob(b *testing.B) {
	url, err := realURL()
	if err != nil {
		b.Fatal(err)
	}
	requests := &counter{}
	client, err := mlflow.New(mlflow.Config{Endpoint: url, Wrap: func(rt http.RoundTripper) (http.RoundTripper, error) {
		return watchedTransport{rt, requests.request}, nil
	}})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	l, err := ledger.Open(b.Context(), diskStorage(b), ledger.Scope{Endpoint: url}, time.UnixMilli(startMS-1))
	if err != nil {
		b.Fatal(err)
	}
	experiment := "bench " + time.Now().Format(time.RFC3339Nano)
	a := apply.New(apply.Config{Client: client, Ledger: l, DefaultExperiment: experiment})
	if err := a.Apply(b.Context(), benchPlan(experiment, 0)); err != nil {
		b.Fatal(err)
	}
	exp, err := client.GetExperimentByName(b.Context(), experiment)
	if err != nil {
		b.Fatal(err)
	}
	requests.take()
	var ours, floor []time.Duration
	n := 0
	for b.Loop() {
		n++
		start := time.Now()
		if err := a.Apply(b.Context(), benchPlan(experiment, n)); err != nil {
			b.Fatal(err)
		}
		ours = append(ours, time.Since(start))
		start = time.Now()
		if err := floorJob(b.Context(), client, exp.ID, benchPlan(experiment, -n)); err != nil {
			b.Fatal(err)
		}
		floor = append(floor, time.Since(start))
	}
	median := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2].Microseconds()) / 1000
	}
	b.ReportMetric(float64(requests.take())/float64(2*n), "requests/job")
	b.ReportMetric(median(ours), "ms-p50/job")
	b.ReportMetric(median(floor), "floor-ms-p50/job")
	b.ReportMetric(0, "ns/op")
}

// floorJob makes the requests of one job, knowing that none of it exists.
func floorJob(ctx context.Context, c *mlflow.Client, experimentID string, p reduce.Plan) error {
	tags := func(in []reduce.KeyValue) (out []mlflow.KeyValue) {
		for _, kv := range in {
			out = append(out, mlflow.KeyValue(kv))
		}
		return out
	}
	write := func(r reduce.Run, parent string) (id string, err error) {
		in := mlflow.CreateRun{ExperimentID: experimentID, Name: r.Name, StartTime: r.StartTime, Tags: tags(r.Tags)}
		if parent != "" {
			in.Tags = append(in.Tags, mlflow.KeyValue{Key: mlflow.TagParentRun, Value: parent})
		}
		run, err := c.CreateRun(ctx, in)
		if err != nil {
			return "", err
		}
		batch := mlflow.Batch{RunID: run.Info.ID, Params: tags(r.Params)}
		for _, m := range r.Metrics {
			batch.Metrics = append(batch.Metrics, mlflow.Metric{Key: m.Key, Value: mlflow.Number(m.Value), Timestamp: m.TimestampMS})
		}
		if err := c.LogBatch(ctx, batch); err != nil {
			return "", err
		}
		dir, _ := c.ArtifactURL(run.Info.ArtifactURI)
		for _, a := range r.Artifacts {
			if err := c.PutArtifact(ctx, dir, a.Path, a.Content); err != nil {
				return "", err
			}
		}
		if parent == "" {
			return run.Info.ID, nil
		}
		return run.Info.ID, c.UpdateRun(ctx, mlflow.UpdateRun{RunID: run.Info.ID, Status: r.Status, EndTime: r.EndTime})
	}
	id, err := write(p.Runs[0], "")
	if err != nil {
		return err
	}
	work := make(chan reduce.Run)
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for r := range work {
				if _, err := write(r, id); err != nil {
					errs[i] = err
				}
			}
		})
	}
	for _, r := range p.Runs[1:] {
		work <- r
	}
	close(work)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	body, err := ptraceotlp.NewExportRequestFromTraces(p.Traces[0].Spans).MarshalProto()
	if err != nil {
		return err
	}
	if err := c.ExportTraces(ctx, experimentID, id, body); err != nil {
		return err
	}
	err = c.StartTrace(ctx, mlflow.TraceInfo{
		TraceID: "tr-" + p.Traces[0].TraceID, Location: mlflow.InExperiment(experimentID), State: "OK",
		RequestTime: "2026-11-23T05:00:00.123Z", Duration: "2s", Metadata: map[string]string{mlflow.MetaSourceRun: id}, Tags: map[string]string{mlflow.TagTraceName: "job"},
	})
	if err != nil {
		return err
	}
	return c.UpdateRun(ctx, mlflow.UpdateRun{RunID: id, Status: "FINISHED", EndTime: p.Runs[0].EndTime})
}

// diskStorage is what the ledger is kept on in a Collector, fsync included.
func diskStorage(b *testing.B) storage.Client {
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory, cfg.FSync = b.TempDir(), true
	ext, err := factory.Create(b.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	if err != nil {
		b.Fatal(err)
	}
	if err := ext.Start(b.Context(), componenttest.NewNopHost()); err != nil {
		b.Fatal(err)
	}
	client, err := ext.(storage.Extension).GetClient(b.Context(), component.KindExporter, component.MustNewID("mlflow"), "ledger")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = client.Close(context.Background()) })
	return client
}
