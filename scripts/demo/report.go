package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/technoshare/commentator/data/demo"
	"github.com/technoshare/commentator/internal/pipeline"
)

// played is a job of the demo.
type played struct {
	name string
	want *demo.Expectation // nil: listed, its outcome is not compared
	job  pipeline.Report
}

// line is a job in .demo/summary.json; the names are a contract.
type line struct {
	Name      string   `json:"name"`
	Job       int64    `json:"job,string"`
	URL       string   `json:"url"`
	Outcome   string   `json:"outcome"`
	Error     string   `json:"error,omitempty"`
	Seconds   float64  `json:"seconds"`
	Lag       float64  `json:"delivery_lag_seconds"`
	RunID     string   `json:"run_id"`
	TraceID   string   `json:"trace_id"`
	RunURL    string   `json:"run_url"`
	TraceURL  string   `json:"trace_url"`
	Stages    []string `json:"stage_runs"`
	Artifacts []string `json:"artifacts"`
	Expected  bool     `json:"as_expected"`
}

// summary is .demo/summary.json.
type summary struct {
	UI         string         `json:"ui"`
	Experiment string         `json:"experiment"`
	ID         string         `json:"experiment_id"`
	Seconds    float64        `json:"seconds"`
	Counts     map[string]int `json:"counts"` // jobs by outcome, and runs, artifacts, traces
	Jobs       []line         `json:"jobs"`
}

// report waits for MLflow to hold every job, prints the table and writes the summary. It
// returns what differs from the expectations.
func (s *servers) report(ctx context.Context, began time.Time, jobs []played, seen func() map[string]time.Time) ([]string, error) {
	say("Waiting until the bridge has delivered …")
	ctx, cancel := context.WithTimeout(ctx, deliveryPatience)
	defer cancel()
	r := &reader{client: s.client, experiment: experiment}
	all := make([]held, len(jobs))
	for i, p := range jobs {
		var err error
		if all[i], err = r.delivered(ctx, p.job.TraceID); err != nil {
			return nil, fmt.Errorf("%s: %w; %s", p.name, err, s.logOf("collector").end())
		}
	}
	firstSeen := seen()
	sum := summary{UI: s.ui, Experiment: experiment, Counts: map[string]int{}, Jobs: []line{}}
	var bad []string
	for i, p := range jobs {
		h := all[i]
		var differs []string
		if p.want != nil {
			differs = differences(*p.want, p.job.ErrorType, h)
		}
		for _, d := range differs {
			bad = append(bad, p.name+": "+d)
		}
		sum.Jobs = append(sum.Jobs, line{
			Name: p.name, Job: p.job.JobID, URL: p.job.URL, Outcome: h.Outcome, Error: p.job.ErrorType, Seconds: p.job.Seconds, Lag: lag(h.Ended, firstSeen[p.job.TraceID]).Seconds(),
			RunID: h.RunID, TraceID: "tr-" + p.job.TraceID, RunURL: h.RunURL, TraceURL: h.TraceURL,
			Stages: h.Stages, Artifacts: h.Artifacts, Expected: len(differs) == 0,
		})
		sum.Counts[h.Outcome]++
		sum.Counts["runs"] += 1 + len(h.Stages)
		sum.Counts["artifacts"] += len(h.Artifacts)
		if h.TraceURL != "" {
			sum.Counts["traces"]++
		}
	}
	sum.ID, sum.Seconds = r.id, time.Since(began).Seconds()
	if err := sum.print(); err != nil {
		return nil, err
	}
	return bad, sum.write(filepath.Join(s.dir, "summary.json"))
}

func (s summary) write(path string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode summary: %w", err)
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

func (s summary) print() error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nJOB\tDOCUMENT\tOUTCOME\tSECONDS\tDELIVERED AFTER\tRUNS\tFILES\t")
	for _, l := range s.Jobs {
		mark := ""
		if !l.Expected {
			mark = "← not as expected"
		}
		outcome := l.Outcome
		if l.Error != "" {
			outcome += " (" + l.Error + ")"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%.2f\t%.1f s\t%d\t%d\t%s\n", l.Job, l.Name, outcome, l.Seconds, l.Lag, 1+len(l.Stages), len(l.Artifacts), mark)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print table: %w", err)
	}
	say("\nTheir runs and traces in the MLflow UI:")
	for _, l := range s.Jobs {
		say("  job %d\n    run    %s\n    trace  %s", l.Job, l.RunURL, l.TraceURL)
	}
	say("\n%d jobs, %d runs, %d artifacts, %d traces in %.0f s", len(s.Jobs), s.Counts["runs"], s.Counts["artifacts"], s.Counts["traces"], s.Seconds)
	say("MLflow UI: %s/#/experiments/%s/runs", s.UI, s.ID)
	return nil
}
