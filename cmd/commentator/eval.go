package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/plainjson"
)

type evalCommand struct {
	Run     evalRunCommand     `cmd:"" help:"Make comments on the examples of a dataset and score them."`
	List    evalListCommand    `cmd:"" help:"List evaluations that were brought to their end, the newest first."`
	Promote evalPromoteCommand `cmd:"" help:"Make examples of jobs, with the evidence that they recorded."`

	Compare  evalCompareCommand  `cmd:"" help:"Compare two evaluations example by example: PASS, FAIL or INCONCLUSIVE."`
	Gate     evalGateCommand     `cmd:"" help:"Compare an evaluation with the baseline and the threshold, for CI."`
	Baseline evalBaselineCommand `cmd:"" help:"Reduce an evaluation to a baseline, a small file for git."`
	AA       evalAACommand       `cmd:"" name:"aa" help:"Measure how often the gate is wrong about unchanged comments, and how many examples are needed."`
	Trend    evalTrendCommand    `cmd:"" help:"Show pass rate, cost and latency by prompt version over time, and what failing examples have in common."`
}

// Exit codes of the commands below eval.
const (
	exitEvalFailed       = 1 // an evaluation that does not pass
	exitEvalInconclusive = 2 // too little is known
	exitEvalImpossible   = 3 // it could not be carried out
)

// evalEnd is the end of a command below eval with a code of its own. Err may be nil: everything
// has been said.
type evalEnd struct {
	code int
	err  error
}

func (e evalEnd) Error() string {
	if e.err == nil {
		return "said already"
	}
	return e.err.Error()
}

func (e evalEnd) Unwrap() error { return e.err }

// closed adds an error of closing to how a command ends: a verdict keeps its exit code, and the error is
// said beside it.
func closed(err, closing error) error {
	var end evalEnd
	if closing != nil && errors.As(err, &end) {
		return evalEnd{end.code, errors.Join(end.err, closing)}
	}
	return errors.Join(err, closing)
}

// impossible makes an error one of a command that could not be carried out.
func impossible(err error) error {
	var end evalEnd
	if err == nil || errors.As(err, &end) {
		return err
	}
	return evalEnd{exitEvalImpossible, err}
}

type evalListCommand struct {
	Limit int  `default:"20" help:"At most so many; 0 is all."`
	JSON  bool `name:"json" help:"Print one JSON object per evaluation."`
}

// listed is a line of the list; its JSON form is a contract.
type listed struct {
	ID          string    `json:"evaluation_id"`
	TraceID     string    `json:"trace_id"`
	StartedAt   time.Time `json:"started_at"`
	Dataset     string    `json:"dataset"`
	DatasetHash string    `json:"dataset_hash"`
	Analyser    string    `json:"analyser"`
	Total       int       `json:"total_examples"`
	Passed      int       `json:"passed_examples"`
	Failed      int       `json:"failed_examples"`
	PassRate    float64   `json:"overall_pass_rate"`
	Stopped     string    `json:"stopped,omitempty"`
}

// Run lists evaluations.
func (c *evalListCommand) Run(ctx context.Context, a *app) (err error) {
	defer func() { err = impossible(err) }()
	s, err := evaluation.LookAtStore(ctx, a.cfg.EvalDBPath)
	if err != nil {
		return err
	}
	defer func() { err = closed(err, s.Close()) }()
	all, err := s.Results(ctx, c.Limit)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(table, "EVALUATION\tSTARTED\tDATASET\tANALYSER\tEXAMPLES\tPASSED\tRATE")
	}
	for _, r := range all {
		sum := r.Summary()
		if c.JSON {
			err = plainjson.Lines(a.stdout).Encode(listed{
				ID: r.ID, TraceID: r.TraceID, StartedAt: r.StartedAt, Dataset: r.Dataset.Name, DatasetHash: r.Dataset.Hash, Analyser: r.Analyser,
				Total: sum.Total, Passed: sum.Passed, Failed: sum.Failed, PassRate: sum.PassRate, Stopped: r.Stopped,
			})
		} else {
			_, err = fmt.Fprintf(table, "%s\t%s\t%s %.8s\t%s\t%d\t%d\t%.3f\n", r.ID, r.StartedAt.Local().Format(time.DateTime), r.Dataset.Name, r.Dataset.Hash, r.Analyser, sum.Total, sum.Passed, sum.PassRate)
		}
		if err != nil {
			return err
		}
	}
	return table.Flush()
}
