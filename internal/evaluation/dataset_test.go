package evaluation_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/telemetry"
)

var themes = []string{"RAG / Retrieval Systems", "Agentic Workflows"}

const oneExample = `{
  "name": "d", "description": "", "version": "1",
  "examples": [
    {"id": "one", "url": "https://example.org/one", "slack_text": "look", "expected_theme": "Agentic Workflows", "tags": ["a"], "notes": ""}
  ]
}`

const oneEvidence = `{"adapter": "GenericAdapter", "sources": [], "snippets": [{"id": "s1", "content": "Text.", "source_url": ""}], "coverage": "full", "errors": []}`

// writeDataset writes a dataset with the evidence of its one example.
func writeDataset(t *testing.T, dataset, evidence string) (path string) {
	t.Helper()
	dir := t.TempDir()
	path = filepath.Join(dir, "eval_dataset.json")
	if err := os.MkdirAll(filepath.Join(dir, "eval", "evidence"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{path: dataset, filepath.Join(dir, "eval", "evidence", "one.json"): evidence} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestBrokenDatasetsAreRefusedWithThePlace(t *testing.T) {
	for name, tc := range map[string]struct{ old, new, evidence, want string }{
		"no JSON":          {`"name": "d",`, `"name": "d"`, oneEvidence, "line 2"},
		"unknown field":    {`"notes": ""`, `"note": ""`, oneEvidence, `unknown field "note"`},
		"wrong type":       {`"version": "1"`, `"version": 1`, oneEvidence, "line 2: version must be of type string, not number"},
		"no name":          {`"name": "d"`, `"name": " "`, oneEvidence, "name is empty"},
		"id":               {`"id": "one"`, `"id": "one two"`, oneEvidence, `examples[0]: id "one two" must be`},
		"address":          {"https://example.org/one", "example.org", oneEvidence, `url "example.org" is no http or https address`},
		"theme":            {"Agentic Workflows", "Gardening", oneEvidence, `expected_theme "Gardening" is none of RAG`},
		"no evidence":      {`"id": "one"`, `"id": "two"`, oneEvidence, "example two has no evidence"},
		"broken evidence":  {"", "", `{"adapter": 1}`, "line 1: adapter must be of type string"},
		"coverage":         {"", "", strings.Replace(oneEvidence, "full", "most", 1), `coverage "most"`},
		"snippet twice":    {"", "", strings.Replace(oneEvidence, `"snippets": [`, `"snippets": [{"id": "s1", "content": "", "source_url": ""},`, 1), `snippets[1]: id "s1"`},
		"two of one id":    {`"examples": [`, `"examples": [{"id": "one", "url": "https://example.org/", "slack_text": "", "expected_theme": "", "tags": [], "notes": ""},`, oneEvidence, `examples[1]: id "one" is that of examples[0] too`},
		"something behind": {"\n}", "\n} {}", oneEvidence, "something behind"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := evaluation.LoadDataset(writeDataset(t, strings.Replace(oneExample, tc.old, tc.new, 1), tc.evidence), themes)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "eval_dataset.json") {
				t.Errorf("got %v, want it to say %q", err, tc.want)
			}
		})
	}
}

func TestHashFollowsTheContent(t *testing.T) {
	load := func(dataset, evidence string) *evaluation.Dataset {
		d, err := evaluation.LoadDataset(writeDataset(t, dataset, evidence), themes)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	hash := load(oneExample, oneEvidence).Hash()
	for _, changed := range []string{
		load(strings.Replace(oneExample, "look", "see", 1), oneEvidence).Hash(),
		load(oneExample, strings.Replace(oneEvidence, "Text.", "Other text.", 1)).Hash(),
	} {
		if changed == hash {
			t.Error("the content changed and the hash did not")
		}
	}
	fetched := `"sources": [{"url": "", "title": "", "fetched_at": "2026-11-0DT00:00:00Z"}]`
	day := func(d string) string {
		return load(oneExample, strings.Replace(oneEvidence, `"sources": []`, strings.Replace(fetched, "D", d, 1), 1)).Hash()
	}
	if day("1") != day("2") {
		t.Error("the hash depends on when the evidence was fetched")
	}
	ours, err := evaluation.LoadDataset(filepath.Join("..", "..", "data", "eval_dataset.json"), allThemes(t))
	if err != nil {
		t.Fatal(err)
	}
	before := ours.Hash()
	slices.Reverse(ours.Examples)
	if ours.Hash() != before {
		t.Error("the hash depends on the order of the examples")
	}
}

// allThemes are those of the project, read as text: this package does not load data.
func allThemes(t *testing.T) []string {
	t.Helper()
	cfg, err := settings(nil, "")
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Themes
}

func TestSelectTakesIDsAndTags(t *testing.T) {
	d, err := evaluation.LoadDataset(writeDataset(t, oneExample, oneEvidence), themes)
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range [][2][]string{{nil, nil}, {{"one"}, nil}, {nil, {"a"}}} {
		if got, err := d.Select(by[0], by[1]); len(got) != 1 || err != nil {
			t.Errorf("%v: %d examples, %v", by, len(got), err)
		}
	}
	_, err = d.Select([]string{"three"}, []string{"b"})
	if err == nil || !strings.Contains(err.Error(), `no example "three"`) || !strings.Contains(err.Error(), `no example with tag "b"`) {
		t.Errorf("got %v", err)
	}
}

func TestPromotedJobsAreMerged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "eval_dataset.json")
	d, err := evaluation.EditDataset(path, themes)
	if err != nil {
		t.Fatal(err)
	}
	d.Name = "promoted"
	recorded := commentator.Evidence{Adapter: "GenericAdapter", Coverage: commentator.CoverageFull, Snippets: []commentator.Snippet{{ID: "s1", Content: "Text."}}}
	add := func(url, note string, tags ...string) (string, evaluation.Promotion) {
		return d.Promote(evaluation.Example{URL: url, SlackText: "look", Tags: tags, Notes: note, Recorded: recorded}, slack.LinkKey)
	}
	for i, step := range []struct {
		url, note, tag, id string
		want               evaluation.Promotion
	}{
		{"https://example.org/a/Über-Graphs.html", "Job 1.", "x", "ber-graphs", evaluation.Added},
		{"https://example.org/a/Über-Graphs.html?utm_source=mail", "Job 1.", "x", "ber-graphs", evaluation.Unchanged},
		{"https://www.example.org/a/Über-Graphs.html", "Job 2.", "y", "ber-graphs", evaluation.Merged},
		{"https://example.com/ber-graphs", "Job 3.", "y", "ber-graphs-2", evaluation.Added},
		{"https://example.com/", "Job 4.", "y", "example", evaluation.Added},
	} {
		if id, got := add(step.url, step.note, step.tag); id != step.id || got != step.want {
			t.Errorf("step %d: %s %s, want %s %s", i, got, id, step.want, step.id)
		}
	}
	if err := d.Save(); err != nil {
		t.Fatal(err)
	}
	back, err := evaluation.LoadDataset(path, themes)
	if err != nil {
		t.Fatal(err)
	}
	if len(back.Examples) != 3 || back.Hash() != d.Hash() {
		t.Errorf("%d examples were read back", len(back.Examples))
	}
	if diff := cmp.Diff([]string{"x", "y"}, back.Examples[0].Tags); diff != "" || back.Examples[0].Notes != "Job 1. Job 2." {
		t.Errorf("merged example %+v", back.Examples[0])
	}
}

