package reconcile

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"go.opentelemetry.io/collector/pdata/ptrace"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/internal/wire/fixture"
	"github.com/technoshare/commentator/test/dbtest"
)

// rig is the job of the fixture "success" in a job database, and an MLflow that holds it.
type rig struct {
	t          *testing.T
	database   string
	store      *store.Store
	mlflow     *mlflowtest.Server
	client     *mlflow.Client
	experiment string // its id
	requests   []ptrace.Traces
	table      fixture.Expected
	comparison *Comparison
	now        time.Time

	asked []string // what each repair message asked for
	sent  []string // the names of its spans
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, mlflow: mlflowtest.Start()}
	t.Cleanup(r.mlflow.Close)
	var err error
	if r.requests, r.table, err = fixture.Load("success"); err != nil {
		t.Fatal(err)
	}
	r.database = dbtest.New(t)
	if r.store, err = store.Open(t.Context(), r.database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.store.Close() })
	r.record()
	if r.client, err = mlflow.New(mlflow.Config{Endpoint: r.mlflow.URL}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.client.Close)
	if r.experiment, err = r.client.CreateExperiment(t.Context(), experiment); err != nil {
		t.Fatal(err)
	}
	r.hold(r.table.Runs)
	r.holdTrace()

	records, err := OpenRecords(t.Context(), r.database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = records.Close() })
	server, err := NewServer(t.Context(), r.client)
	if err != nil {
		t.Fatal(err)
	}
	r.comparison = &Comparison{
		Records: records, Server: server, Experiment: experiment, Settle: time.Minute, Wait: time.Minute,
		Now:   func() time.Time { return r.now },
		Sleep: func(_ context.Context, d time.Duration) error { r.now = r.now.Add(d); return nil },
	}
	return r
}

// record writes the job and its messages, all of them sent, as a worker would have.
func (r *rig) record() {
	// The fixtures' store and the time at which they let job 1 be made.
	created := time.Date(2026, 11, 20, 9, 1, 0, 123456000, time.UTC)
	r.now = created.Add(time.Hour)
	r.write(`UPDATE meta SET value = '6f1c1a52-6b1e-4d0c-9a63-0f3f2b0c7a11' WHERE key = 'store_id'`)
	r.write(`INSERT INTO messages (id, channel_id, message_ts, received_at) VALUES (1, 'C', '1', 1)`)
	jobs := jobsOf(r.t, r.requests)
	started := created.Add(40 * time.Millisecond)
	r.write(`INSERT INTO jobs (id, message_id, state, outcome, detail, created_at, started_at, finished_at) VALUES (1, 1, 'final', 'success', 'full', ` +
		micros(created) + `, ` + micros(started) + `, ` + micros(started.Add(time.Second)) + `)`)
	for _, s := range jobs[0].Stages {
		r.write(`INSERT INTO stages (job_id, stage, attempt, span_id, started_at, ended_at) VALUES (1, '` + s.Name + `', 1, '` + s.SpanID + `', 1, 2)`)
	}
	for _, td := range r.requests {
		body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		if err != nil {
			r.t.Fatal(err)
		}
		insert := `INSERT INTO outbox (job_id, kind, created_at, body, size, sent_at) VALUES (1, 'x', 1, ?, 1, ` + micros(created) + `)`
		if dbtest.Postgres() {
			insert = strings.Replace(insert, "?", "$1", 1)
		}
		if _, err := r.store.DB().ExecContext(r.t.Context(), insert, s2.Encode(nil, body)); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) write(statement string) {
	r.t.Helper()
	if _, err := r.store.DB().ExecContext(r.t.Context(), statement); err != nil {
		r.t.Fatal(err)
	}
}

// hold writes runs into MLflow as the bridge does.
func (r *rig) hold(runs []fixture.Run) {
	r.t.Helper()
	ctx := r.t.Context()
	must := func(err error) {
		r.t.Helper()
		if err != nil {
			r.t.Fatal(err)
		}
	}
	for _, want := range runs {
		in := mlflow.CreateRun{ExperimentID: r.experiment, Name: want.Name, StartTime: want.StartMS}
		for _, tags := range []map[string]string{want.Tags, want.SystemTags, {mlflow.TagNote: strings.Join(want.NoteContains, "\n")}} {
			for k, v := range tags {
				in.Tags = append(in.Tags, mlflow.KeyValue{Key: k, Value: v})
			}
		}
		if want.Parent != "" {
			in.Tags = append(in.Tags, mlflow.KeyValue{Key: mlflow.TagParentRun, Value: r.run(want.Parent).Info.ID})
		}
		run, err := r.client.CreateRun(ctx, in)
		must(err)
		b := mlflow.Batch{RunID: run.Info.ID}
		for k, v := range want.Params {
			b.Params = append(b.Params, mlflow.KeyValue{Key: k, Value: v})
		}
		for k, v := range want.Metrics {
			b.Metrics = append(b.Metrics, mlflow.Metric{Key: k, Value: mlflow.Number(v), Timestamp: want.EndMS})
		}
		must(r.client.LogBatch(ctx, b))
		for path := range want.Artifacts {
			dir, _ := r.client.ArtifactURL(run.Info.ArtifactURI)
			must(r.client.PutArtifact(ctx, dir, path, r.file(want.Key, path)))
		}
		must(r.client.UpdateRun(ctx, mlflow.UpdateRun{RunID: run.Info.ID, Status: want.Status, EndTime: want.EndMS}))
	}
}

// file is the content of an artifact of a run.
func (r *rig) file(key, path string) []byte {
	for _, td := range r.requests {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, sp := range ss.Spans().All() {
					for _, e := range sp.Events().All() {
						name, _ := e.Attributes().Get(wire.AttrArtifactName)
						content, _ := e.Attributes().Get(wire.AttrArtifactContent)
						if name.AsString() == path && strings.HasSuffix(key, sp.SpanID().String()) {
							if content.Type().String() == "Bytes" {
								return content.Bytes().AsRaw()
							}
							return []byte(content.AsString())
						}
					}
				}
			}
		}
	}
	r.t.Fatalf("no file %s of %s", path, key)
	return nil
}

