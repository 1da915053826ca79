package main

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/technoshare/commentator/data/demo"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/ui"
	"github.com/technoshare/commentator/internal/wire"
)

// held is what MLflow holds of one job.
type held struct {
	RunID     string
	RunURL    string
	Status    string
	Outcome   string
	Stages    []string // names of the nested runs, sorted
	Artifacts []string // of all runs of the job, sorted
	TraceURL  string   // empty: no trace
	TraceName string
	SpanState string    // OK or ERROR
	Ended     time.Time // of the job
	Final     bool      // the run ended, and so did all that belongs to it
}

// reader reads jobs back from MLflow.
type reader struct {
	client     *mlflow.Client
	experiment string // name
	id         string // of the experiment, once it exists
}

// find looks the experiment up, once. That it is not there yet is no error.
func (r *reader) find(ctx context.Context) error {
	if r.id != "" {
		return nil
	}
	e, err := r.client.GetExperimentByName(ctx, r.experiment)
	if err != nil && !mlflow.IsCode(err, mlflow.CodeNotFound) {
		return fmt.Errorf("read experiment: %w", err)
	}
	r.id = e.ID
	return nil
}

// job reads what MLflow holds of the job with this trace id. Nothing yet is no error.
func (r *reader) job(ctx context.Context, traceID string) (held, error) {
	var h held
	if err := r.find(ctx); err != nil || r.id == "" {
		return h, err
	}
	runs, err := r.search(ctx, "tags.`"+wire.TagKey+"` = '"+traceID+"'")
	if err != nil || len(runs) == 0 {
		return h, err
	}
	if len(runs) > 1 {
		return h, fmt.Errorf("the job with trace %s has %d runs instead of one", traceID, len(runs))
	}
	run := runs[0]
	h = held{RunID: run.Info.ID, RunURL: ui.Run(r.client.Endpoint(), r.id, run.Info.ID), Status: run.Info.Status, Outcome: run.Tag("outcome"), Ended: time.UnixMilli(run.Info.EndTime)}
	stages, err := r.search(ctx, "tags.`mlflow.parentRunId` = '"+run.Info.ID+"'")
	if err != nil {
		return h, err
	}
	h.Final = run.Info.Status != mlflow.StatusRunning
	for _, s := range append(stages, run) {
		if s.Info.Status == mlflow.StatusRunning {
			h.Final = false
		}
		files, err := r.client.ListArtifacts(ctx, s.Info.ID, "")
		if err != nil {
			return h, fmt.Errorf("list artifacts: %w", err)
		}
		for _, f := range files {
			h.Artifacts = append(h.Artifacts, f.Path)
		}
	}
	for _, s := range stages {
		h.Stages = append(h.Stages, s.Info.Name)
	}
	sort.Strings(h.Stages)
	sort.Strings(h.Artifacts)
	return h, r.trace(ctx, "tr-"+traceID, &h)
}

func (r *reader) trace(ctx context.Context, id string, h *held) error {
	info, err := r.client.GetTraceInfo(ctx, id)
	if mlflow.IsMissing(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read trace: %w", err)
	}
	if source := info.Metadata["mlflow.sourceRun"]; source != "" && source != h.RunID {
		return fmt.Errorf("trace %s links to run %s instead of %s", id, source, h.RunID)
	}
	h.TraceName, h.SpanState = info.Tags["mlflow.traceName"], info.State
	h.TraceURL = ui.Trace(r.client.Endpoint(), r.id, id)
	return nil
}

func (r *reader) search(ctx context.Context, filter string) ([]mlflow.Run, error) {
	runs, _, err := r.client.SearchRuns(ctx, mlflow.SearchRuns{ExperimentIDs: []string{r.id}, Filter: filter})
	if err != nil {
		return nil, fmt.Errorf("search runs: %w", err)
	}
	return runs, nil
}

// differences says in words how what MLflow holds differs from what was expected.
func differences(w demo.Expectation, errorType string, h held) []string {
	var out []string
	add := func(what string, want, got any) {
		if fmt.Sprint(want) != fmt.Sprint(got) {
			out = append(out, fmt.Sprintf("%s: want %v, MLflow holds %v", what, want, got))
		}
	}
	add("outcome", w.Outcome, h.Outcome)
	add("error type", w.ErrorType, errorType)
	add("stage runs", sorted(w.Stages), h.Stages)
	add("artifacts", sorted(w.Artifacts), h.Artifacts)
	add("trace", w.Trace, h.TraceURL != "")
	return out
}

func sorted(in []string) []string {
	out := append([]string(nil), in...)
	sort.Strings(out)
	return out
}

// delivered waits until MLflow holds the whole job.
func (r *reader) delivered(ctx context.Context, traceID string) (held, error) {
	for {
		h, err := r.job(ctx, traceID)
		var e *mlflow.Error
		if err != nil && (!errors.As(err, &e) || !e.Retryable()) {
			return h, err
		}
		if err == nil && h.Final && h.TraceURL != "" && h.SpanState != "IN_PROGRESS" {
			return h, nil
		}
		select {
		case <-ctx.Done():
			return h, fmt.Errorf("MLflow does not hold the job with trace %s yet (run: %s)", traceID, orNone(h.Status))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return strings.ToLower(s)
}
