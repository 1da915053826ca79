//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/analysis/openaitest"
	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/evaluation/compare"
	"github.com/technoshare/commentator/test/sandbox"
)

// pushed is what `mlflowctl prompts push --json` says of a prompt.
type pushed struct {
	Name, Version, SHA256 string
	New                   bool
}

// prompts runs the command on the worker's folder.
func (w *worker) prompts(t *testing.T, s *server, experiment string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	args = append([]string{"--tracking-uri", s.url, "--experiment", experiment, "prompts"}, args...)
	cmd := exec.CommandContext(ctx, program(t, "mlflowctl"), args...)
	cmd.Dir, cmd.Env = w.dir, append(sandbox.Environ(), "DATA_DIR="+w.data())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("mlflowctl %s: %v\n%s%s", strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.String()
}

func (w *worker) data() string { return filepath.Join(w.dir, "data") }

// push pushes the folder and returns the versions by the prompts' names.
func (w *worker) push(t *testing.T, s *server, experiment string) map[string]pushed {
	t.Helper()
	versions := map[string]pushed{}
	dec := json.NewDecoder(strings.NewReader(w.prompts(t, s, experiment, "push", "--json")))
	for dec.More() {
		var p pushed
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		versions[p.Name] = p
	}
	return versions
}

// share posts a message with a link to the running worker and waits until its job has ended.
func (w *worker) share(t *testing.T, address string, n int) {
	t.Helper()
	event := fmt.Sprintf(`{"type":"event_callback","event_id":"Ev%d","event":{"type":"message","channel":"C0123456789","user":"U1","ts":"1700000000.%06d","text":"<%s/%d>"}}`, n, n, w.page, n)
	path := filepath.Join(w.dir, "event.json")
	if err := os.WriteFile(path, []byte(event), 0o600); err != nil {
		t.Fatal(err)
	}
	w.run(t, "replay", "--event", path, "--to", "http://"+address)
	db := w.open(t)
	defer db.Close()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		var ended int
		if err := db.QueryRow(`SELECT count(*) FROM jobs WHERE state = 'final' AND outcome = 'success'`).Scan(&ended); err == nil && ended == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d jobs have not ended in success", n)
		}
	}
}

// TestPromptsLeadToTheirJobs pushes prompts, promotes them on a verdict and pulls them for a worker
// that runs: MLflow's client finds the versions by their aliases, and by each version the jobs
// that used it.
func TestPromptsLeadToTheirJobs(t *testing.T) {
	const experiment, evaluations = "prompted", "prompted-evaluations"
	s := sharedServer(t)
	var nothing struct{}
	s.ask(t, map[string]any{"create_experiment": experiment}, &nothing)
	model := httptest.NewServer(&openaitest.Handler{})
	t.Cleanup(model.Close)
	address, err := sandbox.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorker(t, startCollector(t, s.url, experiment, t.TempDir()))
	w.settings = []string{
		"OPENAI_API_KEY=sk-test", "OPENAI_BASE_URL=" + model.URL + "/v1", "MODEL_STAGE_A=gpt-4o", "MODEL_STAGE_B=gpt-4o", "DATA_DIR=" + w.data(),
		"SLACK_SIGNING_SECRET=8f742231b10e8888abcd99yyyzzz85a5", "SLACK_EVENTS_ADDR=" + address, "TECHNOSHARE_CHANNEL_ID=C0123456789",
		"EVAL_EXPERIMENT_NAME=" + evaluations,
	}

	// Two versions: the first is prod, the second its candidate.
	a, b := data.Default().StageA, data.Default().StageB
	folder := filepath.Join(w.data(), data.PromptsFolder)
	if err := data.WritePrompts(folder, a, b); err != nil {
		t.Fatal(err)
	}
	first := w.push(t, s, experiment)
	w.prompts(t, s, experiment, "promote", "--force")
	a.Content += "\nBe brief.\n"
	if err := data.WritePrompts(folder, a); err != nil {
		t.Fatal(err)
	}
	second := w.push(t, s, experiment)
	if !first[a.Name].New || !second[a.Name].New || second[b.Name].New || second[b.Name].Version != first[b.Name].Version {
		t.Fatalf("pushed %+v, then %+v", first, second)
	}

	serve, err := start(w.dir, "worker", w.env(), w.program, "serve")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(serve.stop)
	if err := serve.until("worker takes events", func() bool { return strings.Contains(serve.text(), "taking events over HTTP") }); err != nil {
		t.Fatal(err)
	}
	w.prompts(t, s, experiment, "pull") // prod, while the worker runs with the candidate
	w.share(t, address, 1)
	verdict := compare.Result{Format: compare.ResultFormat, Verdict: compare.Pass, Config: compare.Config{Threshold: 0.8}}
	verdict.Cand.EvaluationID = "an evaluation"
	verdict.Cand.Prompts = []evaluation.PromptRef{{Name: a.Name, SHA256: second[a.Name].SHA256}, {Name: b.Name, SHA256: second[b.Name].SHA256}}
	text, err := json.Marshal(verdict)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.dir, "verdict.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	w.prompts(t, s, experiment, "promote", "--verdict", path)
	w.prompts(t, s, experiment, "pull")
	w.share(t, address, 2)
	w.share(t, address, 3)

	w.run(t, "eval", "run", "--quiet", "--id", "hybrid-search,trace-sampling", "--threshold", "0", "--dataset", filepath.Join(checkout, "data", "eval_dataset.json"))

	// What MLflow's client sees.
	var prod struct {
		Version int
		SHA256  string
		Tags    map[string]string
		Listed  bool
	}
	s.ask(t, map[string]any{"prompt": "prompts:/" + a.Name + "@prod", "experiments": []string{experiment}}, &prod)
	if fmt.Sprint(prod.Version) != second[a.Name].Version || prod.SHA256 != a.SHA256() || prod.Tags["sha256"] != a.SHA256() || prod.Tags["promoted.evaluation"] != "an evaluation" || !prod.Listed {
		t.Errorf("prod is %+v, want version %s", prod, second[a.Name].Version)
	}
	for _, c := range []struct {
		experiment   string
		version      pushed
		traces, runs []string
	}{
		{experiment, first[a.Name], []string{"job_1"}, []string{"job_1"}},
		{experiment, second[a.Name], []string{"job_2", "job_3"}, []string{"job_2", "job_3"}},
		{experiment, first[b.Name], []string{"job_1", "job_2", "job_3"}, []string{"job_1", "job_2", "job_3"}},
		{evaluations, second[a.Name], []string{"hybrid-search", "trace-sampling"}, []string{"eval_suite"}},
		{evaluations, first[b.Name], []string{"hybrid-search", "trace-sampling"}, []string{"eval_suite"}},
	} {
		of := map[string]any{"used": c.version.Name + "/" + c.version.Version, "experiments": []string{c.experiment}}
		var found struct{ Traces, Runs []string }
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
			s.ask(t, of, &found)
			slices.Sort(found.Traces)
			slices.Sort(found.Runs)
			if len(found.Traces) == len(c.traces) && len(found.Runs) == len(c.runs) {
				break
			}
		}
		if !slices.Equal(found.Traces, c.traces) || !slices.Equal(found.Runs, c.runs) {
			t.Errorf("%s leads to the traces %v and runs %v in %s, want %v and %v", of["used"], found.Traces, found.Runs, c.experiment, c.traces, c.runs)
		}
	}
}
