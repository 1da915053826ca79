package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/technoshare/commentator/internal/bytesize"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/redact"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
)

type statusCommand struct {
	JSON bool `name:"json" help:"Print one JSON object."`
}

// state is what the command prints; its JSON form is a contract.
type state struct {
	Database string `json:"database"`
	StoreID  string `json:"store_id"`
	Worker   bool   `json:"worker"` // whether a process works on it
	Mode     string `json:"mode"`   // by the settings that this command sees
	Because  string `json:"because"`

	Sampling samplingState `json:"sampling"` // comes before the mode
	// Strategies are those of a remote source. Absent: the settings name none, or nobody asked it.
	Strategies *telemetry.RemoteState `json:"sampling_strategies,omitempty"`

	Jobs struct {
		Pending   int     `json:"pending"`
		Running   int     `json:"running"`
		Final     int     `json:"final"`
		OldestAge float64 `json:"oldest_open_age_seconds"`
		// Last is the one that started last: what its worker goes by. Absent: none is kept.
		Last *startedJob `json:"last_started,omitempty"`
	} `json:"jobs"`
	Outbox struct {
		Depth       int              `json:"depth"`
		Bytes       int64            `json:"bytes"`
		OldestAge   float64          `json:"oldest_age_seconds"`
		Sent        int              `json:"sent_kept"`
		SentBytes   int64            `json:"sent_kept_bytes"`
		LastSent    *time.Time       `json:"last_sent,omitempty"`
		SetAside    int              `json:"set_aside"`
		LastRefusal string           `json:"last_refusal,omitempty"`
		Lost        map[string]int64 `json:"lost"` // by reason, since the database was made
		Limit       int64            `json:"limit_bytes"`
	} `json:"outbox"`
	Collector struct {
		Endpoint string     `json:"endpoint"`
		Since    *time.Time `json:"since,omitempty"`
		Problem  string     `json:"problem,omitempty"`
	} `json:"collector"`
}

// startedJob is a job and what was decided about it.
type startedJob struct {
	ID       int64     `json:"id"`
	Started  time.Time `json:"started"`
	Recorded string    `json:"recorded"` // how much of it, and why, as `tracing why` prints it
}

