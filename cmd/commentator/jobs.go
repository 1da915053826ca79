package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/store"
)

type jobsCommand struct {
	List   jobsListCommand   `cmd:"" help:"List jobs, the newest first."`
	Show   jobsShowCommand   `cmd:"" help:"Show a job with its stages and its comment."`
	Retry  jobsRetryCommand  `cmd:"" help:"Make new jobs for the links of final ones."`
	Cancel jobsCancelCommand `cmd:"" help:"End jobs that are not final."`
}

type jobsListCommand struct {
	Limit   int    `default:"100" help:"At most so many; 0 is all."`
	Outcome string `enum:",success,gate_failed,no_urls,error,cancelled" default:"" help:"Only jobs with this outcome: success, gate_failed, no_urls, error or cancelled."`
	JSON    bool   `name:"json" help:"Print one JSON object per job."`
}

// Run lists jobs.
func (c *jobsListCommand) Run(ctx context.Context, a *app) (err error) {
	if c.Limit < 0 {
		return usageError{errors.New("--limit must be 0 or more")}
	}
	s, err := a.look(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	limit := c.Limit
	if limit == 0 {
		limit = -1
	}
	jobs, err := s.ListJobs(ctx, store.Filter{Outcome: commentator.Outcome(c.Outcome), Limit: limit})
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	worker := false
	if !c.JSON {
		if worker, err = working(ctx, s); err != nil {
			return err
		}
		fmt.Fprintln(table, "JOB\tSTATE\tOUTCOME\tERROR\tSECONDS\tCREATED (UTC)\tLINK")
	}
	encoder := plainjson.Lines(a.stdout)
	for _, j := range jobs {
		if c.JSON {
			r, err := a.readJob(ctx, s, j)
			if errors.Is(err, store.ErrNotFound) {
				continue // it was old, and a worker has just removed it
			}
			if err != nil {
				return err
			}
			if err := encoder.Encode(r); err != nil {
				return err
			}
			continue
		}
		r, err := readReport(ctx, s, j)
		if err == nil {
			_, err = fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%.2f\t%s\t%s\n", r.JobID, toldState(r.State, worker), r.Outcome, r.ErrorType, r.Seconds, j.CreatedAt.UTC().Format("2006-01-02 15:04"), r.URL)
		}
		if err != nil {
			return err
		}
	}
	return table.Flush()
}

// toldState is the state of a job for people; in JSON it stays as it is. What runs and no worker works on goes
// on with the next start of one.
func toldState(state commentator.JobState, worker bool) commentator.JobState {
	if state == commentator.JobRunning && !worker {
		return "interrupted"
	}
	return state
}
