//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/pipeline"
	"github.com/technoshare/commentator/internal/wire"
)

// delivered waits until MLflow has the runs of jobs, and looks at them through MLflow's own client.
func (r *rehearsal) delivered(ctx context.Context, s *step, jobs []pipeline.Report) error {
	began := time.Now()
	if err := r.visible(ctx, jobs); err != nil {
		return err
	}
	waited := time.Since(began)
	held, err := r.dump(ctx)
	if err != nil {
		return err
	}
	var wrong []error
	runs, files, traces, spans := 0, 0, 0, 0
	for _, j := range jobs {
		c := held.check(j)
		wrong = append(wrong, c.wrong...)
		runs, files, traces, spans = runs+c.runs, files+c.files, traces+c.traces, spans+c.spans
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	r.recorded = append(r.recorded, jobs...)
	s.checked("by MLflow's client: %d jobs, %d runs, %d artifacts, %d traces of %d spans; all there %.1f s after the last reply", len(jobs), runs, files, traces, spans, waited.Seconds())
	return nil
}

// visible waits until MLflow has the final runs of jobs, and of those in full detail the traces.
func (r *rehearsal) visible(ctx context.Context, jobs []pipeline.Report) error {
	e, err := r.client.GetExperimentByName(ctx, experiment)
	if err != nil {
		return fmt.Errorf("read experiment: %w", err)
	}
	missing := slices.Clone(jobs)
	return until(ctx, fmt.Sprintf("%d jobs to be in MLflow", len(jobs)), func() (bool, error) {
		for len(missing) > 0 && r.isThere(ctx, e.ID, missing[0]) {
			missing = missing[1:]
		}
		return len(missing) == 0, nil
	})
}

// isThere reports whether MLflow answers and has the final run of a job, and its trace.
func (r *rehearsal) isThere(ctx context.Context, experimentID string, j pipeline.Report) bool {
	if j.Detail == commentator.DetailFull {
		if t, err := r.client.GetTraceInfo(ctx, "tr-"+j.TraceID); err != nil || t.State == "IN_PROGRESS" {
			return false
		}
	}
	found, _, err := r.client.SearchRuns(ctx, mlflow.SearchRuns{
		ExperimentIDs: []string{experimentID}, MaxResults: 1, Filter: "tags.`" + wire.TagKey + "` = '" + j.TraceID + "'",
	})
	return err == nil && len(found) > 0 && found[0].Info.Status != "RUNNING"
}

// state is what dump.py says that MLflow holds.
type state struct {
	Runs   []runHeld
	Traces []traceHeld
}

type runHeld struct {
	ID        string             `json:"run_id"`
	Name      string             `json:"name"`
	Status    string             `json:"status"`
	Deleted   bool               `json:"deleted"`
	Tags      map[string]string  `json:"tags"`
	Params    map[string]string  `json:"params"`
	Metrics   map[string]float64 `json:"metrics"`
	Artifacts map[string]string  `json:"artifacts"`
}

type traceHeld struct {
	ID        string     `json:"id"`
	State     string     `json:"state"`
	SourceRun string     `json:"source_run"`
	Spans     []spanHeld `json:"spans"`
}

type spanHeld struct {
	ID     string `json:"id"`
	Parent string `json:"parent"`
	Name   string `json:"name"`
	Type   string `json:"type"`
	Status string `json:"status"`
}

func (r *rehearsal) dump(ctx context.Context) (held state, err error) {
	// One request, then its end: the script answers and goes.
	out, err := r.place.python(ctx, "", r.place.new, []string{"MLFLOW_TRACKING_URI=http://" + r.place.mlflow}, []string{
		"-c", "import io, runpy, sys; sys.stdin = io.StringIO(sys.argv[2] + '\\n'); runpy.run_path(sys.argv[1], run_name='__main__')",
		filepath.Join(r.place.top, "scripts", "mlflow", "dump.py"), `{"dump": ["` + experiment + `"]}`,
	})
	if err != nil {
		return held, err
	}
	var failed struct{ Error string }
	if err := json.Unmarshal(out, &failed); err != nil {
		return held, fmt.Errorf("read what MLflow holds: %w", err)
	}
	if failed.Error != "" {
		return held, fmt.Errorf("read what MLflow holds: %s", failed.Error)
	}
	return held, json.Unmarshal(out, &held)
}

// checkedJob is what was found of a job.
type checkedJob struct {
	runs, files, traces, spans int
	wrong                      []error
}

// check looks at the runs, files and trace of a job that was successful.
func (held state) check(j pipeline.Report) (c checkedJob) {
	complain := func(format string, args ...any) {
		c.wrong = append(c.wrong, fmt.Errorf("job %d: "+format, append([]any{j.JobID}, args...)...))
	}
	var own string
	for _, run := range held.Runs {
		if run.Tags[wire.TagKey] != j.TraceID || run.Deleted {
			continue
		}
		if own != "" {
			complain("it has two runs")
		}
		own = run.ID
		c.runs++
		if run.Status != "FINISHED" || run.Tags["outcome"] != string(j.Outcome) || run.Name != fmt.Sprintf("job_%d", j.JobID) {
			complain("run %s is %s with outcome %s", run.Name, run.Status, run.Tags["outcome"])
		}
	}
	var stages []string
	for _, run := range held.Runs {
		if own != "" && run.Tags["mlflow.parentRunId"] == own && !run.Deleted {
			stages = append(stages, run.Name)
			c.files += len(run.Artifacts)
			c.runs++
		}
	}
	if slices.Sort(stages); !slices.Equal(stages, slices.Sorted(slices.Values(wire.StageNames))) {
		complain("runs of the stages %v", stages)
	}
	if c.files != 6 {
		complain("%d artifacts; want 6", c.files)
	}
	want := 0
	if j.Detail == commentator.DetailFull {
		want = 1
	}
	for _, t := range held.Traces {
		if t.ID != "tr-"+j.TraceID {
			continue
		}
		c.traces++
		c.spans += len(t.Spans)
		if t.State != "OK" || t.SourceRun != own {
			complain("its trace is %s, of run %s", t.State, t.SourceRun)
		}
		ids := map[string]bool{"": true}
		for _, sp := range t.Spans {
			ids[sp.ID] = true
		}
		for _, sp := range t.Spans {
			if !ids[sp.Parent] {
				complain("the parent of span %s is missing", sp.Name)
			}
		}
	}
	if c.traces != want {
		complain("%d traces; want %d", c.traces, want)
	}
	return c
}

// newRuns counts the runs that are not of the old deployment.
func (held state) newRuns() (n int) {
	for _, run := range held.Runs {
		if !run.Deleted && run.Tags[wire.TagKey] != "" {
			n++
		}
	}
	return n
}

// absent makes sure that MLflow holds nothing of jobs.
func (held state) absent(jobs []pipeline.Report) error {
	for _, run := range held.Runs {
		for _, j := range jobs {
			if run.Tags["job_id"] == fmt.Sprint(j.JobID) && run.Tags[wire.TagKey] != "" {
				return fmt.Errorf("MLflow holds run %s of job %d", strings.TrimSpace(run.Name), j.JobID)
			}
		}
	}
	return nil
}