// Run shows the state of the job database; it changes nothing and needs no worker.
func (c *statusCommand) Run(ctx context.Context, a *app) (err error) {
	s, err := a.look(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	held, err := s.Status(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	out := a.status(s, held, now)
	out.Sampling = a.sampling(ctx, now)
	if out.Jobs.Last, err = lastStarted(ctx, s); err != nil {
		return err
	}
	if out.Worker, err = working(ctx, s); err != nil {
		return err
	}
	if c.JSON {
		return plainjson.Indented(a.stdout).Encode(out)
	}
	return printStatus(a.stdout, out, now)
}

func (a *app) status(s *store.ReadOnly, held store.Status, now time.Time) state {
	out := state{Database: s.Name(), StoreID: s.StoreID()}
	mode, why := a.cfg.Mode()
	out.Mode, out.Because = string(mode), why
	out.Strategies = a.remote(held.Remote)
	out.Jobs.Pending, out.Jobs.Running, out.Jobs.Final = held.Pending, held.Running, held.Final
	out.Jobs.OldestAge = age(held.OldestOpen, now)
	o := &out.Outbox
	o.Depth, o.Bytes, o.OldestAge = held.Unsent.Messages, held.Unsent.Bytes, age(held.Unsent.Oldest, now)
	o.Sent, o.SentBytes, o.LastSent = held.Sent.Messages, held.Sent.Bytes, orNil(held.LastSent)
	o.SetAside, o.LastRefusal, o.Lost, o.Limit = held.Refused.Messages, a.redactor.Text(held.LastRefusal), held.Losses, a.cfg.OutboxMaxBytes
	if o.Lost == nil {
		o.Lost = map[string]int64{}
	}
	// An older version kept what a Collector answered, and the endpoint, as they were.
	out.Collector.Endpoint = redact.New(nil).Text(cmp.Or(held.Link.Endpoint, a.cfg.OTLPEndpoint))
	out.Collector.Since, out.Collector.Problem = orNil(held.Link.Since), a.redactor.Text(held.Link.Problem)
	return out
}

func lastStarted(ctx context.Context, s *store.ReadOnly) (*startedJob, error) {
	id, at, err := s.LastStarted(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d, err := s.Decision(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil // it was removed meanwhile
	}
	return &startedJob{ID: id, Started: at, Recorded: explain(d)}, err
}

func age(since, now time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(0, now.Sub(since).Round(time.Second).Seconds())
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func printStatus(w io.Writer, s state, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(table, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	worker := "no worker runs"
	if s.Worker {
		worker = "a worker runs"
	}
	row("database", "%s, %s", s.Database, worker)
	if s.Worker { // it notes its settings nowhere
		row("settings", "those of this shell and its .env; the worker goes by those that it was started with")
	}
	row("telemetry", "%s, because %s", s.Mode, s.Because)
	for i, line := range s.Sampling.lines(telemetry.Mode(s.Mode)) {
		row([]string{"sampling", ""}[min(i, 1)], "%s", line)
	}
	if s.Strategies != nil {
		row("strategies", "%s", remoteLine(*s.Strategies))
	}
	row("jobs", "%d pending, %d %s, %d final%s", s.Jobs.Pending, s.Jobs.Running, toldState(commentator.JobRunning, s.Worker || s.Jobs.Running == 0), s.Jobs.Final, since(", the oldest open one is %s old", s.Jobs.OldestAge))
	if last := s.Jobs.Last; last != nil {
		row("", "job %d was the last to start, %s ago: %s", last.ID, seconds(age(last.Started, now)), last.Recorded)
	}
	o := s.Outbox
	row("outbox", "%s, %s of %s%s", counted.Form(o.Depth, "message waits", "messages wait"), bytesize.Format(o.Bytes), bytesize.Format(o.Limit), since(", the oldest for %s", o.OldestAge))
	sent := fmt.Sprintf("%s kept, %s", counted.Form(o.Sent, "sent one is", "sent ones are"), bytesize.Format(o.SentBytes))
	if o.LastSent != nil {
		sent += fmt.Sprintf(", the last one went %s ago", seconds(age(*o.LastSent, now)))
	}
	row("", "%s", sent)
	if o.SetAside > 0 {
		row("", "%d are set aside, since the Collector refuses them: %s; `commentator outbox resend --all` sends them again", o.SetAside, o.LastRefusal)
	}
	lost := "nothing"
	if len(o.Lost) > 0 {
		var reasons []string
		for _, reason := range slices.Sorted(maps.Keys(o.Lost)) {
			reasons = append(reasons, fmt.Sprintf("%s %d", reason, o.Lost[reason]))
		}
		lost = strings.Join(reasons, ", ")
	}
	row("lost", "%s", lost)
	switch c := s.Collector; {
	case c.Since == nil && o.LastSent != nil:
		row("collector", "%s answers, and took nothing of what was sent to it last", c.Endpoint)
	case c.Since == nil && o.SetAside > 0:
		row("collector", "%s took nothing of what was sent to it", c.Endpoint)
	case c.Since == nil:
		row("collector", "%s, nothing was sent to it yet", c.Endpoint)
	case c.Problem != "":
		row("collector", "%s takes nothing since %s: %s", c.Endpoint, c.Since.Local().Format(time.DateTime), c.Problem)
	default:
		row("collector", "%s takes messages since %s", c.Endpoint, c.Since.Local().Format(time.DateTime))
	}
	return table.Flush()
}

func since(format string, age float64) string {
	if age == 0 {
		return ""
	}
	return fmt.Sprintf(format, seconds(age))
}

func seconds(s float64) time.Duration { return time.Duration(s) * time.Second }
