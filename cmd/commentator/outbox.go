package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/technoshare/commentator/internal/bytesize"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
)

type outboxCommand struct {
	List   outboxListCommand   `cmd:"" help:"List telemetry messages that the Collector refused and that were set aside, the newest refusal first."`
	Resend outboxResendCommand `cmd:"" help:"Send messages again that were set aside."`
}

type outboxListCommand struct {
	Limit int  `default:"100" help:"At most so many; 0 is all."`
	JSON  bool `name:"json" help:"Print one JSON object per message."`
}

// setAside is the JSON of a message; its names are a contract.
type setAside struct {
	ID        int64     `json:"id"`
	JobID     int64     `json:"job_id"`
	Kind      string    `json:"kind"`
	Bytes     int       `json:"bytes"`
	CreatedAt time.Time `json:"created_at"`
	RefusedAt time.Time `json:"refused_at"`
	Reason    string    `json:"reason"`
}

// Run lists what is set aside.
func (c *outboxListCommand) Run(ctx context.Context, a *app) (err error) {
	if c.Limit < 0 {
		return usageError{errors.New("--limit must be 0 or more")}
	}
	s, err := a.look(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	all, err := s.SetAside(ctx, c.Limit)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(table, "ID\tJOB\tKIND\tSIZE\tSET ASIDE\tREASON")
	}
	for _, m := range all {
		// The Collector's answer may quote what it was sent.
		reason := a.redactor.Text(m.Reason)
		if c.JSON {
			err = plainjson.Lines(a.stdout).Encode(setAside{m.ID, m.JobID, m.Kind, m.Size, m.CreatedAt, m.RefusedAt, reason})
		} else {
			_, err = fmt.Fprintf(table, "%d\t%d\t%s\t%s\t%s\t%s\n", m.ID, m.JobID, m.Kind, bytesize.Format(int64(m.Size)), m.RefusedAt.Local().Format(time.DateTime), reason)
		}
		if err != nil {
			return err
		}
	}
	return table.Flush()
}

type outboxResendCommand struct {
	IDs []int64 `arg:"" optional:"" name:"id" help:"Ids of messages, as the list shows them."`
	All bool    `help:"All that are set aside."`
}

// Help is shown below the flags.
func (outboxResendCommand) Help() string {
	return `A running worker sends them within seconds, unless telemetry is off; else the next serve or replay does. Correct first what made the Collector refuse them, or they are set aside once more.`
}

// Run sends again.
func (c *outboxResendCommand) Run(ctx context.Context, a *app) (err error) {
	if c.All == (len(c.IDs) > 0) {
		return usageError{errors.New("outbox resend needs the ids of messages or --all, one of them; `commentator outbox list` shows the ids")}
	}
	s, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var n int
	if c.All {
		n, err = s.ResendAll(ctx)
	} else if n, err = s.Resend(ctx, c.IDs); errors.Is(err, store.ErrNotFound) {
		return usageError{fmt.Errorf("%w; nothing was changed, `commentator outbox list` shows the ids", err)}
	}
	if err != nil {
		return err
	}
	worker, err := working(ctx, s)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s sent again %s.\n", counted.Form(n, "message is", "messages are"), a.sentWhen(worker))
	return nil
}

// sentWhen completes "messages are sent again …". A worker whose telemetry is off looks for
// messages of earlier jobs at its start only, and with OTEL_SDK_DISABLED not even then.
func (a *app) sentWhen(worker bool) string {
	mode, _ := a.cfg.Mode()
	switch {
	case a.cfg.SDKDisabled:
		return "once OTEL_SDK_DISABLED is no longer true, with the next serve or replay"
	case worker && mode == telemetry.ModeOff:
		return "when the worker that runs is started again; its telemetry is off"
	case worker:
		return "by the worker that runs"
	}
	return "with the next serve or replay"
}
