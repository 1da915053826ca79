package apply_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
)

func TestWholeJob(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApply(t, e.plan(0)) // probes the server and makes the experiment
		e.requests.take()
		e.mustApply(t, e.plan(1))
		e.took(t, 26)
		e.check(t, e.plan(0), e.plan(1))
		exp, err := e.client.GetExperimentByName(t.Context(), e.experiment)
		if err != nil || !slices.Contains(exp.Tags, mlflow.KeyValue{Key: mlflow.TagExperiment, Value: mlflow.ExperimentGenAI}) {
			t.Errorf("experiment has tags %v, %v", exp.Tags, err)
		}
	})
}

func TestResendCostsNothing(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApply(t, e.plan(1))
		e.requests.take()
		e.mustApply(t, e.plan(1))
		e.mustApply(t, split(e.plan(1))...)
		e.took(t, 0)
		e.restart(t)
		e.mustApply(t, e.plan(1))
		e.took(t, 2) // for version and experiment
		e.check(t, e.plan(1))
	})
}

func TestLostLedgerDoublesNothing(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApply(t, e.plan(1))
		e.lose(t)
		e.mustApply(t, e.plan(1))
		e.check(t, e.plan(1))
	})
}

func TestAnyOrderOfSpans(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		parts := split(e.plan(1))
		slices.Reverse(parts)
		other := split(e.plan(2))
		for i, p := range parts {
			e.mustApply(t, p, other[i])
		}
		e.check(t, e.plan(1), e.plan(2))
	})
}

func TestRunIsThereWhileTheJobRuns(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApply(t, split(e.plan(1))[:3]...)
		s := e.state(t)
		job := s.Runs[jobID(e.experiment, 1)]
		if job == nil || job.Status != mlflow.StatusRunning || job.Start != startMS || len(job.Params) != 2 || len(s.Runs) != 3 {
			t.Errorf("got %+v among %d runs", job, len(s.Runs))
		}
	})
}

func TestOlderVersion(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		newer := e.plan(1).Runs[0]
		older := newer
		older.EndTime -= 500
		older.Version = version(older.Key, older.EndTime)
		older.Status = "FAILED"
		older.Tags = []reduce.KeyValue{{Key: "mlflow.user", Value: "somebody"}, {Key: "outcome", Value: "error"}, {Key: "only_old", Value: "x"}}
		older.Metrics = []reduce.Metric{{Key: "latency_seconds", Value: 1.5, TimestampMS: startMS + 1500}}
		older.Artifacts = []reduce.Artifact{artifact("old.txt", "old"), artifact("d/old.txt", "old"), artifact("d/e/old.txt", "old"), artifact("both.txt", "old"), artifact("d/both.txt", "old")}
		newer.Artifacts = []reduce.Artifact{artifact("both.txt", "new"), artifact("d/both.txt", "new"), artifact("d/new.txt", "new"), artifact("f/new.txt", "new")}

		older.Datasets = []reduce.Dataset{{Name: "items", Digest: "1"}}
		newer.Datasets = []reduce.Dataset{{Name: "items", Digest: "2", Source: "s3://bucket/items.csv"}, {Name: "größe", Digest: strings.Repeat("d", 36), Source: "https://example.org/g?a=1&b=2"}}

		merged := newer
		merged.Datasets = append(slices.Clone(older.Datasets), newer.Datasets...)
		merged.Tags = append(slices.Clone(newer.Tags), older.Tags[2])
		merged.Metrics = append(slices.Clone(older.Metrics), newer.Metrics...)
		merged.Artifacts = append(slices.Clone(older.Artifacts[:3]), newer.Artifacts...)

		again := func(r reduce.Run) reduce.Run { // the same of another job
			r.TraceID = jobID(e.experiment, 2)
			r.Key = r.TraceID
			return r
		}
		for _, r := range []reduce.Run{older, newer, older, again(newer), again(older), again(newer)} {
			e.mustApply(t, reduce.Plan{Runs: []reduce.Run{r}})
		}
		e.requests.take()
		e.mustApply(t, reduce.Plan{Runs: []reduce.Run{older, again(older)}})
		e.took(t, 0)
		e.check(t, reduce.Plan{Runs: []reduce.Run{merged, again(merged)}})
	})
}