func TestEvidenceOfTakesTheLastThatSucceeded(t *testing.T) {
	result := func(adapter string) json.RawMessage { return json.RawMessage(`{"adapter": "` + adapter + `"}`) }
	stages := []commentator.StageRecord{
		{Stage: commentator.StageRetrieval, Result: result("first")},
		{Stage: commentator.StageRetrieval, Result: result("second")},
		{Stage: commentator.StageRetrieval, Result: result("failed"), ErrorType: "timeout"},
		{Stage: commentator.StageA, Result: result("facts")},
	}
	if e, ok, err := evaluation.EvidenceOf(stages); e.Adapter != "second" || !ok || err != nil {
		t.Errorf("got %q, %v, %v", e.Adapter, ok, err)
	}
	if _, ok, err := evaluation.EvidenceOf(stages[2:]); ok || err != nil {
		t.Errorf("a failed retrieval has evidence, %v", err)
	}
}

func TestOutboxKeepsWhatWasNotSent(t *testing.T) {
	s, err := evaluation.OpenStore(t.Context(), filepath.Join(t.TempDir(), "eval.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Begin(t.Context(), began); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	for i, size := range []int{10, 20, 30} {
		m := telemetry.Message{Kind: "eval_example", Body: []byte("body"), Size: size}
		if err := s.SaveTry(t.Context(), began.ID, evaluation.Try{Example: "one", Repetition: i + 1}, m, at); err != nil {
			t.Fatal(err)
		}
	}
	c, err := s.Claim(t.Context(), 0, 30)
	if err != nil || len(c.Rows()) != 2 {
		t.Fatalf("%d rows fit, %v", len(c.Rows()), err)
	}
	if err := c.MarkSent(t.Context(), []int64{c.Rows()[0].ID}, at); err != nil {
		t.Fatal(err)
	}
	if err := c.Refuse(t.Context(), c.Rows()[1].ID, "why", at); err != nil {
		t.Fatal(err)
	}
	if rows, bytes, oldest, err := s.Depth(t.Context()); rows != 1 || bytes != 4 || oldest.IsZero() || err != nil {
		t.Errorf("depth %d, %d bytes, %v, %v", rows, bytes, oldest, err)
	}
	if err := s.SaveTry(t.Context(), began.ID, evaluation.Try{Example: "one", Repetition: 1}, telemetry.Message{Kind: "x", Body: []byte("b")}, at); err == nil {
		t.Error("a try was saved twice")
	}
	if rows, _, _, _ := s.Depth(t.Context()); rows != 1 {
		t.Error("the message of a try that was not saved is kept")
	}
}
