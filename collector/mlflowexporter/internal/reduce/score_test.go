package reduce

import (
	"encoding/json"
	"math"
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

// Whoever judges is one of several, or the same again, whatever rules drop: ids are those that they would
// be without the rules.
func TestDroppedSourcesAreToldApart(t *testing.T) {
	said := map[string]any{"gen_ai.evaluation.name": "useful", "gen_ai.evaluation.score.value": 1}
	at := int64(0)
	by := func(kind Kind, id byte, person string) Span {
		s := newSpan(t, kind, "job", id, map[string]any{"user.id": person})
		s.Resource.Attributes().PutStr("service.name", "etl")
		at += 100 // verdicts are in the order of their times
		return judged(t, s, at, said)
	}
	spans := []Span{by(Feedback, 2, "u-1"), by(Feedback, 3, "u-2"), by(Feedback, 4, "u-2"), by(Job, 1, "u-3")}
	m := simple
	plain := Reduce(spans, m).Scores
	for _, drop := range []string{"user.id", "service.name", "*"} {
		m.Job.Rules = []Rule{{Attribute: drop, Drop: true}}
		for i, s := range Reduce(spans, m).Scores {
			if s.ID != plain[i].ID || s.OldID != plain[i].OldID || s.Of("key").ID != plain[i].Of("key").ID {
				t.Errorf("%s dropped: verdict %d has the id %s, without the rule %s", drop, i, s.ID, plain[i].ID)
			}
			if text, err := json.Marshal(s); err != nil || strings.Contains(s.SourceID, "u-") != (drop == "service.name" && i < 3) || (drop != "service.name" && strings.Contains(string(text), "u-")) {
				t.Errorf("%s dropped: verdict %d is %s, %v", drop, i, text, err)
			}
		}
	}
	if ids := map[string]bool{plain[0].ID: true, plain[1].ID: true, plain[2].ID: true, plain[3].ID: true}; len(ids) != 3 {
		t.Errorf("%d ids of three sources", len(ids))
	}
}

// The work for verdicts grows as they do: what a rule drops is left out once per span, not per verdict.
func TestManyVerdictsOnOneSpan(t *testing.T) {
	m := simple
	m.Job.Rules = []Rule{{Attribute: "user.id", Drop: true}}
	work := func(verdicts int) float64 {
		s := newSpan(t, Job, "job", 1, map[string]any{"user.id": "u-1"})
		for i := range verdicts {
			judged(t, s, 1, map[string]any{"gen_ai.evaluation.name": "useful", "gen_ai.evaluation.score.value": i})
		}
		return testing.AllocsPerRun(1, func() { Reduce([]Span{s}, m) })
	}
	if few, many := work(100), work(400); many > 8*few {
		t.Errorf("%v allocations for 100 verdicts, %v for 400", few, many)
	}
}

// A verdict without a name or without anything said is dropped, by a reason. What is wrong is told, without
// what was said, which a rule may drop.
func TestScoresThatSayNothing(t *testing.T) {
	noNumber := "useful, whose `gen_ai.evaluation.score.value` is no finite number, without `gen_ai.evaluation.score.label`: give it a number, or a label"
	for what, c := range map[string]struct {
		attrs map[string]any
		want  string
	}{
		"no name":   {map[string]any{"gen_ai.evaluation.score.value": 1}, "a verdict without `gen_ai.evaluation.name`: name what was judged"},
		"no value":  {map[string]any{"gen_ai.evaluation.name": "useful"}, "useful has neither `gen_ai.evaluation.score.value` nor `gen_ai.evaluation.score.label`: give it one of them"},
		"no number": {map[string]any{"gen_ai.evaluation.name": "useful", "gen_ai.evaluation.score.value": "NaN"}, noNumber},
		"NaN":       {map[string]any{"gen_ai.evaluation.name": "useful", "gen_ai.evaluation.score.value": math.NaN()}, noNumber},
		"a word":    {map[string]any{"gen_ai.evaluation.name": "useful", "gen_ai.evaluation.score.value": "secret"}, noNumber},
	} {
		plan := Reduce([]Span{judged(t, newSpan(t, Feedback, "feedback", 2, nil), 1, c.attrs)}, simple)
		if len(plan.Scores) != 0 || len(plan.Dropped) != 1 || plan.Dropped[0].Reason != DropInvalidScore || plan.Dropped[0].Detail != "feedback: "+c.want {
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
