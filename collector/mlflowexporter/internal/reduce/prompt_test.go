package reduce

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A trace, and in the flat layout a run, names the prompts of its job, then those of the stages that
// came with it, each once.
func TestPromptsOfStages(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	named := func(kind Kind, id byte, name string) Span {
		return newSpan(t, kind, "x", id, map[string]any{"prompt.name": name, "prompt.sha256": hash})
	}
	m := simple
	m.Job.Prompts = []PromptSource{{"prompt.name", "prompt.sha256"}}
	m.Stage.Prompts, m.Member.Prompts = m.Job.Prompts, m.Job.Prompts
	all := []Prompt{{"c", hash}, {"b", hash}, {"a", hash}}
	for _, layout := range []string{LayoutNested, LayoutFlat} {
		m.Layout = layout
		plan := Reduce([]Span{named(Stage, 4, "a"), named(Stage, 3, "c"), named(Stage, 2, "b"), named(Job, 1, "c")}, m)
		if diff := cmp.Diff(all, plan.Traces[0].Info.Prompts); diff != "" {
			t.Errorf("%s: trace (-want +got)\n%s", layout, diff)
		}
		want := map[string][]Prompt{LayoutNested: all[:1], LayoutFlat: all}[layout]
		if diff := cmp.Diff(want, plan.Runs[0].Prompts); diff != "" {
			t.Errorf("%s: run (-want +got)\n%s", layout, diff)
		}
		if plan = Reduce([]Span{named(Stage, 2, "b")}, m); len(plan.Runs[0].Prompts) != 0 {
			t.Errorf("%s: a run that waits for its span names %v", layout, plan.Runs[0].Prompts)
		}
	}
	loud := newSpan(t, Job, "x", 1, map[string]any{"prompt.name": "c", "prompt.sha256": strings.ToUpper(hash)})
	if got := Reduce([]Span{loud}, m).Runs[0].Prompts; !cmp.Equal(got, all[:1]) {
		t.Errorf("a hash in capitals names %v", got)
	}
	member := named(Member, 1, "c")
	if got := Reduce([]Span{named(Stage, 2, "b"), member}, m).Traces[0].Info.Prompts; !cmp.Equal(got, all[:2]) {
		t.Errorf("the trace of a member names %v", got)
	}
}
