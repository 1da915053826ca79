package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/boundedfile"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/intake"
	"github.com/technoshare/commentator/internal/mrkdwn"
	"github.com/technoshare/commentator/internal/pipeline"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/slack"
)

// replayEnd is how long replay waits at its end for the Collector to take what is left.
const replayEnd = 5 * time.Second

type replayCommand struct {
	URLs []string `arg:"" optional:"" name:"url" help:"Links to comment on. Each replay is a new job."`

	Event   string `help:"Read a Slack event envelope from FILE; - is standard input." placeholder:"FILE"`
	Latest  bool   `help:"Run the newest message with a link of the watched channels. It is a new job each time."`
	To      string `help:"Sign the event with SLACK_SIGNING_SECRET and post it to a running server, such as http://127.0.0.1:3000; nothing else is done." placeholder:"URL"`
	Again   bool   `help:"Repeat an event that is known; new jobs are made for its links."`
	Enqueue bool   `help:"Only feed the queue; serve works it off."`
	JSON    bool   `name:"json" help:"Print one JSON object per job."`
}

// Help is shown below the flags.
func (replayCommand) Help() string {
	return `Comments go to standard output as people read them, with --json as Slack marks them up, everything else to standard error. Nothing is posted to Slack. A message that is replayed by --event or --latest counts as taken: serve does not comment on it again. Jobs that an interrupted process left in the queue are worked off too.

Exit code: 0 when every job ended in success or no_urls, also those of an event that is known, 1 when one did not or has not ended yet, 2 for wrong input. A job that a later one of them repeats does not count. With --enqueue 0 says that the jobs are in the queue.`
}

// Run replays links or an event.
func (c *replayCommand) Run(ctx context.Context, a *app) error {
	if c.To != "" {
		return c.postEvent(ctx, a)
	}
	message, links, err := c.input(ctx, a, time.Now())
	if err != nil {
		return err
	}
	w, err := a.openWorker(ctx, use{backoff: queue.ReplayBackoff, alone: true, brief: c.Enqueue})
	if err != nil {
		return err
	}
	w.noteFailures()
	jobs, known, err := c.replay(ctx, w, message, links)
	endCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), replayEnd)
	defer cancel()
	if err == nil {
		err = c.show(endCtx, w, jobs, known)
	} else if shown := c.show(endCtx, w, w.finalOnes(endCtx, jobs), false); !errors.Is(shown, errSaid) {
		err = errors.Join(err, shown)
	}
	if closeErr := w.close(endCtx); err == nil {
		err = closeErr
	}
	return err
}

// input reads what is to be replayed.
func (c *replayCommand) input(ctx context.Context, a *app, now time.Time) (commentator.Message, []string, error) {
	if c.Latest {
		return c.latest(ctx, a, now)
	}
	m, links, err := c.given(a, now)
	if err != nil {
		err = usageError{err}
	}
	return m, links, err
}

// given reads the links or the event of the command line.
func (c *replayCommand) given(a *app, now time.Time) (commentator.Message, []string, error) {
	switch {
	case c.Event == "" && len(c.URLs) == 0:
		return commentator.Message{}, nil, fmt.Errorf("replay needs links, --event FILE or --latest")
	case c.Event != "" && len(c.URLs) > 0:
		return commentator.Message{}, nil, fmt.Errorf("replay takes links or --event FILE, not both")
	case c.Event == "" && c.Again:
		return commentator.Message{}, nil, fmt.Errorf("--again is for --event; links are new jobs each time")
	case c.Event == "":
		links := slices.Clone(c.URLs)
		slices.Sort(links)
		if len(slices.Compact(links)) != len(c.URLs) {
			return commentator.Message{}, nil, fmt.Errorf("a link is given twice")
		}
		return commentator.Message{Channel: commentator.ReplayChannel, TS: commentator.TS(now), Text: strings.Join(c.URLs, " "), ReceivedAt: now}, c.URLs, nil
	}
	raw, err := readFile(c.Event, a.stdin, slack.MaxEnvelope)
	if err != nil {
		return commentator.Message{}, nil, err
	}
	m, err := slack.ParseEvent(raw, now)
	if err != nil {
		return commentator.Message{}, nil, fmt.Errorf("read event %s: %w", c.Event, err)
	}
	if len(a.cfg.Channels) > 0 && !slices.Contains(a.cfg.Channels, m.Channel) {
		fmt.Fprintf(a.stderr, "warning: the event is of channel %s, not of TECHNOSHARE_CHANNEL_ID %s\n", m.Channel, strings.Join(a.cfg.Channels, ","))
	}
	rules := intakeConfig(a.cfg)
	rules.Channels = nil
	if outcome, _ := intake.New(rules).Look(m); outcome == intake.ThreadReply {
		fmt.Fprintln(a.stderr, "warning: the event is a reply in a thread, which serve leaves alone without COMMENT_THREAD_REPLIES=true")
	}
	limit := a.cfg.MaxLinks
	if a.cfg.LinkPolicy == "first" {
		limit = 1
	}
	return m.Message, slack.Links(m.Text, limit), nil
}

