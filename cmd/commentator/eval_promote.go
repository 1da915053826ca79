package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/lookback"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/redact"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/store"
)

type evalPromoteCommand struct {
	Job      []int64      `help:"Jobs to make examples of." sep:","`
	Feedback string       `enum:",up,down" default:"" help:"Make examples of the jobs with such a verdict: ${enum}."`
	Since    lookback.Age `help:"Only verdicts that were given within this time, such as 7d or 12h." placeholder:"SPAN"`

	Dataset string   `help:"The dataset; it is made when it is not there. Default: eval_dataset.json in DATA_DIR." placeholder:"FILE"`
	Theme   string   `help:"Theme that the comments should have named."`
	Tag     []string `help:"Further tags of the examples." sep:","`
	DryRun  bool     `help:"Only say what would be done."`
	JSON    bool     `name:"json" help:"Print one JSON object per job."`
}

// Help is shown below the flags.
func (evalPromoteCommand) Help() string {
	return `An example is the link, the message, masked as what is recorded, and the evidence that the job's retrieval stored. A link that the dataset has already is not added again: tags and notes of the example are completed, its evidence stays.

Exit code: 0 when each job is in the dataset, 1 when one could not be taken, such as one without evidence, 3 when nothing could be carried out.`
}

// promoted is what became of a job; its JSON form is a contract.
type promoted struct {
	Job     int64  `json:"job"`
	Example string `json:"example,omitempty"`
	Result  string `json:"result"` // added, merged, unchanged or refused
	Why     string `json:"why,omitempty"`
}

// Run makes examples of jobs.
func (c *evalPromoteCommand) Run(ctx context.Context, a *app) (err error) {
	defer func() { err = impossible(a.damage(err)) }()
	switch {
	case (len(c.Job) == 0) == (c.Feedback == ""):
		return errors.New("name jobs by --job, or by --feedback up or down")
	case c.Since > 0 && c.Feedback == "":
		return errors.New("--since goes with --feedback")
	}
	loaded, err := data.Load(ctx, a.cfg.DataDir)
	if err != nil {
		return err
	}
	if c.Theme != "" && !slices.Contains(loaded.ThemeNames(), c.Theme) {
		return fmt.Errorf("--theme %q is none of %q", c.Theme, loaded.ThemeNames())
	}
	path := c.Dataset
	if path == "" {
		path = filepath.Join(a.cfg.DataDir, evalDatasetFile)
	}
	d, err := evaluation.EditDataset(path, loaded.ThemeNames())
	if err != nil {
		return err
	}
	if d.Name == "" {
		d.Name = "technoshare_eval"
	}
	s, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = closed(err, s.Close()) }()
	jobs, err := c.jobs(ctx, s)
	if err != nil {
		return err
	}
	return c.promote(ctx, a, s, d, jobs)
}

// jobs are the ids of the jobs that are asked for, each once, with the tags that it gets.
func (c *evalPromoteCommand) jobs(ctx context.Context, s *store.Store) ([]int64, error) {
	if c.Feedback == "" {
		return unique(c.Job), nil
	}
	var since time.Time
	if c.Since > 0 {
		since = time.Now().Add(-c.Since.Duration())
	}
	opinions, err := s.Opinions(ctx, since)
	if err != nil {
		return nil, err
	}
	wanted := commentator.VerdictDown
	if c.Feedback == "up" {
		wanted = commentator.VerdictUp
	}
	var ids []int64
	for _, o := range opinions {
		if o.Value == wanted {
			ids = append(ids, o.JobID)
		}
	}
	return unique(ids), nil
}

// unique has each id once, where it came first.
func unique(ids []int64) (out []int64) {
	for _, id := range ids {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

func (c *evalPromoteCommand) promote(ctx context.Context, a *app, s *store.Store, d *evaluation.Dataset, jobs []int64) error {
	refused, err := c.all(ctx, a, s, d, jobs)
	if !c.DryRun && d.Changed() { // what was said to be added is, whatever came after
		err = errors.Join(err, d.Save())
	}
	if err != nil {
		return err
	}
	if !c.JSON {
		dry := ""
		if c.DryRun {
			dry = "; nothing was written, since this is a dry run"
		}
		fmt.Fprintf(a.stdout, "%s, version hash %s%s\n", counted.Of(len(d.Examples), "example"), d.Hash(), dry)
	}
	if refused {
		return evalEnd{code: exitEvalFailed}
	}
	return nil
}

// all brings the jobs into the dataset, in memory, and says what became of each.
func (c *evalPromoteCommand) all(ctx context.Context, a *app, s *store.Store, d *evaluation.Dataset, jobs []int64) (refused bool, err error) {
	for _, id := range jobs {
		p, err := c.one(ctx, a, s, d, id)
		if err != nil {
			return refused, err
		}
		refused = refused || p.Result == "refused"
		switch {
		case c.JSON:
			err = plainjson.Lines(a.stdout).Encode(p)
		case p.Result == "refused":
			_, err = fmt.Fprintf(a.stdout, "job %d: refused: %s\n", p.Job, a.redactor.Text(p.Why))
		default:
			_, err = fmt.Fprintf(a.stdout, "job %d: %s %s\n", p.Job, p.Result, p.Example)
		}
		if err != nil {
			return refused, err
		}
	}
	return refused, nil
}

// one brings one job into the dataset.
func (c *evalPromoteCommand) one(ctx context.Context, a *app, s *store.Store, d *evaluation.Dataset, id int64) (promoted, error) {
	refused := func(why string) (promoted, error) { return promoted{Job: id, Result: "refused", Why: why}, nil }
	j, err := s.Job(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return refused("there is no such job in " + a.cfg.DatabaseName())
	case err != nil:
		return promoted{}, err
	case j.URL == "":
		return refused("its message holds no link")
	}
	m, err := s.Message(ctx, j.MessageID)
	if err != nil {
		return promoted{}, err
	}
	stages, err := s.Stages(ctx, id)
	if err != nil {
		return promoted{}, err
	}
	recorded, ok, err := evaluation.EvidenceOf(stages)
	switch {
	case err != nil:
		return refused("its evidence cannot be read: " + err.Error())
	case !ok:
		return refused("its retrieval recorded no evidence")
	}
	// The dataset is for git and MLflow. Telemetry masks the same.
	if recorded, err = masked(a.redactor, recorded); err != nil {
		return refused("its evidence cannot be masked: " + err.Error())
	}
	e := evaluation.Example{
		URL: a.redactor.Text(j.URL), SlackText: a.redactor.Text(m.Text), ExpectedTheme: c.Theme, Tags: slices.Clone(c.Tag), Recorded: recorded,
		Notes: fmt.Sprintf("Job %d, %s.", id, j.Outcome),
	}
	if c.Feedback != "" {
		e.Tags = append(e.Tags, "feedback-"+c.Feedback)
	}
	example, result := d.Promote(e, slack.LinkKey)
	return promoted{Job: id, Example: example, Result: string(result)}, nil
}

// masked is the evidence as telemetry records it.
func masked(r *redact.Redactor, e commentator.Evidence) (out commentator.Evidence, err error) {
	text, err := json.Marshal(e)
	if err != nil {
		return e, err
	}
	return out, json.Unmarshal([]byte(r.Text(string(text))), &out)
}
