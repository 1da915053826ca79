// Package jobref finds the runs of a job by what people have in their hands: its number, its
// trace id, or a link to a message in Slack.
package jobref

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
)

// Ref names a job. Exactly one of Job, Trace and Channel is set.
type Ref struct {
	Job   string // decimal number of the job
	Trace string // trace id, 32 hex digits
	// Channel, Message and Thread are of a link to a message in Slack; Thread is empty unless
	// the link says which thread the message is in.
	Channel, Message, Thread string
}

var (
	traceID   = regexp.MustCompile(`^[0-9a-f]{32}$`)
	permalink = regexp.MustCompile(`^/archives/([A-Z0-9]+)/p(\d+)(\d{6})/?$`)
	timestamp = regexp.MustCompile(`^\d+\.\d{6}$`)
)

// Parse reads a job id, a trace id with or without MLflow's "tr-", or the address that Slack's
// "Copy link" gives for the comment or for the message that it answers.
func Parse(s string) (Ref, error) {
	if _, err := strconv.ParseUint(s, 10, 63); err == nil {
		return Ref{Job: s}, nil
	}
	if id := strings.TrimPrefix(s, "tr-"); traceID.MatchString(id) {
		return Ref{Trace: id}, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return Ref{}, fmt.Errorf("%q is neither a job id (a number) nor a trace id (32 hex digits) nor a link to a message in Slack (https://….slack.com/archives/C…/p…)", s)
	}
	m := permalink.FindStringSubmatch(u.Path)
	if m == nil {
		return Ref{}, fmt.Errorf("%q is no link to a message in Slack: want https://….slack.com/archives/<channel>/p<16 digits>, as \"Copy link\" gives it", s)
	}
	r := Ref{Channel: m[1], Message: m[2] + "." + m[3], Thread: u.Query().Get("thread_ts")}
	if r.Thread != "" && !timestamp.MatchString(r.Thread) {
		return Ref{}, fmt.Errorf("%q: thread_ts is %q, want seconds with six decimals such as 1718000000.000100; was the link cut?", s, r.Thread)
	}
	return r, nil
}

func (r Ref) String() string {
	switch {
	case r.Job != "":
		return "job " + r.Job
	case r.Trace != "":
		return "trace " + r.Trace
	case r.Thread != "":
		return "message " + r.Message + " in thread " + r.Thread + " of channel " + r.Channel
	default:
		return "message " + r.Message + " of channel " + r.Channel
	}
}

// maxRuns bounds how many runs one reference may name; every job database counts from 1.
const maxRuns = 20

// Find gives the runs of the job, newest first; none is no error. A job id names several when
// job databases share an MLflow, and a link to a message one for each link in it.
func (r Ref) Find(ctx context.Context, c *mlflow.Client, experiments []string) ([]mlflow.Run, error) {
	switch {
	case r.Job != "":
		return search(ctx, c, experiments, "params.job_id = '"+r.Job+"'")
	case r.Trace != "":
		return search(ctx, c, experiments, "tags.`"+wire.TagKey+"` = '"+r.Trace+"'")
	}
	runs, err := r.ofMessage(ctx, c, experiments, r.Message)
	if err != nil || len(runs) > 0 || r.Thread == "" {
		return runs, err
	}
	// A reply: the job is that of the message above it, or of another reply in its thread.
	if runs, err = r.ofMessage(ctx, c, experiments, r.Thread); err == nil && len(runs) == 0 {
		runs, err = r.ofThread(ctx, c, experiments)
	}
	if err != nil || len(runs) < 2 {
		return runs, err
	}
	return r.answered(ctx, c, runs)
}

func search(ctx context.Context, c *mlflow.Client, experiments []string, filter string) ([]mlflow.Run, error) {
	runs, _, err := c.SearchRuns(ctx, mlflow.SearchRuns{
		ExperimentIDs: experiments, Filter: filter, MaxResults: maxRuns, OrderBy: []string{"attributes.start_time DESC"},
	})
	if err != nil {
		return nil, fmt.Errorf("search runs: %w", err)
	}
	return runs, nil
}

func (r Ref) ofMessage(ctx context.Context, c *mlflow.Client, experiments []string, ts string) ([]mlflow.Run, error) {
	runs, err := search(ctx, c, experiments, "params.message_ts = '"+ts+"'")
	// Timestamps are unique within a channel only.
	return slices.DeleteFunc(runs, func(run mlflow.Run) bool { return run.Param("channel_id") != r.Channel }), err
}

// ofThread finds the jobs of messages within the thread by their traces, whose session it is.
func (r Ref) ofThread(ctx context.Context, c *mlflow.Client, experiments []string) ([]mlflow.Run, error) {
	traces, _, err := c.SearchTraces(ctx, mlflow.SearchTraces{
		ExperimentIDs: experiments, MaxResults: maxRuns, Filter: "metadata.`" + mlflow.MetaSession + "` = '" + r.Channel + ":" + r.Thread + "'",
	})
	if err != nil {
		return nil, fmt.Errorf("search traces: %w", err)
	}
	var all []mlflow.Run
	for _, t := range traces {
		runs, err := search(ctx, c, experiments, "tags.`"+wire.TagKey+"` = '"+strings.TrimPrefix(t.TraceID, "tr-")+"'")
		if err != nil {
			return nil, err
		}
		all = append(all, runs...)
	}
	slices.SortFunc(all, func(a, b mlflow.Run) int { return cmp.Compare(b.Info.StartTime, a.Info.StartTime) })
	return all, nil
}

// answered keeps the run whose trace says that it posted the reply. When none does, because
// the jobs were recorded without detail, all of them are kept.
func (r Ref) answered(ctx context.Context, c *mlflow.Client, runs []mlflow.Run) ([]mlflow.Run, error) {
	for _, run := range runs {
		t, err := c.GetTrace(ctx, "tr-"+run.Tag(wire.TagKey))
		if mlflow.IsCode(err, mlflow.CodeNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read trace: %w", err)
		}
		for _, s := range t.Spans {
			if s.Attribute(wire.AttrSlackReplyTS) == r.Message {
				return []mlflow.Run{run}, nil
			}
		}
	}
	return runs, nil
}
