package reconcile

import (
	"slices"
	"strings"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

// TestWhatPeopleAddIsNoDifference: names that the bridge never writes are of people, unless nobody but the
// bridge is there. Its own names are compared in any case.
func TestWhatPeopleAddIsNoDifference(t *testing.T) {
	requests, table, err := fixture.Load("model_retried")
	if err != nil {
		t.Fatal(err)
	}
	jobs := jobsOf(t, requests)
	tag := func(name string) func(Run) { return func(r Run) { r.Tags[name] = "x" } }
	param := func(name string) func(Run) { return func(r Run) { r.Params[name] = "x" } }
	file := func(name string) func(Run) { return func(r Run) { r.Artifacts[name] = "x" } }
	metric := func(name string) func(Run) {
		return func(r Run) { r.Metrics[name] = []Point{{Value: 1, TimestampMS: 1}, {Value: 2, TimestampMS: 2}} }
	}
	for name, c := range map[string]struct {
		add   func(Run)
		wrong string // of a finding, by its beginning; "": it is of people
	}{
		"a run that is kept":         {tag("technoshare.keep"), ""},
		"a tag":                      {tag("reviewed"), ""},
		"a tag as of a stage":        {tag("stage_a/opinion"), ""},
		"a tag as of a part":         {tag("status"), ""},
		"a param":                    {param("reviewer"), ""},
		"a metric with two points":   {metric("rating"), ""},
		"a metric like a verdict's":  {metric("feedback/taste"), ""},
		"a file":                     {file("review/notes.md"), ""},
		"a tag of the bridge":        {tag(wire.TagStale), "tag run.stale"},
		"a tag of a run of a stage":  {tag("stage"), "tag stage"},
		"a tag of another layout":    {tag("stage_a/model"), "tag stage_a/model"},
		"a status of another layout": {tag("stage_a/status"), "tag stage_a/status"},
		"a verdict in words":         {tag("feedback.helpful"), "tag feedback.helpful"},
		"a verdict as a number":      {metric("feedback/helpful/mean"), "metric feedback/helpful/mean"},
		"how many verdicts":          {metric("feedback/a/b/count"), "metric feedback/a/b/count"},
		"a param of another layout":  {param("stage_b/job_id"), "param stage_b/job_id"},
		"a metric of stages":         {metric("stage_a/output_tokens"), "metric stage_a/output_tokens"},
		"a file of the bridge":       {file("stage_a/evidence.json"), "artifact stage_a/evidence.json"},
	} {
		t.Run(name, func(t *testing.T) {
			held := stateOf(t, table)
			c.add(held.Runs[0])
			found := judgedBy(t, Terms{Experiment: experiment}, jobs, held)
			if c.wrong == "" && !found.Clean() {
				t.Errorf("what a person added is a difference\n%s", text(t, found))
			}
			if c.wrong != "" && !slices.ContainsFunc(found.Wrong, func(f Finding) bool { return strings.HasPrefix(f.Item, c.wrong) }) {
				t.Errorf("%s is not wrong\n%s", c.wrong, text(t, found))
			}
			if found := judged(t, jobs, held); len(found.Wrong) != 1 {
				t.Errorf("nobody but the bridge is there, and %d things are wrong; want 1\n%s", len(found.Wrong), text(t, found))
			}
		})
	}
}

// A repair has nothing to send for what people added.
func TestRepairLeavesWhatPeopleAdded(t *testing.T) {
	r := newRig(t)
	id := r.run(r.table.Runs[0].Key).Info.ID
	err := r.client.LogBatch(t.Context(), mlflow.Batch{
		RunID: id, Params: []mlflow.KeyValue{{Key: "reviewer", Value: "Ada"}},
		Metrics: []mlflow.Metric{{Key: "rating", Value: 4, Timestamp: 1}, {Key: "rating", Value: 5, Timestamp: 2}},
		Tags:    []mlflow.KeyValue{{Key: "technoshare.keep", Value: "yes"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if found := r.compare(); !found.Whole(true) || !found.Clean() {
		t.Errorf("found %s", text(t, found.Report))
	}
	if done, _ := r.repair(false, func() {}); done.Messages != 0 {
		t.Errorf("repaired %+v", done)
	}
}

// TestARenamedExperimentIsSaidOnceOfAJob, it is waited for in vain, and no message is sent again.
func TestARenamedExperimentIsSaidOnceOfAJob(t *testing.T) {
	r := newRig(t)
	r.comparison.Experiment = "technoshare_commentator"
	began := r.now
	found := r.compare()
	want := Finding{
		Job: 1, Key: r.table.Runs[0].Key, Run: r.run(r.table.Runs[0].Key).Info.ID,
		Item: "run job_1", Detail: `in experiment "judged"; want "technoshare_commentator"`,
	}
	if !slices.Equal(found.Elsewhere, []Finding{want}) || len(found.Wrong)+len(found.Lost) > 0 || found.Whole(false) || r.now != began {
		t.Errorf("found after %s %s", r.now.Sub(began), text(t, found.Report))
	}
	if done, after := r.repair(false, func() {}); done.Messages != 0 || len(done.Left) > 0 || len(after.Elsewhere) != 1 {
		t.Errorf("repaired %+v; after it %s", done, text(t, after.Report))
	}
}

// TestSettingsMayFollowANewName: the messages of before name the old one.
func TestSettingsMayFollowANewName(t *testing.T) {
	requests, table, err := fixture.Load("success")
	if err != nil {
		t.Fatal(err)
	}
	jobs := jobsOf(t, requests)
	held := stateOf(t, table)
	for i := range jobs[0].spans {
		jobs[0].spans[i].resource[wire.ResExperiment] = &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: "before"}}
	}
	if found := judgedBy(t, Terms{Experiment: experiment}, jobs, held); !found.Clean() {
		t.Errorf("the settings name the experiment that holds it\n%s", text(t, found))
	}
	for _, terms := range []Terms{{}, {Experiment: "before"}} {
		if found := judgedBy(t, terms, jobs, held); len(found.Elsewhere) != 1 || len(found.Wrong) > 0 {
			t.Errorf("with %+v\n%s", terms, text(t, found))
		}
	}
	if found := judged(t, jobs, held); len(found.Wrong) != 7 { // six runs and a trace
		t.Errorf("nobody renames anything, and %d things are wrong; want 7\n%s", len(found.Wrong), text(t, found))
	}
}
