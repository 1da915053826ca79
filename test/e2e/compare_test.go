//go:build e2e

package e2e

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

// compare says in what MLflow differs from the expectation of one fixture.
func (held state) compare(want fixture.Expected, experiment string) []string {
	var wrong []string
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	ids := map[string]string{} // key → run id
	for _, w := range want.Runs {
		found := held.runs(w.Key)
		if len(found) != 1 {
			add("%d runs with key %s (%s); want 1", len(found), w.Key, w.Name)
			continue
		}
		ids[w.Key] = found[0].RunID
	}
	for _, w := range want.Runs {
		for _, got := range held.runs(w.Key) {
			for _, d := range compareRun(got, w, ids, orDefault(w.Experiment, experiment)) {
				add("run %s (%s): %s", w.Name, w.Key, d)
			}
		}
	}
	for _, w := range want.Traces {
		i := slices.IndexFunc(held.Traces, func(t trace) bool { return t.ID == w.ID })
		if i < 0 {
			add("trace %s (%s) is missing", w.ID, w.Name)
			continue
		}
		for _, d := range held.compareTrace(held.Traces[i], w, ids, orDefault(w.Experiment, experiment)) {
			add("trace %s (%s): %s", w.Name, w.ID, d)
		}
	}
	return wrong
}

// surplus lists the runs and traces that no expectation speaks of.
func (held state) surplus(all map[string]fixture.Expected) []string {
	keys, ids := map[string]bool{}, map[string]bool{}
	for _, e := range all {
		for _, r := range e.Runs {
			keys[r.Key] = true
		}
		for _, t := range e.Traces {
			ids[t.ID] = true
		}
	}
	var more []string
	for _, r := range held.Runs {
		if !keys[r.Tags[wire.TagKey]] {
			more = append(more, fmt.Sprintf("run %s (%s) is in no expectation", r.Name, r.Tags[wire.TagKey]))
		}
	}
	for _, t := range held.Traces {
		if !ids[t.ID] {
			more = append(more, fmt.Sprintf("trace %s (%s) is in no expectation", t.ID, t.Name))
		}
	}
	return more
}

func (held state) runs(key string) []run {
	var found []run
	for _, r := range held.Runs {
		if r.Tags[wire.TagKey] == key {
			found = append(found, r)
		}
	}
	return found
}

func compareRun(got run, want fixture.Run, ids map[string]string, experiment string) []string {
	var wrong []string
	check := func(what string, got, want any) {
		if d := cmp.Diff(want, got, cmp.Comparer(near)); d != "" {
			wrong = append(wrong, fmt.Sprintf("%s (-want +got):\n%s", what, d))
		}
	}
	check("experiment", got.Experiment, experiment)
	check("name", got.Name, want.Name)
	check("status", got.Status, want.Status)
	check("start", got.StartMS, want.StartMS)
	check("end", got.EndMS, want.EndMS)
	check("params", full(got.Params), full(want.Params))
	check("metrics", full(got.Metrics), full(want.Metrics))
	check("artifacts", full(got.Artifacts), full(want.Artifacts))
	check("prompts", list(got.Prompts), list(want.Prompts))
	own, system := map[string]string{}, map[string]string{}
	for k, v := range got.Tags {
		if strings.HasPrefix(k, "mlflow.") {
			system[k] = v
		} else {
			own[k] = v
		}
	}
	check("tags", own, full(want.Tags))
	for k, v := range want.SystemTags {
		check("tag "+k, system[k], v)
	}
	check("parent", system["mlflow.parentRunId"], ids[want.Parent])
	for _, text := range want.NoteContains {
		if !strings.Contains(system["mlflow.note.content"], text) {
			wrong = append(wrong, fmt.Sprintf("the note lacks %q:\n%s", text, system["mlflow.note.content"]))
		}
	}
	if strings.Contains(system["mlflow.note.content"], "{{") {
		wrong = append(wrong, "the note holds a placeholder:\n"+system["mlflow.note.content"])
	}
	return wrong
}

func (held state) compareTrace(got trace, want fixture.Trace, ids map[string]string, experiment string) []string {
	var wrong []string
	check := func(what string, got, want any) {
		if d := cmp.Diff(want, got); d != "" {
			wrong = append(wrong, fmt.Sprintf("%s (-want +got):\n%s", what, d))
		}
	}
	check("experiment", got.Experiment, experiment)
	check("state", got.State, want.State)
	if want.State != "IN_PROGRESS" {
		check("name", got.Name, want.Name)
		check("start", got.RequestMS, want.RequestMS)
		if d := got.DurationMS - want.DurationMS; d < -1 || d > 1 { // both ends are cut to milliseconds
			check("duration", got.DurationMS, want.DurationMS)
		}
		check("session", got.Session, want.Session)
		check("user", got.User, want.User)
		check("source run", got.SourceRun, ids[want.Run])
		check("traces of the run", held.Linked[ids[want.Run]], []string{want.ID})
	}
	check("prompts", list(got.Prompts), list(want.Prompts))
	check("assessments", list(got.Assessments), list(want.Assessments))
	usage := map[string]int64{}
	for k, n := range got.TokenUsage {
		if n != 0 {
			usage[k] = n
		}
	}
	wantUsage := map[string]int64{}
	for k, n := range want.TokenUsage {
		if n != 0 {
			wantUsage[k] = n
		}
	}
	check("token usage", usage, wantUsage)
	if want.State != "IN_PROGRESS" && !near(got.CostUSD, want.CostUSD) {
		check("cost", got.CostUSD, want.CostUSD)
	}
	for k, v := range want.Tags {
		check("tag "+k, got.Tags[k], v)
	}
	if !strings.Contains(got.Request, want.RequestContains) {
		check("request", got.Request, want.RequestContains)
	}
	if !strings.Contains(got.Response, want.ResponseContains) {
		check("response", got.Response, want.ResponseContains)
	}
	spans := []fixture.Span{}
	for _, s := range got.Spans {
		spans = append(spans, fixture.Span{ID: s.ID, Parent: s.Parent, Name: s.Name, Type: s.Type, Status: s.Status})
		events := 0 // files are taken off
		if s.Status == "ERROR" {
			events = 1 // the exception by which MLflow's UI marks it
		}
		if s.Events != events {
			wrong = append(wrong, fmt.Sprintf("span %s has %d events; want %d", s.Name, s.Events, events))
		}
	}
	check("spans", spans, want.Spans)
	return wrong
}

func full[M ~map[K]V, K comparable, V any](m M) M {
	if m == nil {
		return M{}
	}
	return m
}

func list(l []string) []string { return append([]string{}, l...) }

func near(a, b float64) bool { return math.Abs(a-b) < 1e-6 }

func orDefault(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
