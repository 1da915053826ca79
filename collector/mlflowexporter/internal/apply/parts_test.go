package apply_test

import (
	"slices"
	"testing"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
)

// flat is a plan in the flat layout: what the runs of stages said, as parts of their job's.
func flat(p reduce.Plan) reduce.Plan {
	job := p.Runs[0]
	for _, r := range p.Runs[1:] {
		part := reduce.Part{ID: r.Key[len(r.Key)-16:], Name: r.Name, Version: r.Version, Tags: []reduce.KeyValue{{Key: r.Name + "/status", Value: r.Status}}, Datasets: r.Datasets}
		for _, kv := range r.Params {
			part.Params = append(part.Params, reduce.KeyValue{Key: r.Name + "/" + kv.Key, Value: kv.Value})
		}
		for _, m := range r.Metrics {
			m.Key = r.Name + "/" + m.Key
			part.Metrics = append(part.Metrics, m)
		}
		for _, a := range r.Artifacts {
			a.Path = r.Name + "/" + a.Path
			part.Artifacts = append(part.Artifacts, a)
		}
		job.Parts = append(job.Parts, part)
	}
	p.Runs = []reduce.Run{job}
	return p
}

// unparted puts the parts of runs into the runs, as MLflow shows them.
func unparted(p reduce.Plan) reduce.Plan {
	p.Runs = slices.Clone(p.Runs)
	for i := range p.Runs {
		r := &p.Runs[i]
		r.Params, r.Tags, r.Metrics, r.Artifacts = slices.Clone(r.Params), slices.Clone(r.Tags), slices.Clone(r.Metrics), slices.Clone(r.Artifacts)
		for _, part := range r.Parts {
			r.Params, r.Tags = append(r.Params, part.Params...), append(r.Tags, part.Tags...)
			r.Metrics, r.Artifacts = append(r.Metrics, part.Metrics...), append(r.Artifacts, part.Artifacts...)
			r.Datasets = append(slices.Clip(r.Datasets), part.Datasets...)
		}
	}
	return p
}

func pieces(p reduce.Plan) []reduce.Plan {
	all := split(p)
	for i := range all {
		all[i] = flat(all[i])
	}
	return all
}

func TestFlatJob(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApply(t, flat(e.plan(0))) // probes the server and makes the experiment
		e.requests.take()
		e.mustApply(t, flat(e.plan(1)))
		e.took(t, 11) // create, log, 6 artifacts, spans, trace, update
		e.mustApply(t, flat(e.plan(1)))
		e.mustApply(t, pieces(e.plan(1))...)
		e.took(t, 0)
		e.restart(t)
		e.mustApply(t, flat(e.plan(1)))
		e.took(t, 2) // for version and experiment
		e.check(t, unparted(flat(e.plan(0))), unparted(flat(e.plan(1))))
	})
}

func TestFlatJobInAnyOrder(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		plan := func(n int) reduce.Plan { // of a job and of two of its stages it is said which data they are about
			p := e.plan(n)
			for i, name := range []string{"items", "words", "items of yesterday"} {
				p.Runs[i].Datasets = []reduce.Dataset{{Name: name, Digest: "1"}}
			}
			return p
		}
		backwards := pieces(plan(1))
		slices.Reverse(backwards)
		for i, p := range pieces(plan(2)) {
			e.mustApply(t, backwards[i], p)
		}
		e.check(t, unparted(flat(plan(1))), unparted(flat(plan(2))))
	})
}

// Of two attempts at a stage the later one's tags and files win, and what only the earlier
// one said stays, in whatever order they come.
func TestFlatAttempts(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		attempt := func(n int, id string, end int64, status string, tags ...reduce.KeyValue) reduce.Plan {
			p := flat(e.plan(n))
			p.Traces = nil
			p.Runs[0].Parts = []reduce.Part{{
				ID: id, Name: "stage_a", Version: version(id, startMS+end),
				Tags:      append(tags, reduce.KeyValue{Key: "stage_a/status", Value: status}),
				Metrics:   []reduce.Metric{{Key: "stage_a/latency_seconds", Value: float64(end), TimestampMS: startMS + end}},
				Artifacts: []reduce.Artifact{artifact("stage_a/facts.json", status)},
			}}
			return p
		}
		first := func(n int) reduce.Plan {
			return attempt(n, "00000000000000a1", 100, "FAILED", reduce.KeyValue{Key: "stage_a/error", Value: "x"})
		}
		second := func(n int) reduce.Plan { return attempt(n, "00000000000000a2", 200, "FINISHED") }
		both := first(3)
		both.Runs[0].Parts = append(both.Runs[0].Parts, second(3).Runs[0].Parts...)
		e.mustApply(t, first(1), second(1), second(2), first(2), both)
		e.requests.take()
		e.mustApply(t, first(1), first(2), second(2), both)
		e.took(t, 0)
		var want []reduce.Plan
		for n := 1; n <= 3; n++ {
			p := second(n)
			p.Runs[0].Parts[0].Tags = append(p.Runs[0].Parts[0].Tags, reduce.KeyValue{Key: "stage_a/error", Value: "x"})
			p.Runs[0].Parts[0].Metrics = append(first(n).Runs[0].Parts[0].Metrics, p.Runs[0].Parts[0].Metrics...)
			want = append(want, unparted(p))
		}
		e.check(t, want...)
	})
}

// A run that a user deleted gets no parts either.
func TestFlatDeletedRunStaysDeleted(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		all := pieces(e.plan(1))
		e.mustApply(t, all[0])
		id := e.findRun(t, jobID(e.experiment, 1)).Info.ID
		if err := e.client.DeleteRun(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		e.mustApply(t, all[1], all[2])
		run := e.findRun(t, jobID(e.experiment, 1))
		if run.Info.ID != id || run.Info.Stage != mlflow.Deleted || len(run.Data.Metrics) != 0 {
			t.Errorf("run is %+v", run)
		}
	})
}
