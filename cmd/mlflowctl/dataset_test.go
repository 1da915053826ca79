package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// writeDataset writes a dataset whose examples have these messages, by id.
func writeDataset(t *testing.T, dir string, messages map[string]string) (path string) {
	t.Helper()
	type example struct {
		ID    string   `json:"id"`
		URL   string   `json:"url"`
		Text  string   `json:"slack_text"`
		Theme string   `json:"expected_theme"`
		Tags  []string `json:"tags"`
		Notes string   `json:"notes"`
	}
	var list []example
	if err := os.MkdirAll(filepath.Join(dir, "eval", "evidence"), 0o755); err != nil {
		t.Fatal(err)
	}
	for id, text := range messages {
		list = append(list, example{ID: id, URL: "https://example.org/" + id, Text: text, Theme: "Agentic Workflows", Tags: []string{"a", "b"}})
		if err := os.WriteFile(filepath.Join(dir, "eval", "evidence", id+".json"), []byte(`{"coverage": "full"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	body, err := json.Marshal(map[string]any{"name": "set", "description": "", "version": "3", "examples": list})
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "set.json")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDatasetSyncMakesMLflowHoldTheFile(t *testing.T) {
	s := startMLflow(t)
	dir := t.TempDir()
	sync := func(messages map[string]string) (got synced) {
		t.Helper()
		code, stdout, stderr := mlflowctl(t, "--tracking-uri", s.URL, "dataset", "sync", "--json", "--dataset", writeDataset(t, dir, messages))
		if code != 0 {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		if err := json.Unmarshal([]byte(stdout), &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := sync(map[string]string{"one": "look", "two": "look"})
	if first.Added != 2 || first.Updated+first.Removed+first.Foreign != 0 || len(first.Hash) != 64 {
		t.Errorf("first: %+v", first)
	}
	again := sync(map[string]string{"one": "look", "two": "look"})
	if again.Added != 0 || again.Updated != 0 || again.Removed != 0 || again.DatasetID != first.DatasetID || again.Hash != first.Hash {
		t.Errorf("again: %+v", again)
	}

	c := clientOf(t, s)
	if _, _, err := c.UpsertDatasetRecords(t.Context(), first.DatasetID, []mlflow.DatasetRecord{{Inputs: map[string]any{"question": "of a person"}}}); err != nil {
		t.Fatal(err)
	}
	changed := sync(map[string]string{"one": "see", "three": "look"})
	if changed.Added != 2 || changed.Removed != 2 || changed.Foreign != 1 || changed.Hash == first.Hash {
		t.Errorf("changed: %+v", changed)
	}
	held, err := c.DatasetRecords(t.Context(), first.DatasetID)
	if err != nil || len(held) != 3 {
		t.Fatalf("%d records, %v", len(held), err)
	}
	for _, r := range held {
		if r.Inputs["question"] != nil {
			continue
		}
		if r.Expectations["expected_theme"] != "Agentic Workflows" || r.Tags["tags"] != "a,b" || r.Tags["example"] == "two" {
			t.Errorf("record %+v", r)
		}
	}
	exp, err := c.GetExperimentByName(t.Context(), "technoshare_eval")
	if err != nil {
		t.Fatal(err)
	}
	sets, err := c.SearchDatasets(t.Context(), exp.ID, "set")
	if err != nil || len(sets) != 1 || !strings.Contains(sets[0].Tags, changed.Hash) {
		t.Errorf("datasets %+v, %v", sets, err)
	}
}

// MLflow shows in "Created by" who made the dataset, also after others synced it.
func TestDatasetSyncSaysWhoMadeTheDataset(t *testing.T) {
	u, err := user.Current()
	if err != nil {
		t.Skip("this process has no user:", err)
	}
	s := startMLflow(t)
	sync := func(text string) {
		t.Helper()
		path := writeDataset(t, t.TempDir(), map[string]string{"one": text})
		if code, _, stderr := mlflowctl(t, "--tracking-uri", s.URL, "dataset", "sync", "--dataset", path); code != 0 {
			t.Fatalf("exit %d: %s", code, stderr)
		}
	}
	c := clientOf(t, s)
	made := func() (id, by string) {
		t.Helper()
		exp, err := c.GetExperimentByName(t.Context(), "technoshare_eval")
		if err != nil {
			t.Fatal(err)
		}
		sets, err := c.SearchDatasets(t.Context(), exp.ID, "set")
		if err != nil || len(sets) != 1 {
			t.Fatalf("datasets %v, %v", sets, err)
		}
		tags := map[string]string{}
		if err := json.Unmarshal([]byte(sets[0].Tags), &tags); err != nil {
			t.Fatal(err)
		}
		return sets[0].ID, tags[mlflow.TagUser]
	}
	sync("look")
	id, by := made()
	if by != u.Username {
		t.Errorf("made by %q, want %q", by, u.Username)
	}
	if err := c.SetDatasetTags(t.Context(), id, map[string]string{mlflow.TagUser: "ada"}); err != nil {
		t.Fatal(err)
	}
	sync("see")
	if _, by := made(); by != "ada" {
		t.Errorf("after another's sync it is made by %q", by)
	}
}

// The exporter may make the experiment between our look and our own attempt.
func TestDatasetSyncSharesTheMakingOfTheExperiment(t *testing.T) {
	s := startMLflow(t)
	c := clientOf(t, s)
	made := false
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		if strings.HasSuffix(r.URL.Path, "/experiments/create") && !made {
			made = true
			if _, err := c.CreateExperiment(t.Context(), "technoshare_eval"); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	code, _, stderr := mlflowctl(t, "--tracking-uri", s.URL, "dataset", "sync", "--dataset", writeDataset(t, t.TempDir(), map[string]string{"one": "look"}))
	if code != 0 || !made {
		t.Errorf("exit %d, made %v: %s", code, made, stderr)
	}
}

func TestDatasetSyncSaysWhatIsWrongWithTheFile(t *testing.T) {
	s := startMLflow(t)
	code, _, stderr := mlflowctl(t, "--tracking-uri", s.URL, "dataset", "sync", "--dataset", "none.json")
	if code != exitFailed || !strings.Contains(stderr, "read dataset none.json") || len(s.Calls()) != 0 {
		t.Errorf("exit %d, %q, calls %v", code, stderr, s.Calls())
	}
}
