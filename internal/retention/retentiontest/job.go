// Package retentiontest makes MLflow stores with a history, for tests and benchmarks: one job
// is written through MLflow's API, and its rows and files are multiplied.
package retentiontest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
)

// stages of a job, with the file that each leaves.
var stages = []struct{ name, file string }{
	{"retrieval", "evidence.json"},
	{"stage_a", "stage_a_facts.json"},
	{"stage_b", "stage_b_result.json"},
	{"quality_gates", "gate_failures.txt"},
	{"slack_post", "slack_payload.json"},
}

// fileSize is that of an artifact, in bytes.
const fileSize = 20_000

// Job is a job in MLflow: six runs, five files and a trace of twelve spans with an assessment.
type Job struct {
	ID    int
	Root  string
	Runs  []string // the root first
	Trace string   // without "tr-"
	Start time.Time
}

// Write writes a job that started at a time, as the bridge writes one.
func Write(ctx context.Context, c *mlflow.Client, experiment string, id int, start time.Time) (Job, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "job %d", id))
	j := Job{ID: id, Trace: hex.EncodeToString(sum[:16]), Start: start.Truncate(time.Millisecond)}
	for i, name := range append([]string{fmt.Sprintf("job_%d", id)}, names()...) {
		if err := j.writeRun(ctx, c, experiment, i, name); err != nil {
			return j, fmt.Errorf("write run %s: %w", name, err)
		}
	}
	if err := j.writeTrace(ctx, c, experiment); err != nil {
		return j, fmt.Errorf("write trace: %w", err)
	}
	return j, nil
}

func names() []string {
	var out []string
	for _, s := range stages {
		out = append(out, s.name)
	}
	return out
}

func (j *Job) writeRun(ctx context.Context, c *mlflow.Client, experiment string, i int, name string) error {
	at := j.Start.Add(time.Duration(i) * time.Second).UnixMilli()
	key := j.Trace
	tags := []mlflow.KeyValue{{Key: "mlflow.user", Value: "service"}, {Key: "component", Value: "pipeline"}}
	if i > 0 {
		key += fmt.Sprintf("-%016x", i)
		tags = append(tags, mlflow.KeyValue{Key: mlflow.TagParentRun, Value: j.Root}, mlflow.KeyValue{Key: "stage", Value: name})
	}
	tags = append(tags, mlflow.KeyValue{Key: wire.TagKey, Value: key})
	run, err := c.CreateRun(ctx, mlflow.CreateRun{ExperimentID: experiment, Name: name, UserID: "service", StartTime: at, Tags: tags})
	if err != nil {
		return err
	}
	j.Runs = append(j.Runs, run.Info.ID)
	batch := mlflow.Batch{RunID: run.Info.ID, Tags: []mlflow.KeyValue{{Key: mlflow.TagNote, Value: strings.Repeat("A comment. ", 60)}, {Key: "outcome", Value: "success"}}}
	for m := range 6 {
		batch.Metrics = append(batch.Metrics, mlflow.Metric{Key: fmt.Sprintf("metric_%d", m), Value: mlflow.Number(m), Timestamp: at + 900, Step: 0})
	}
	if i == 0 {
		j.Root = run.Info.ID
		batch.Params = []mlflow.KeyValue{{Key: "job_id", Value: fmt.Sprint(j.ID)}, {Key: "channel_id", Value: "C123"}, {Key: "message_ts", Value: "1718000000.000100"}}
		for step := range int64(5) {
			batch.Metrics = append(batch.Metrics, mlflow.Metric{Key: "history", Value: mlflow.Number(step), Timestamp: at + step, Step: step})
		}
	}
	if err := c.LogBatch(ctx, batch); err != nil {
		return err
	}
	if err := c.UpdateRun(ctx, mlflow.UpdateRun{RunID: run.Info.ID, Status: mlflow.StatusFinished, EndTime: at + 950}); err != nil {
		return err
	}
	if i == 0 {
		return nil
	}
	dir, ok := c.ArtifactURL(run.Info.ArtifactURI)
	if !ok {
		return fmt.Errorf("artifacts of %s are not served", run.Info.ArtifactURI)
	}
	return c.PutArtifact(ctx, dir, stages[i-1].file, []byte(strings.Repeat(name+" ", fileSize/(len(name)+1))))
}

func (j *Job) writeTrace(ctx context.Context, c *mlflow.Client, experiment string) error {
	id, err := hex.DecodeString(j.Trace)
	if err != nil {
		return err
	}
	traces := ptrace.NewTraces()
	spans := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	const n = 12
	for i := range n {
		s := spans.AppendEmpty()
		s.SetTraceID(pcommon.TraceID(id))
		s.SetSpanID(pcommon.SpanID{1, byte(i)})
		if i > 0 {
			s.SetParentSpanID(pcommon.SpanID{1, byte((i - 1) / 2)})
		}
		s.SetName(fmt.Sprintf("span %d", i))
		at := j.Start.Add(time.Duration(i) * time.Millisecond)
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(at))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(at.Add(time.Second)))
		s.Attributes().PutStr("mlflow.spanInputs", `{"text": "`+strings.Repeat("input ", 500)+`"}`)
	}
	body, err := ptraceotlp.NewExportRequestFromTraces(traces).MarshalProto()
	if err != nil {
		return err
	}
	if err := c.ExportTraces(ctx, experiment, "", body); err != nil {
		return err
	}
	if err := c.StartTrace(ctx, mlflow.TraceInfo{
		TraceID: "tr-" + j.Trace, Location: mlflow.InExperiment(experiment), RequestTime: j.Start.UTC().Format("2006-01-02T15:04:05.000Z"), Duration: "1.5s", State: "OK",
		Metadata: map[string]string{mlflow.MetaSourceRun: j.Root, mlflow.MetaSession: "C123:1718000000.000100"}, Tags: map[string]string{mlflow.TagTraceName: fmt.Sprintf("job_%d", j.ID)},
	}); err != nil {
		return err
	}
	return c.CreateAssessment(ctx, mlflow.Assessment{
		ID: "a-" + j.Trace, Name: "helpful", TraceID: "tr-" + j.Trace, Source: mlflow.AssessmentSource{Type: "HUMAN", ID: "u"}, Feedback: &mlflow.Feedback{Value: json.RawMessage("true")},
	})
}
