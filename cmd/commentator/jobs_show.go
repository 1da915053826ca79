package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/mrkdwn"
	"github.com/technoshare/commentator/internal/pipeline"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/store"
)

type jobsShowCommand struct {
	ID   int64 `arg:"" name:"job" help:"Id of the job."`
	JSON bool  `name:"json" help:"Print one JSON object."`
}

// Run shows a job.
func (c *jobsShowCommand) Run(ctx context.Context, a *app) (err error) {
	s, err := a.look(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	j, err := s.Job(ctx, c.ID)
	if errors.Is(err, store.ErrNotFound) {
		return usageError{fmt.Errorf("there is no job %d in %s", c.ID, a.cfg.DatabaseName())}
	}
	if err != nil {
		return err
	}
	r, err := a.readJob(ctx, s, j)
	if err != nil {
		return err
	}
	if c.JSON {
		return plainjson.Lines(a.stdout).Encode(r)
	}
	worker, err := working(ctx, s)
	if err != nil {
		return err
	}
	told := r.Report
	told.State = toldState(told.State, worker)
	fmt.Fprintln(a.stdout, sentence(told))
	fmt.Fprint(a.stdout, r.story())
	if r.TraceID != "" {
		fmt.Fprintln(a.stdout, "trace", r.TraceID)
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nSTAGE\tATTEMPT\tSECONDS\tERROR")
	for _, st := range r.Stages {
		fmt.Fprintf(table, "%s\t%d\t%.3f\t%s\n", st.Stage, st.Attempt, st.Seconds, st.ErrorType)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if r.Comment != "" {
		fmt.Fprintf(a.stdout, "\n%s\n", mrkdwn.Plain(r.Comment))
	}
	return nil
}

// shownJob is a job with its times and where in Slack it comes from. Its JSON names are a contract;
// what is not known, or has not happened, is absent.
type shownJob struct {
	pipeline.Report
	CreatedAt time.Time `json:"created_at"`
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	RetryOf   int64     `json:"retry_of,omitempty"` // the job that this one repeats

	Channel          string    `json:"channel"`
	MessageTS        string    `json:"message_ts"`
	ThreadTS         string    `json:"thread_ts,omitempty"` // of a message in a thread
	Permalink        string    `json:"permalink,omitempty"` // of the message; absent without SLACK_WORKSPACE_URL
	MessageDeletedAt time.Time `json:"message_deleted_at,omitzero"`
	WithdrawnAt      time.Time `json:"withdrawn_at,omitzero"`        // the link was taken back, or its message
	ReplyTS          string    `json:"reply_ts,omitempty"`           // the comment in Slack
	ReplyTakenBackAt time.Time `json:"reply_taken_back_at,omitzero"` // all of it was deleted in Slack, or stays because Slack deletes it never
}

// readReport reads what became of a job.
func readReport(ctx context.Context, s interface {
	Stages(ctx context.Context, job int64) ([]commentator.StageRecord, error)
}, j commentator.Job,
) (pipeline.Report, error) {
	records, err := s.Stages(ctx, j.ID)
	if err != nil {
		return pipeline.Report{}, err
	}
	return pipeline.NewReport(j, records)
}

func (a *app) readJob(ctx context.Context, s *store.ReadOnly, j commentator.Job) (shownJob, error) {
	shown := shownJob{CreatedAt: j.CreatedAt, StartedAt: j.StartedAt, EndedAt: j.FinishedAt, RetryOf: j.RetryOf}
	var err error
	if shown.Report, err = readReport(ctx, s, j); err != nil {
		return shown, err
	}
	o, err := s.Origin(ctx, j.ID)
	if err != nil {
		return shown, err
	}
	shown.Channel, shown.MessageTS, shown.ThreadTS = o.Channel, o.TS, o.ThreadTS
	shown.Permalink = commentator.Message{Channel: o.Channel, TS: o.TS, ThreadTS: o.ThreadTS}.Permalink(a.cfg.SlackURL)
	shown.MessageDeletedAt, shown.WithdrawnAt = o.DeletedAt, o.WithdrawnAt
	shown.ReplyTS, shown.ReplyTakenBackAt = o.ReplyTS, o.ReplyTakenBackAt
	return shown, nil
}

// story tells people, a line each, when a job was what and where it comes from.
func (r shownJob) story() string {
	var b strings.Builder
	fmt.Fprintf(&b, "created %s", utc(r.CreatedAt))
	if !r.StartedAt.IsZero() {
		fmt.Fprintf(&b, ", started %s", utc(r.StartedAt))
	}
	if !r.EndedAt.IsZero() {
		fmt.Fprintf(&b, ", ended %s", utc(r.EndedAt))
	}
	b.WriteString("\n")
	if r.RetryOf != 0 {
		fmt.Fprintf(&b, "repeats job %d\n", r.RetryOf)
	}
	if r.Channel != commentator.ReplayChannel {
		fmt.Fprintf(&b, "message %s of channel %s", r.MessageTS, r.Channel)
		if r.ThreadTS != "" {
			fmt.Fprintf(&b, ", in thread %s", r.ThreadTS)
		}
		if r.Permalink != "" {
			fmt.Fprintf(&b, ", %s", r.Permalink)
		}
		b.WriteString("\n")
	}
	switch {
	case !r.MessageDeletedAt.IsZero():
		fmt.Fprintf(&b, "the message was deleted %s\n", utc(r.MessageDeletedAt))
	case !r.WithdrawnAt.IsZero():
		fmt.Fprintf(&b, "the link was taken back %s\n", utc(r.WithdrawnAt))
	}
	if r.ReplyTS != "" {
		fmt.Fprintf(&b, "comment %s", r.ReplyTS)
		if !r.ReplyTakenBackAt.IsZero() {
			fmt.Fprintf(&b, ", taken back %s", utc(r.ReplyTakenBackAt))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// utc is a time for people.
func utc(t time.Time) string { return t.UTC().Format(time.DateTime) + " UTC" }