func TestDeletedRunStaysDeleted(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		parts := split(e.plan(1))
		e.mustApply(t, parts[0])
		id := e.findRun(t, jobID(e.experiment, 1)).Info.ID
		if err := e.client.DeleteRun(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		e.mustApply(t, e.plan(1))
		if e.events.get(apply.EventDeletedRun) == 0 {
			t.Error("nothing was counted")
		}
		e.requests.take()
		e.mustApply(t, e.plan(1))
		e.took(t, 0)
		e.lose(t)
		e.mustApply(t, e.plan(1), e.plan(1))
		run, err := e.client.GetRun(t.Context(), id)
		if err != nil || run.Info.Stage != mlflow.Deleted || run.Info.Status != mlflow.StatusRunning {
			t.Errorf("got %+v, %v", run.Info, err)
		}
	})
}

func (e *env) findRun(t *testing.T, key string) mlflow.Run {
	t.Helper()
	runs, _, err := e.client.SearchRuns(t.Context(), mlflow.SearchRuns{
		ExperimentIDs: []string{e.experimentID(t)}, View: mlflow.ViewAll, Filter: "tags.`" + wire.TagKey + "` = '" + key + "'",
	})
	if err != nil || len(runs) != 1 {
		t.Fatalf("found %d runs, %v", len(runs), err)
	}
	return runs[0]
}

func TestParamConflict(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		p := e.plan(1)
		e.mustApply(t, split(p)[0])
		p.Runs[0].Params = []reduce.KeyValue{{Key: "job_id", Value: "another"}, {Key: "new", Value: "1"}, {Key: "stage_a_model", Value: "gpt-4o"}}
		e.mustApply(t, p)
		want := e.plan(1)
		want.Runs[0].Params = append(want.Runs[0].Params, reduce.KeyValue{Key: "new", Value: "1"})
		want.Runs[0].Tags = append(want.Runs[0].Tags, reduce.KeyValue{Key: wire.TagParamConflict, Value: "job_id"})
		e.check(t, want)
		if n := e.events.get(apply.EventParamConflict); n != 1 {
			t.Errorf("counted %d conflicts", n)
		}
		// A plan that tells of one itself, of names that are one to MLflow, adds to the tag.
		p.Runs[0].EndTime += 100
		p.Runs[0].Version = version(p.Runs[0].Key, p.Runs[0].EndTime)
		p.Runs[0].Params[1].Value = "2"
		p.Runs[0].Tags = append(p.Runs[0].Tags, reduce.KeyValue{Key: wire.TagParamConflict, Value: "p_"})
		e.mustApply(t, p)
		if run := e.findRun(t, p.Runs[0].Key); run.Tag(wire.TagParamConflict) != "job_id, new, p_" {
			t.Errorf("the tag is %q", run.Tag(wire.TagParamConflict))
		}
	})
}

func TestLimitsAndKeys(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		r := e.plan(1).Runs[0]
		r.Params, r.Tags, r.Metrics = nil, r.Tags[1:2], nil
		for i := range 230 {
			name := strings.Repeat("k", i%7) + hash(string(rune(i)))[:12]
			r.Params = append(r.Params, reduce.KeyValue{Key: "p" + name, Value: name})
			r.Tags = append(r.Tags, reduce.KeyValue{Key: "t" + name, Value: name})
			for step := range 10 {
				r.Metrics = append(r.Metrics, reduce.Metric{Key: "m" + name, Value: float64(step), TimestampMS: startMS, Step: int64(step)})
			}
		}
		want := r
		want.Params = append(slices.Clone(r.Params), reduce.KeyValue{Key: "gr\u00f6\u00dfe_50_/x", Value: strings.Repeat("\u00e4", 5999) + "\u2026"}, reduce.KeyValue{Key: strings.Repeat("l", 241) + "-ab5229cf", Value: ""})
		want.Tags = append(slices.Clone(r.Tags), reduce.KeyValue{Key: "nul", Value: "ab"})
		r.Params = append(r.Params, reduce.KeyValue{Key: "/gr\u00f6\u00dfe?50%//../x", Value: strings.Repeat("\u00e4", 7000)}, reduce.KeyValue{Key: strings.Repeat("l", 300), Value: ""})
		r.Tags = append(r.Tags, reduce.KeyValue{Key: "nul", Value: "a\x00b"})
		e.mustApply(t, reduce.Plan{Runs: []reduce.Run{r}})
		e.check(t, reduce.Plan{Runs: []reduce.Run{want}})
	})
}

