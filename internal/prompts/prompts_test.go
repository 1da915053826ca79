package prompts_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/evaluation/compare"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/prompts"
)

func registry(t *testing.T) *mlflow.Client {
	t.Helper()
	s := mlflowtest.Start()
	t.Cleanup(s.Close)
	c, err := mlflow.New(mlflow.Config{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func read(t *testing.T, r prompts.Registry, name string) prompts.Listed {
	t.Helper()
	l, err := prompts.Read(t.Context(), r, name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestATextBecomesAVersionOnce(t *testing.T) {
	c := registry(t)
	p := data.Prompt{Name: "extract", Description: "Reads.", Content: "Read it.\n"}
	push := func(alias string, p data.Prompt) prompts.Pushed {
		t.Helper()
		done, err := prompts.Push{Alias: alias, Message: "why", Revision: func(string) string { return "abc" }, ExperimentID: "7"}.Do(t.Context(), c, p)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	if l := read(t, c, "extract"); len(l.Versions) != 0 || l.Name != "extract" {
		t.Errorf("before: %+v", l)
	}
	if done := push("candidate", p); !done.New || !done.Moved || done.Version.Version != "1" {
		t.Errorf("first: %+v", done)
	}
	if done := push("candidate", p); done.New || done.Moved {
		t.Errorf("again: %+v", done)
	}
	second := p
	second.Content, second.Description = "Read all of it.\n", "Reads all."
	if done := push("candidate", second); !done.New || done.Version.Version != "2" {
		t.Errorf("another text: %+v", done)
	}
	// Going back to an old text is going back to its version, which old jobs are linked to.
	if done := push("candidate", p); done.New || !done.Moved || done.Version.Version != "1" {
		t.Errorf("the old text: %+v", done)
	}
	push("", second)
	l := read(t, c, "extract")
	if len(l.Versions) != 2 || l.Version("candidate") != "1" || l.Description != "Reads all." || l.Tag(mlflow.TagPromptExperiments) != ",7," {
		t.Errorf("%+v", l)
	}
	v := l.Versions[0]
	if v.SHA256 != p.SHA256() || v.Revision != "abc" || v.Description != "Reads." || v.Message != "why" || v.Text != p.Content || v.Created == 0 {
		t.Errorf("%+v", v)
	}
	if found, ok := l.WithText(second.SHA256()); !ok || found.Version != "2" {
		t.Errorf("%+v", found)
	}
	long := data.Prompt{Name: "long", Description: "d", Content: strings.Repeat("ä", mlflow.MaxPromptText+1)}
	if _, err := (prompts.Push{}).Do(t.Context(), c, long); err == nil || !strings.Contains(err.Error(), "100001 characters") {
		t.Errorf("too long: %v", err)
	}
}

func TestPullingLosesNoText(t *testing.T) {
	c := registry(t)
	old := data.Prompt{Name: "extract", Description: "Reads.", Content: "Read it.\n"}
	ours := data.Prompt{Name: "extract", Description: "Mine.", Content: "Mine.\n"}
	if _, err := (prompts.Push{Alias: "prod"}).Do(t.Context(), c, old); err != nil {
		t.Fatal(err)
	}
	l := read(t, c, "extract")
	if p, _, changed, err := prompts.Pull(l, nil, "prod", false); err != nil || !changed || p != old {
		t.Errorf("without a file: %+v %v %v", p, changed, err)
	}
	if p, _, changed, err := prompts.Pull(l, &old, "prod", false); err != nil || changed || p != old {
		t.Errorf("with the same: %+v %v %v", p, changed, err)
	}
	if _, _, _, err := prompts.Pull(l, &ours, "prod", false); !errors.Is(err, prompts.ErrUnpushed) {
		t.Errorf("with a text of one's own: %v", err)
	}
	if p, _, changed, err := prompts.Pull(l, &ours, "prod", true); err != nil || !changed || p != old {
		t.Errorf("by force: %+v %v %v", p, changed, err)
	}
	if _, err := (prompts.Push{}).Do(t.Context(), c, ours); err != nil {
		t.Fatal(err)
	}
	if p, _, _, err := prompts.Pull(read(t, c, "extract"), &ours, "prod", false); err != nil || p != old {
		t.Errorf("once it is pushed: %+v %v", p, err)
	}
	if _, _, _, err := prompts.Pull(l, nil, "staging", false); err == nil || !strings.Contains(err.Error(), `no version "staging"`) {
		t.Errorf("an alias that is not there: %v", err)
	}
}

func TestOnlyWhatPassedTheGateBecomesProd(t *testing.T) {
	extract := prompts.Promotion{Name: "extract", From: prompts.Version{Name: "extract", Version: "2", SHA256: "new"}, Old: "1"}
	passed := func(change func(*compare.Result)) *compare.Result {
		r := &compare.Result{Verdict: compare.Pass, Config: compare.Config{Threshold: 0.8}}
		r.Cand.Prompts = []evaluation.PromptRef{{Name: "extract", SHA256: "new"}, {Name: "compose", SHA256: "same"}}
		if change != nil {
			change(r)
		}
		return r
	}
	for _, c := range []struct {
		name, says string
		change     func(*compare.Result)
		others     map[string]string
	}{
		{"passed", "", nil, map[string]string{"compose": "same"}},
		{"failed", "the verdict is FAIL: it dropped", func(r *compare.Result) { r.Verdict, r.Reasons = compare.Fail, []string{"it dropped"} }, map[string]string{"compose": "same"}},
		{"inconclusive", "the verdict is INCONCLUSIVE", func(r *compare.Result) { r.Verdict = compare.Inconclusive }, map[string]string{"compose": "same"}},
		{"without a threshold", "use `eval gate`", func(r *compare.Result) { r.Config.Threshold = 0 }, map[string]string{"compose": "same"}},
		{"another text", "another text of prompt extract (older) than version 2 (new)", func(r *compare.Result) { r.Cand.Prompts[0].SHA256 = "older" }, map[string]string{"compose": "same"}},
		{"not used", "did not use prompt extract", func(r *compare.Result) { r.Cand.Prompts = nil }, nil},
		{"beside another prompt than prod", "a text of prompt compose (same) that is not prod", nil, map[string]string{"compose": "other"}},
		{"beside a prompt without prod", "a text of prompt compose (same) that is not prod", nil, nil},
	} {
		err := prompts.Permit(passed(c.change), []prompts.Promotion{extract}, c.others)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
	}
}
