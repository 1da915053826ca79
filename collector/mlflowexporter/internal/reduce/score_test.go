package reduce

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// judged adds a verdict to a span, at a time in seconds after its end, 0: not told.
func judged(t *testing.T, s Span, second int64, attrs map[string]any) Span {
	t.Helper()
	e := s.Span.Events().AppendEmpty()
	e.SetName("gen_ai.evaluation.result")
	if second > 0 {
		e.SetTimestamp(s.Span.EndTimestamp() + pcommon.Timestamp(second*1e9))
	}
	if err := e.Attributes().FromRaw(attrs); err != nil {
		t.Fatal(err)
	}
	return s
}

// An application judges its job and the spans of its trace; who judges is what the event says,
// or else the service.
func TestScoresOfAnyApplication(t *testing.T) {
	job := newSpan(t, Job, "job", 1, map[string]any{"app.id": "7", "user.id": "u-1"})
	step := newSpan(t, Stage, "step", 2, nil)
	call := newSpan(t, Detail, "chat", 3, nil)
	outside := newSpan(t, Detail, "elsewhere", 4, nil)
	outside.InTrace = false
	for _, s := range []Span{job, step, call, outside} {
		s.Span.SetParentSpanID(pcommon.SpanID{7: s.Span.SpanID()[7] - 1})
		s.Resource.Attributes().PutStr("service.name", "etl")
	}
	judged(t, job, 0, map[string]any{"gen_ai.evaluation.name": "rows.match", "gen_ai.evaluation.score.value": true})
	judged(t, job, 2, map[string]any{"gen_ai.evaluation.name": "useful", "gen_ai.evaluation.score.label": "yes", "evaluation.source.type": "HUMAN"})
	judged(t, step, 1, map[string]any{"gen_ai.evaluation.name": "grounded", "gen_ai.evaluation.score.value": 0.25, "evaluation.source.type": "llm_judge", "evaluation.source.id": "gpt-4o"})
	judged(t, call, 1, map[string]any{"gen_ai.evaluation.name": "grounded", "gen_ai.evaluation.score.value": 3, "gen_ai.evaluation.score.label": "good"})
	judged(t, outside, 1, map[string]any{"gen_ai.evaluation.name": "lost", "gen_ai.evaluation.score.value": 1})

	plan := Reduce([]Span{call, outside, step, job}, simple)
	if len(plan.Dropped) > 0 {
		t.Errorf("dropped %v", plan.Dropped)
	}
	type line struct{ Name, Span, Source, Value, Label string }
	var got []line
	ids := map[string]bool{}
	for _, s := range plan.Scores {
		got = append(got, line{s.Name, s.SpanID, s.SourceType + " " + s.SourceID, string(s.Value), s.Label})
		ids[s.ID] = true
		if s.RunKey != plan.Runs[0].Key || !s.InTrace || !strings.HasPrefix(s.ID, "a-") || len(s.ID) != 34 {
			t.Errorf("%s: run %s, in trace %v, id %s", s.Name, s.RunKey, s.InTrace, s.ID)
		}
	}
	want := []line{
		{"rows_match", "", "CODE etl", "true", ""},
		{"grounded", "0000000000000003", "CODE etl", "3", "good"},
		{"grounded", "0000000000000002", "LLM_JUDGE gpt-4o", "0.25", ""},
		{"useful", "", "HUMAN u-1", `"yes"`, "yes"},
	}
	less := func(lines []line) map[line]bool {
		set := map[line]bool{}
		for _, l := range lines {
			set[l] = true
		}
		return set
	}
	if diff := cmp.Diff(less(want), less(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(ids) != len(want) {
		t.Errorf("%d ids for %d scores", len(ids), len(want))
	}
	if last := plan.Scores[len(plan.Scores)-1]; last.Name != "useful" {
		t.Errorf("the last verdict is %s", last.Name)
	}
}

// The name of a verdict is one that MLflow takes for a metric, a tag and in a search.
func TestScoreNames(t *testing.T) {
	long := strings.Repeat("é", 201)
	for in, want := range map[string]string{
		"rows.match": "rows_match", " a-b c ": "a-b c", "品質": "品質",
		"👍 rate": "_ rate-20e95098", "é–": "é_-43f8af04",
		long: long[:2*191] + "-3821f1b3", long[:400]: long[:400], "": "",
	} {
		if got := scoreName(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// A verdict without a name or without anything said is dropped, by a reason.
func TestScoresThatSayNothing(t *testing.T) {
	for what, attrs := range map[string]map[string]any{
		"no name":   {"gen_ai.evaluation.score.value": 1},
		"no value":  {"gen_ai.evaluation.name": "useful"},
		"no number": {"gen_ai.evaluation.name": "useful", "gen_ai.evaluation.score.value": "NaN"},
	} {
		plan := Reduce([]Span{judged(t, newSpan(t, Feedback, "feedback", 2, nil), 1, attrs)}, simple)
		if len(plan.Scores) != 0 || len(plan.Dropped) != 1 || plan.Dropped[0].Reason != DropInvalidScore {
			t.Errorf("%s: %v, dropped %v", what, plan.Scores, plan.Dropped)
		}
	}
}

// A verdict that is taken back is the same one, later.
func TestScoreIsTakenBack(t *testing.T) {
	said := map[string]any{"gen_ai.evaluation.name": "useful", "gen_ai.evaluation.score.value": 1}
	for _, word := range []any{true, "true", "True"} {
		scoreIsTakenBack(t, said, map[string]any{"gen_ai.evaluation.name": "useful", "evaluation.retracted": word})
	}
}

func scoreIsTakenBack(t *testing.T, said, back map[string]any) {
	t.Helper()
	user := map[string]any{"user.id": "u-1", "job.started_at": int64(5000)}
	plan := Reduce([]Span{
		judged(t, newSpan(t, Feedback, "feedback", 3, user), 9, back),
		judged(t, newSpan(t, Feedback, "feedback", 2, user), 1, said),
	}, simple)
	if len(plan.Scores) != 2 || len(plan.Runs) != 0 {
		t.Fatalf("got %v", plan)
	}
	first, second := plan.Scores[0], plan.Scores[1]
	if first.ID != second.ID || first.Retracted || !second.Retracted || second.Value != nil || !first.Version.Before(second.Version) || first.StartMS != 5 {
		t.Errorf("got %+v and %+v", first, second)
	}
}