func TestBadSpanCostsNoOther(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		bad := e.plan(1)
		span := addSpan(bad.Traces[0].Spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans(), jobID(e.experiment, 1), 12)
		span.Attributes().PutStr("mlflow.llm.cost", "garbage") // MLflow 3.7 takes that, but not this:
		span.SetStartTimestamp(math.MaxUint64)
		err := e.Apply(t.Context(), join(e.plan(0), bad, e.plan(2)))
		if item := refused(t, err); item.TraceID != jobID(e.experiment, 1) {
			t.Errorf("blamed %s", item.TraceID)
		}
		e.check(t, e.plan(0), e.plan(1), e.plan(2))
		files, err := os.ReadDir(e.cfg.DeadLetterDir)
		if err != nil || len(files) != 1 {
			t.Errorf("dead letters: %v, %v", files, err)
		}
		e.requests.take()
		e.mustApply(t, bad)
		e.took(t, 0)
	})
}

// MLflow 3.15 and newer are told of a trace before they get its spans, once they took some: that
// spares them a merge of both. Whoever opens the trace at that moment sees one without spans.
func TestTraceIsToldBeforeItsSpans(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApply(t, e.plan(0))
		if e.requests.get("POST /v1/traces") != 1 {
			t.Fatalf("made %v", e.requests.n)
		}
		version, err := e.client.Version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		e.sending = func(r *http.Request) {
			if r.URL.Path != "/v1/traces" {
				return
			}
			// As a page asks: the client would forgive an error about missing spans.
			res, err := http.Get(e.client.Endpoint() + "/api/3.0/mlflow/traces/get?allow_partial=true&trace_id=tr-" + jobID(e.experiment, 1))
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			var got struct {
				Trace mlflow.Trace `json:"trace"`
			}
			if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
				t.Error(err)
			}
			found = append(found, fmt.Sprintf("%d: %q %s, %d spans", res.StatusCode, got.Trace.Info.Tags[mlflow.TagTraceName], got.Trace.Info.State, len(got.Trace.Spans)))
		}
		e.mustApply(t, e.plan(1))
		e.sending = nil
		http.DefaultClient.CloseIdleConnections()
		want := []string{`200: "job_1" OK, 0 spans`}
		minor := 0
		if _, err := fmt.Sscanf(version, "3.%d.", &minor); err != nil {
			t.Fatalf("version %q: %v", version, err)
		}
		if minor < 15 {
			want = []string{`404: "" , 0 spans`}
		}
		if diff := gocmp.Diff(want, found); diff != "" && !e.retried {
			t.Errorf("before the spans came, MLflow %s held (-want +got):\n%s", version, diff)
		}
		e.check(t, e.plan(0), e.plan(1))
	})
}

func TestLateDetailSpans(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		all := e.plan(1)
		early := all
		early.Traces = []reduce.Trace{all.Traces[0]}
		early.Traces[0].Spans = spans(jobID(e.experiment, 1), 8)
		e.mustApply(t, early)
		e.restart(t)
		late := all.Traces[0]
		late.Info = nil
		e.requests.take()
		e.mustApply(t, reduce.Plan{Runs: split(all)[1].Runs[:1], Traces: []reduce.Trace{late}})
		if e.requests.get("POST /v1/traces") != 1 || e.requests.get("POST /api/3.0/mlflow/traces") != 1 {
			t.Errorf("late spans took %v", e.requests.n)
		}
		e.check(t, all)
	})
}

func TestJobsShareRequests(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApply(t, join(e.plan(1), e.plan(2), e.plan(3)))
		if n := e.requests.get("POST /v1/traces"); n != 1 && !e.retried {
			t.Errorf("spans of three jobs took %d requests", n)
		}
		e.check(t, e.plan(1), e.plan(2), e.plan(3))
	})
}