func (r *rig) holdTrace() {
	r.t.Helper()
	want := r.table.Traces[0]
	all := ptrace.NewTraces()
	for _, td := range r.requests {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, sp := range ss.Spans().All() {
					if slices.ContainsFunc(want.Spans, func(w fixture.Span) bool { return w.ID == sp.SpanID().String() }) {
						to := all.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
						sp.CopyTo(to)
						if to.Status().Code() == ptrace.StatusCodeUnset {
							to.Status().SetCode(ptrace.StatusCodeOk)
						}
					}
				}
			}
		}
	}
	body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(all)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.client.ExportTraces(r.t.Context(), r.experiment, "", body); err != nil {
		r.t.Fatal(err)
	}
	tags := maps.Clone(want.Tags)
	tags[mlflow.TagTraceName] = want.Name
	err = r.client.StartTrace(r.t.Context(), mlflow.TraceInfo{
		TraceID: want.ID, Location: mlflow.InExperiment(r.experiment), State: want.State, Tags: tags,
		RequestTime: time.UnixMilli(want.RequestMS).UTC().Format(time.RFC3339Nano), Duration: (time.Duration(want.DurationMS) * time.Millisecond).String(),
		Metadata: map[string]string{mlflow.MetaSourceRun: r.run(want.Run).Info.ID, mlflow.MetaSession: want.Session, mlflow.MetaUser: want.User},
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// run finds a run by its key.
func (r *rig) run(key string) mlflow.Run {
	r.t.Helper()
	found, _, err := r.client.SearchRuns(r.t.Context(), mlflow.SearchRuns{
		ExperimentIDs: []string{r.experiment}, View: mlflow.ViewAll, Filter: "tags.`" + wire.TagKey + "` = '" + key + "'",
	})
	if err != nil || len(found) == 0 {
		r.t.Fatalf("no run %s: %v", key, err)
	}
	return found[0]
}

func (r *rig) delete(key string) {
	r.t.Helper()
	if err := r.client.DeleteRun(r.t.Context(), r.run(key).Info.ID); err != nil {
		r.t.Fatal(err)
	}
}

// stage is the key of the run of a stage.
func (r *rig) stage(name string) string {
	i := slices.IndexFunc(r.table.Runs, func(run fixture.Run) bool { return run.Name == name })
	return r.table.Runs[i].Key
}

func (r *rig) compare() Result {
	r.t.Helper()
	found, err := r.comparison.Since(r.t.Context(), time.Time{})
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

// repair lets repairs do what a function does with each request.
func (r *rig) repair(withDeleted bool, do func()) (Repair, Result) {
	r.t.Helper()
	done, after, err := r.comparison.Repair(r.t.Context(), withDeleted, func(_ context.Context, request *collectorpb.ExportTraceServiceRequest) error {
		for _, rs := range request.GetResourceSpans() {
			r.asked = append(r.asked, attributes(rs.GetResource().GetAttributes())[wire.ResRepair].GetStringValue())
			for _, ss := range rs.GetScopeSpans() {
				for _, s := range ss.GetSpans() {
					r.sent = append(r.sent, s.GetName())
				}
			}
		}
		do()
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	slices.Sort(r.asked)
	r.asked = slices.Compact(r.asked)
	return done, after
}

func micros(at time.Time) string { return strconv.FormatInt(at.UnixMicro(), 10) }
