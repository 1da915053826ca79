//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/evaluation/scorers"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/test/sandbox"
)

// evaluated is what scripts/mlflow/evaluation.py says.
type evaluated struct {
	Runs     []evaluationRun
	Datasets []struct {
		ID, Name string
		Tags     map[string]string
		Records  []struct {
			Inputs       map[string]string
			Expectations map[string]string
			Tags         map[string]string
		}
	}
}

type evaluationRun struct {
	ID, Name, Status string
	Params, Tags     map[string]string
	Metrics          map[string]float64
	Artifacts        []string
	Datasets         []string // name@digest
	Results          json.RawMessage
	Traces           []evaluationTrace
}

type evaluationTrace struct {
	ID, Example, Repetition, State, Root string
	Inputs, Outputs                      map[string]any
	Spans                                []string
	Assessments                          []struct {
		Name, Kind, Source, Run, Span, Why string
		Value                              any
	}
}

// TestAnEvaluationInMLflow evaluates some examples twice, syncs the dataset, and looks at both
// through MLflow's own client.
func TestAnEvaluationInMLflow(t *testing.T) {
	const experiment = "evaluations"
	s := sharedServer(t)
	c := startCollector(t, s.url, "not this one", t.TempDir())
	dir := t.TempDir()
	settings := append(sandbox.Environ(), "MLFLOW_ENABLE_TRACKING=true", "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+c.grpc, "EVAL_EXPERIMENT_NAME="+experiment,
		"DATA_DIR="+filepath.Join(checkout, "data"), "MLFLOW_TRACKING_URI="+s.url)
	command := func(name string, args ...string) {
		t.Helper()
		cmd := exec.Command(program(t, name), args...)
		cmd.Dir, cmd.Env = dir, settings
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
	}
	command("commentator", "eval", "run", "--tag", "demo", "--repetitions", "2")
	command("mlflowctl", "dataset", "sync")
	command("mlflowctl", "dataset", "sync") // again changes nothing

	text, err := os.ReadFile(filepath.Join(dir, evaluation.ResultsFile))
	if err != nil {
		t.Fatal(err)
	}
	res, err := evaluation.ParseResults(text)
	if err != nil {
		t.Fatal(err)
	}
	err = c.until("the evaluation's run to be finished", func() bool {
		held := s.dump(t, experiment)
		return len(held.Runs) == 1 && held.Runs[0].Status == "FINISHED" && len(held.Traces) == len(res.Tries) &&
			!slices.ContainsFunc(held.Traces, func(tr trace) bool { return len(tr.Assessments) < len(res.Scorers)-1 })
	})
	if err != nil {
		t.Fatal(err)
	}
	held := readEvaluations(t, s, experiment)
	if len(held.Runs) != 1 {
		t.Fatalf("%d evaluation runs, want 1", len(held.Runs))
	}
	checkEvaluationRun(t, held.Runs[0], res, dir)
	for _, try := range res.Tries {
		checkEvaluationTrace(t, held.Runs[0], try, res)
	}
	checkDataset(t, held)
}

func readEvaluations(t *testing.T, s *server, experiment string) (held evaluated) {
	t.Helper()
	cmd := mlflowScript(t, s, "evaluation.py", experiment)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &held)
	}
	if err != nil {
		t.Fatalf("read evaluations: %v\n%s", err, out)
	}
	return held
}

func checkEvaluationRun(t *testing.T, r evaluationRun, res *evaluation.Results, dir string) {
	t.Helper()
	if r.Name != "eval_suite" || r.Status != "FINISHED" || r.Tags[wire.TagKey] != res.TraceID || r.Tags[wire.AttrEvalID] != res.ID ||
		!slices.Equal(r.Artifacts, []string{"eval_results.json"}) {
		t.Errorf("run %s is %s, tags %v, artifacts %v", r.Name, r.Status, r.Tags, r.Artifacts)
	}
	if want := []string{res.Dataset.Name + "@" + res.Dataset.Digest()}; !slices.Equal(r.Datasets, want) {
		t.Errorf("the run is about %v, want %v", r.Datasets, want)
	}
	for name, want := range map[string]string{
		"dataset_name": res.Dataset.Name, "dataset_version": res.Dataset.Version, "dataset_hash": res.Dataset.Hash,
		"num_examples": "7", "repetitions": "2", "analyser": "offline",
	} {
		if r.Params[name] != want {
			t.Errorf("param %s is %q, want %q", name, r.Params[name], want)
		}
	}
	for name, want := range res.Metrics() {
		if got, ok := r.Metrics[name]; !ok || got-want > 1e-9 || want-got > 1e-9 {
			t.Errorf("metric %s is %v, want %v", name, got, want)
		}
	}
	if len(r.Traces) != len(res.Tries) {
		t.Errorf("MLflow finds %d traces of the run, want %d", len(r.Traces), len(res.Tries))
	}
	if _, err := evaluation.ParseResults(r.Results); err != nil {
		t.Errorf("the artifact: %v", err)
	}
}

func checkEvaluationTrace(t *testing.T, r evaluationRun, try evaluation.Try, res *evaluation.Results) {
	t.Helper()
	i := slices.IndexFunc(r.Traces, func(tr evaluationTrace) bool { return tr.ID == "tr-"+try.TraceID })
	if i < 0 {
		t.Errorf("trace of %s, repetition %d, is missing", try.Example, try.Repetition)
		return
	}
	tr := r.Traces[i]
	if tr.Example != try.Example || tr.Repetition != fmt.Sprint(try.Repetition) || tr.State != "OK" || tr.Inputs["url"] == nil || tr.Outputs["comment"] == nil ||
		!slices.Equal(tr.Spans, []string{"eval_example", "execute_tool search", "quality_gates", "retrieval", "stage_a", "stage_b"}) {
		t.Errorf("trace of %s: %+v", try.Example, tr)
	}
	said := map[string]any{}
	for _, a := range tr.Assessments {
		if a.Run != r.ID || a.Span != tr.Root {
			t.Errorf("trace of %s: %s is of run %q, span %q", try.Example, a.Name, a.Run, a.Span)
		}
		said[a.Kind+" "+a.Name] = a.Value
	}
	for _, score := range try.Scores {
		var want any = score.Value
		if yesNo(res, score.Name) {
			want = score.Pass
		}
		if got := said["Feedback "+score.Name]; got != want {
			t.Errorf("trace of %s: %s is %v, want %v", try.Example, score.Name, got, want)
		}
	}
	if _, ok := try.Score(scorers.ExpectedTheme); ok != (said["Expectation theme"] != nil) {
		t.Errorf("trace of %s: expectation %v", try.Example, said["Expectation theme"])
	}
}

func yesNo(res *evaluation.Results, scorer string) bool {
	return slices.ContainsFunc(res.Scorers, func(s evaluation.ScorerInfo) bool { return s.Name == scorer && s.YesNo })
}

func checkDataset(t *testing.T, held evaluated) {
	t.Helper()
	if len(held.Datasets) != 1 {
		t.Fatalf("%d datasets, want 1", len(held.Datasets))
	}
	d := held.Datasets[0]
	if d.Name != "technoshare_eval" || len(d.Records) != 40 || len(d.Tags["version_hash"]) != 64 {
		t.Errorf("dataset %s has %d records, tags %v", d.Name, len(d.Records), d.Tags)
	}
	for _, r := range d.Records {
		if r.Tags["example"] == "hybrid-search" && r.Expectations["expected_theme"] != "RAG / Retrieval Systems" || r.Inputs["url"] == "" {
			t.Errorf("record %+v", r)
		}
	}
}