// readFile reads a file that the command line names; - is standard input.
func readFile(path string, stdin io.Reader, limit int64) ([]byte, error) {
	if path == "-" {
		body, err := boundedfile.ReadAll(stdin, limit)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return body, nil
	}
	return boundedfile.Read(path, limit)
}

// replay makes the jobs and, unless they are only enqueued or known, waits for their end.
// The queue is started first, so that nothing is written when another process works on it.
func (c *replayCommand) replay(ctx context.Context, w *worker, m commentator.Message, links []string) ([]commentator.Job, bool, error) {
	enqueue := w.queue.Enqueue
	if !c.Enqueue {
		if err := w.queue.Start(ctx); err != nil {
			return nil, false, err
		}
		enqueue = w.queue.EnqueueQuiet
	}
	again := c.Again || c.Latest
	jobs, known, err := w.store.Ingest(ctx, m, links, again, enqueue)
	if known = known && !again; err != nil || c.Enqueue || known {
		return jobs, known, err
	}
	for i, j := range jobs {
		final, err := w.awaitFinal(ctx, j.ID)
		if err != nil {
			return jobs, false, err // with the id of this one, which may be final by now
		}
		jobs[i] = final
	}
	return jobs, false, nil
}

// awaitFinal waits until a job is final.
func (w *worker) awaitFinal(ctx context.Context, jobID int64) (commentator.Job, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		j, err := w.store.Job(ctx, jobID)
		if err == nil && j.State == commentator.JobFinal {
			return j, nil
		}
		if ctx.Err() != nil {
			return j, fmt.Errorf("interrupted; job %d goes on with the next serve or replay, which keeps its comment (`commentator jobs show %d`)", jobID, jobID)
		}
		if err != nil {
			return j, err
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// finalOnes returns those of the jobs that are final, as they are now.
func (w *worker) finalOnes(ctx context.Context, jobs []commentator.Job) (final []commentator.Job) {
	for _, j := range jobs {
		if now, err := w.store.Job(ctx, j.ID); err == nil && now.State == commentator.JobFinal {
			final = append(final, now)
		}
	}
	return final
}

// replayed is the JSON of a replayed job.
type replayed struct {
	pipeline.Report
	Known bool `json:"known"` // the event was replayed before; nothing was done
}

// show prints what became of the jobs.
func (c *replayCommand) show(ctx context.Context, w *worker, jobs []commentator.Job, known bool) error {
	failed := false
	if known {
		fmt.Fprintln(w.app.stderr, "This event is known already, nothing was done; --again repeats it.")
	}
	for _, j := range jobs {
		r, err := readReport(ctx, w.store, j)
		if err != nil {
			return err
		}
		repeated := slices.ContainsFunc(jobs, func(o commentator.Job) bool { return o.RetryOf == j.ID })
		if !c.Enqueue && !repeated && r.Outcome != commentator.OutcomeSuccess && r.Outcome != commentator.OutcomeNoURLs {
			failed = true
		}
		fmt.Fprintln(w.app.stderr, w.app.redactor.Text(sentence(r)))
		if c.JSON {
			if err := plainjson.Lines(w.app.stdout).Encode(replayed{r, known}); err != nil {
				return err
			}
		} else if !known && r.Comment != "" {
			fmt.Fprintln(w.app.stdout, mrkdwn.Plain(r.Comment))
		}
	}
	if failed {
		return errSaid
	}
	return nil
}

// sentence tells a person what became of a job.
func sentence(r pipeline.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "job %d: ", r.JobID)
	if r.State != commentator.JobFinal {
		fmt.Fprintf(&b, "%s", r.State)
	} else {
		fmt.Fprintf(&b, "%s in %.2f s", r.Outcome, r.Seconds)
	}
	if r.URL != "" {
		fmt.Fprintf(&b, ", %s", r.URL)
	}
	if r.Error != "" {
		fmt.Fprintf(&b, "\n  %s: %s", r.ErrorType, r.Error)
	}
	for _, f := range r.GateFailures {
		fmt.Fprintf(&b, "\n  %s", f)
	}
	return b.String()
}
