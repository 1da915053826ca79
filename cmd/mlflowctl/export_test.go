package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/export"
	"github.com/technoshare/commentator/internal/mlflow"
)

// read decodes a file of an export.
func read(t *testing.T, dir, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestExportWritesTheWholeJobAndItsHashes(t *testing.T) {
	s := startMLflow(t)
	runID := seed(t, s, "team", true)
	c := clientOf(t, s)
	stage, err := c.CreateRun(t.Context(), mlflow.CreateRun{ExperimentID: "1", Name: "retrieval", StartTime: 2, Tags: []mlflow.KeyValue{{Key: mlflow.TagParentRun, Value: runID}}})
	if err != nil {
		t.Fatal(err)
	}
	points := []mlflow.Metric{{Key: "loss", Value: 2, Timestamp: 1, Step: 1}, {Key: "loss", Value: 1, Timestamp: 2, Step: 2}}
	if err := c.LogBatch(t.Context(), mlflow.Batch{RunID: stage.Info.ID, Metrics: points}); err != nil {
		t.Fatal(err)
	}
	at, _ := c.ArtifactURL(stage.Info.ArtifactURI)
	evidence := []byte(`{"snippets":["<b>"]}`)
	if err := c.PutArtifact(t.Context(), at, "deep/evidence.json", evidence); err != nil {
		t.Fatal(err)
	}
	verdict := mlflow.Assessment{ID: "a-1", Name: "helpful", TraceID: "tr-" + traceKey, Source: mlflow.AssessmentSource{Type: "HUMAN"}, Feedback: &mlflow.Feedback{Value: json.RawMessage("true")}}
	if err := c.CreateAssessment(t.Context(), verdict); err != nil {
		t.Fatal(err)
	}

	dir := filepath.Join(t.TempDir(), "job")
	code, stdout, stderr := mlflowctl(t, "--tracking-uri", s.URL, "export", "7", "--to", dir)
	if code != 0 || !strings.Contains(stdout, "job 7: 2 runs, 1 trace, 3 files") {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	var runs []export.Run
	read(t, dir, "runs.json", &runs)
	if len(runs) != 2 || runs[0].ID != runID || runs[0].Params["job_id"] != "7" || runs[0].Tags["outcome"] != "success" || runs[1].Parent != runID {
		t.Errorf("runs: %+v", runs)
	}
	if got, want := runs[1].Metrics["loss"], []export.Point{{Value: 2, Timestamp: 1, Step: 1}, {Value: 1, Timestamp: 2, Step: 2}}; !slices.Equal(got, want) {
		t.Errorf("history %v, want %v", got, want)
	}
	if !slices.Equal(runs[1].Artifacts, []string{"deep/evidence.json"}) {
		t.Errorf("artifacts: %v", runs[1].Artifacts)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "artifacts", stage.Info.ID, "deep", "evidence.json")); err != nil || string(got) != string(evidence) {
		t.Errorf("artifact %q, %v", got, err)
	}
	var trace mlflow.Trace
	read(t, dir, "traces/tr-"+traceKey+".json", &trace)
	if len(trace.Info.Assessments) != 1 || trace.Info.Assessments[0].Name != "helpful" {
		t.Errorf("trace: %+v", trace)
	}
	manifestListsAllFiles(t, dir)

	code, _, stderr = mlflowctl(t, "--tracking-uri", s.URL, "export", "7", "--to", dir)
	if code != exitFailed || !strings.Contains(stderr, "is not empty") {
		t.Errorf("a second time: exit %d: %s", code, stderr)
	}
}

// manifestListsAllFiles checks that each file but the manifest is in it, with its hash.
func manifestListsAllFiles(t *testing.T, dir string) {
	t.Helper()
	var m export.Manifest
	read(t, dir, "manifest.json", &m)
	held := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		sum := sha256.Sum256(text)
		rel, _ := filepath.Rel(dir, name)
		held[filepath.ToSlash(rel)] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	delete(held, "manifest.json")
	for _, f := range m.Files {
		if held[f.Path] != f.SHA256 {
			t.Errorf("%s has hash %s, the manifest says %s", f.Path, held[f.Path], f.SHA256)
		}
		delete(held, f.Path)
	}
	if len(held) > 0 || m.RunID == "" || m.MLflow != "3.17.2" {
		t.Errorf("manifest %+v lacks %v", m, held)
	}
}

func TestExportExplainsWhatIsWrong(t *testing.T) {
	s := startMLflow(t)
	seed(t, s, "one", false)
	seed(t, s, "two", false)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		want string
		code int
		args []string
	}{
		"several jobs":  {"names 2 jobs; say which by its trace id", exitFailed, []string{"export", "7", "--to", t.TempDir()}},
		"no such job":   {"no run of job 8", exitFailed, []string{"export", "8", "--to", t.TempDir()}},
		"nowhere to go": {"missing flags: --to", exitUsage, []string{"export", "7"}},
		"a file":        {"make directory", exitFailed, []string{"--experiment", "one", "export", "7", "--to", file}},
	} {
		code, _, stderr := mlflowctl(t, append([]string{"--tracking-uri", s.URL}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit %d, want %d; stderr lacks %q:\n%s", name, code, c.code, c.want, stderr)
		}
	}
}