func TestDeletedExperiment(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApply(t, e.plan(1))
		if err := e.client.DeleteExperiment(t.Context(), e.experimentID(t)); err != nil {
			t.Fatal(err)
		}
		p := e.plan(2)
		p.Traces = nil
		for range 2 { // the first attempt finds out, the second knows
			if item := refused(t, e.Apply(t.Context(), p)); !strings.Contains(item.Error(), "is deleted: restore it") {
				t.Errorf("got %v", item)
			}
		}
	})
}

func TestOldExperimentsKeepFilesInADirectory(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		dir := t.TempDir()
		if _, err := e.client.CreateExperimentAt(t.Context(), e.experiment, dir+"/1"); err != nil {
			t.Fatal(err)
		}
		e.mustApply(t, e.plan(1))
		e.check(t, e.plan(1))
		for call := range e.requests.n {
			if strings.HasPrefix(call, "PUT ") || strings.Contains(call, "upload") {
				t.Errorf("%s, although the directory is here", call)
			}
		}
	})
}

// A trace keeps what MLflow derived from its spans when its info does not say it, and what a
// person added, also while spans come later.
func TestInfoAddsToWhatIsHeld(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		noUsage, noPreviews := e.plan(1), e.plan(2)
		noUsage.Traces[0].Info.TokenUsage = nil
		noPreviews.Traces[0].Info.RequestPreview, noPreviews.Traces[0].Info.ResponsePreview = "", ""
		root := noPreviews.Traces[0].Spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		root.Attributes().PutStr("mlflow.spanInputs", `"what was asked"`)
		for _, p := range []reduce.Plan{noUsage, noPreviews} {
			e.mustApply(t, p)
			id, run := "tr-"+p.Traces[0].TraceID, e.findRun(t, p.Runs[0].Key)
			check := func(preview string) {
				t.Helper()
				info, err := e.client.GetTraceInfo(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				if info.Tags[mlflow.TagTraceName] != p.Runs[0].Name || info.Metadata[mlflow.MetaSourceRun] != run.Info.ID || info.Metadata[mlflow.MetaSession] != "s1" {
					t.Errorf("tags %v, metadata %v", info.Tags, info.Metadata)
				}
				if info.Metadata[mlflow.MetaTokenUsage] == "" || !strings.Contains(info.RequestPreview, preview) {
					t.Errorf("usage %s, preview %q", info.Metadata[mlflow.MetaTokenUsage], info.RequestPreview)
				}
			}
			preview := cmp.Or(p.Traces[0].Info.RequestPreview, "what was asked")
			check(preview)
			e.tagTrace(t, id, "by_hand", "yes")
			e.mustApply(t, reduce.Plan{Traces: []reduce.Trace{late(p, 20)}})
			check(preview)
			if info, err := e.client.GetTraceInfo(t.Context(), id); err != nil || info.Tags["by_hand"] != "yes" {
				t.Errorf("tags %v, %v", info.Tags, err)
			}
		}
		if n := e.events.get(apply.EventDeadLetter); n != 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// tagTrace does what a person does in the UI.
func (e *env) tagTrace(t *testing.T, id, key, value string) {
	t.Helper()
	body := strings.NewReader(fmt.Sprintf(`{"key": %q, "value": %q}`, key, value))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, e.client.Endpoint()+"/api/3.0/mlflow/traces/"+id+"/tags", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("tag trace: HTTP %s", res.Status)
	}
}

// late is the trace of a plan with one more detail span alone, and nothing said of the whole.
func late(p reduce.Plan, n int) reduce.Trace {
	t := p.Traces[0]
	t.Info = nil
	t.Spans = ptrace.NewTraces()
	addSpan(t.Spans.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans(), t.TraceID, n)
	return t
}

// Of a job whose start nobody tells, a stage that comes after the ledger was lost has the run
// that the stages before it have.
func TestLostLedgerDoublesNoJobWithoutAStart(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		parts := split(e.plan(1))
		for i := range parts {
			for k := range parts[i].Runs {
				parts[i].Runs[k].StartGuessed = parts[i].Runs[k].Implied
			}
		}
		e.mustApply(t, parts[1])
		e.lose(t)
		late := parts[2]
		for i := range late.Runs {
			late.Runs[i].StartTime = startMS + 2_000_000
		}
		e.mustApply(t, late)
		e.findRun(t, jobID(e.experiment, 1)) // fails when there are two
	})
}
