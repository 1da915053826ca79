package reconcile

import (
	"slices"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

// ofRuns are the tags that a stage's run has and its part of the job's run has not: those by which the
// exporter and MLflow know runs, and what is metadata of the trace too.
var ofRuns = []string{
	wire.TagKey, wire.TagClaim, wire.TagTraceID, tagRunName, tagParentRun,
	"mlflow.user", "mlflow.source.name", "mlflow.source.type", "mlflow.source.git.commit",
}

// flattened is a state as `layout: flat` leaves it: the job's run holds what its stages say, under their
// names. Of several attempts the last one's texts stay, and the points of all.
func flattened(s State) State {
	job := s.Runs[0]
	for _, stage := range s.Runs[1:] {
		under := func(name string) string { return stage.Name + "/" + name }
		for name, v := range stage.Params {
			job.Params[under(name)] = v
		}
		for name, v := range stage.Tags {
			if v != "" && !slices.Contains(ofRuns, name) && (name != "stage" || v != stage.Name) {
				job.Tags[under(name)] = v
			}
		}
		job.Tags[under("status")] = stage.Status
		for name, points := range stage.Metrics {
			job.Metrics[under(name)] = append(job.Metrics[under(name)], points...)
		}
		for name, sum := range stage.Artifacts {
			job.Artifacts[under(name)] = sum
		}
	}
	s.Runs = s.Runs[:1]
	return s
}

// TestFlatJobsAreCompared: what is of the job itself, and of its stages whether they are there and how they
// ended. Nothing is lost that the layout has no place for, so that a repair sends nothing.
func TestFlatJobsAreCompared(t *testing.T) {
	for _, name := range []string{"success", "model_retried", "gate_failed", "five_failures"} {
		t.Run(name, func(t *testing.T) {
			requests, table, err := fixture.Load(name)
			if err != nil {
				t.Fatal(err)
			}
			jobs := jobsOf(t, requests)
			held := stateOf(t, table)
			for _, stage := range held.Runs[1:] { // by a mapping
				stage.Tags["mlflow.team"], stage.Tags["team"] = "search", stage.Name
			}
			stage := held.Runs[1].Name
			held = flattened(held)
			if tags := held.Runs[0].Tags; tags[stage+"/mlflow.team"] != "search" || tags[stage+"/team"] != stage || tags[stage+"/stage"] != "" {
				t.Errorf("the layout keeps other tags: %v", tags)
			}
			if r := judged(t, jobs, held); !r.Clean() || r.Runs != 1 {
				t.Errorf("%d runs\n%s", r.Runs, text(t, r))
			}
		})
	}
}

// TestPlantedFaultsOfFlatJobsAreFound changes one thing in MLflow at a time.
func TestPlantedFaultsOfFlatJobsAreFound(t *testing.T) {
	requests, table, err := fixture.Load("success")
	if err != nil {
		t.Fatal(err)
	}
	jobs := jobsOf(t, requests)
	stage := table.Runs[1].Name
	for name, c := range map[string]struct {
		plant func(*State)
		of    func(Report) []Finding
		item  string
	}{
		"a stage is missing":      {func(s *State) { delete(s.Runs[0].Tags, stage+partStatus) }, func(r Report) []Finding { return r.Lost }, "stage " + stage},
		"a stage ended otherwise": {func(s *State) { s.Runs[0].Tags[stage+partStatus] = "FAILED" }, func(r Report) []Finding { return r.Wrong }, "status of stage " + stage},
		"a param is missing":      {func(s *State) { delete(s.Runs[0].Params, "job_id") }, func(r Report) []Finding { return r.Lost }, "param job_id"},
		"the run was deleted":     {func(s *State) { s.Runs[0].Deleted = true }, func(r Report) []Finding { return r.Deleted }, "run job_"},
		"the run is there twice": {func(s *State) {
			twin := s.Runs[0]
			twin.ID = "twin"
			s.Runs = append(s.Runs, twin)
		}, func(r Report) []Finding { return r.Doubled }, "run job_"},
		"the trace is missing": {func(s *State) { s.Traces = nil }, func(r Report) []Finding { return r.Lost }, "trace"},
	} {
		t.Run(name, func(t *testing.T) {
			held := flattened(stateOf(t, table))
			c.plant(&held)
			r := judged(t, jobs, held)
			all := slices.Concat(r.Lost, r.Doubled, r.Wrong, r.Deleted)
			if found := c.of(r); len(all) != 1 || len(found) != 1 || !strings.HasPrefix(found[0].Item, c.item) {
				t.Errorf("want one finding, of %q\n%s", c.item, text(t, r))
			}
		})
	}
}
