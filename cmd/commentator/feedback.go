package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/lookback"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/redact"
	"github.com/technoshare/commentator/internal/store"
)

type feedbackCommand struct {
	List feedbackListCommand `cmd:"" help:"List the verdicts that stand, by job and person."`
}

type feedbackListCommand struct {
	Since lookback.Age `help:"Only verdicts that were given within this time, such as 7d or 12h." placeholder:"SPAN"`
	JSON  bool         `name:"json" help:"Print one JSON object per verdict."`
}

// verdict is a line of the list; its JSON form is a contract.
type verdict struct {
	JobID    int64     `json:"job_id"`
	Verdict  string    `json:"verdict"`  // up or down
	Person   string    `json:"person"`   // pseudonym, the same as in MLflow
	Reaction string    `json:"reaction"` // Slack's name
	At       time.Time `json:"at"`
	Link     string    `json:"link"`  // the page
	Reply    string    `json:"reply"` // address of the reply in Slack; empty without SLACK_WORKSPACE_URL
}

// Run lists verdicts.
func (c *feedbackListCommand) Run(ctx context.Context, a *app) (err error) {
	s, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var since time.Time
	if c.Since > 0 {
		since = time.Now().Add(-c.Since.Duration())
	}
	opinions, err := s.Opinions(ctx, since)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(table, "JOB\tVERDICT\tPERSON\tGIVEN\tLINK")
	}
	for _, o := range opinions {
		v := a.verdict(s, o)
		if c.JSON {
			err = plainjson.Lines(a.stdout).Encode(v)
		} else {
			_, err = fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\n", v.JobID, v.Verdict, v.Person, v.At.Local().Format(time.DateTime), v.Link)
		}
		if err != nil {
			return err
		}
	}
	return table.Flush()
}

func (a *app) verdict(s *store.Store, o store.Opinion) verdict {
	v := verdict{
		JobID: o.JobID, Verdict: "down", Person: redact.Pseudonym(s.PseudonymKey(), o.User),
		Reaction: o.Reaction, At: o.At, Link: o.Job.URL,
	}
	if o.Value == commentator.VerdictUp {
		v.Verdict = "up"
	}
	if a.cfg.SlackURL != "" && o.ReplyTS != "" {
		v.Reply = strings.TrimSuffix(a.cfg.SlackURL, "/") + "/archives/" + o.Channel + "/p" + strings.ReplaceAll(o.ReplyTS, ".", "")
	}
	return v
}
