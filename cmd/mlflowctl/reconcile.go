package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/lookback"
	"github.com/technoshare/commentator/internal/pause"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/reconcile"
	"github.com/technoshare/commentator/internal/store"
)

type reconcileCmd struct {
	Since   lookback.Age  `default:"24h" help:"Compare jobs that are open or ended within this time: 24h, 7d." placeholder:"SPAN"`
	Repair  bool          `help:"Send the kept messages of what is lost or wrong again, wait, and compare again."`
	Deleted bool          `help:"With --repair: bring back runs, too, that somebody deleted in MLflow."`
	Wait    time.Duration `default:"1m" help:"How long MLflow may take to hold what the Collector was sent."`
	To      string        `help:"OTLP/gRPC address of the Collector's receiver for repairs; default OTELCOL_REPLAY_ENDPOINT, else 127.0.0.1:4319." placeholder:"HOST:PORT"`
	JSON    bool          `name:"json" help:"Print one JSON object."`
}

// settleBeforeRepair is how long a repair waits for what is on its way.
const settleBeforeRepair = 10 * time.Second

// Help is shown below the flags.
func (reconcileCmd) Help() string {
	return `The job database (DB_PATH or DATABASE_URL) is only read, also while workers run. Compared are the runs of jobs and stages with params, metrics, tags and artifacts, and the traces with their spans. Not missed are jobs before the mark that "mlflowctl retention" leaves, and runs that somebody deleted are named as deleted, those that somebody renamed as renamed. Params, metrics, tags and files that people added, under names that the bridge never writes, are no difference.

Exit code: 0 when MLflow holds every job once and as it was recorded, 1 when it does not, or, with --repair, still does not; 2 for wrong input.`
}

// reconciled is the JSON of the command; its names are a contract.
type reconciled struct {
	Database string    `json:"database"`
	StoreID  string    `json:"store_id"`
	MLflow   string    `json:"mlflow"`
	Since    time.Time `json:"since"`
	// RemovedBefore: jobs that ended before it may be gone from the job database.
	RemovedBefore *time.Time `json:"removed_before,omitempty"`
	reconcile.Result
	Before *reconcile.Result `json:"before_repair,omitempty"`
	Repair *reconcile.Repair `json:"repair,omitempty"`
	Whole  bool              `json:"whole"`
}

// Run compares, and repairs when it is asked to.
func (c *reconcileCmd) Run(env environment) (err error) {
	if c.Deleted && !c.Repair {
		return verdict{exitUsage, "--deleted says what --repair brings back; give both"}
	}
	if err := checkWait(c.Wait); err != nil {
		return err
	}
	records, err := env.openRecords()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	comparison, err := env.comparison(records)
	if err != nil {
		return err
	}
	comparison.Settle, comparison.Wait = c.Wait, c.Wait
	if c.Repair { // what is sent once too often does no harm
		comparison.Settle = min(c.Wait, settleBeforeRepair)
	}
	out := reconciled{Database: records.Name(), StoreID: records.StoreID(), MLflow: env.ui, Since: time.Now().Add(-c.Since.Duration()).UTC()}
	history, err := records.History(env.ctx)
	if err != nil {
		return err
	}
	if !history.Before.IsZero() {
		out.RemovedBefore = &history.Before
	}
	if out.Result, err = comparison.Since(env.ctx, out.Since); err != nil {
		return err
	}
	if c.Repair {
		if err := c.repair(env, comparison, &out); err != nil {
			return err
		}
	}
	out.Whole = out.Result.Whole(c.Deleted)
	if err := c.print(env.stdout, out); err != nil {
		return err
	}
	if !out.Whole {
		return verdict{code: exitFailed}
	}
	return nil
}

func checkWait(wait time.Duration) error {
	if wait < 0 {
		return verdict{exitUsage, fmt.Sprintf("--wait takes 0 or more, not %s", wait)}
	}
	return nil
}

func (c *reconcileCmd) repair(env environment, comparison *reconcile.Comparison, out *reconciled) error {
	send, end, err := reconcile.Dial(cmp.Or(c.To, env.collector().Replay), env.config.OTLPHeaders)
	if err != nil {
		return verdict{exitUsage, "--to: " + err.Error()}
	}
	before := out.Result
	done, after, err := comparison.Repair(env.ctx, c.Deleted, send)
	out.Before, out.Repair, out.Result = &before, &done, after
	return errors.Join(err, end())
}

// openRecords opens the job database of the settings.
func (env environment) openRecords() (reconcile.Records, error) {
	records, err := reconcile.OpenRecords(env.ctx, env.config.Database())
	if errors.Is(err, store.ErrNoDatabase) {
		return records, verdict{exitUsage, fmt.Sprintf("there is no job database %s; DB_PATH or DATABASE_URL says where it is", env.config.DatabaseName())}
	}
	return records, err
}

// comparison compares a job database with the server of the settings.
func (env environment) comparison(records reconcile.Records) (*reconcile.Comparison, error) {
	server, err := reconcile.NewServer(env.ctx, env.client)
	if err != nil {
		return nil, err
	}
	return &reconcile.Comparison{
		Records: records, Server: server, Experiment: env.experiment, Fallback: env.collector().Experiment, Now: time.Now, Sleep: pause.For,
	}, nil
}

// shownFindings is how many findings of a kind are printed; --json has all.
const shownFindings = 50

func (c *reconcileCmd) print(w io.Writer, r reconciled) error {
	if c.JSON {
		return plainjson.Indented(w).Encode(r)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { fmt.Fprintf(table, format+"\n", args...) }
	line("%s\tagainst %s, jobs since %s", r.Database, r.MLflow, r.Since.Local().Format(time.DateTime))
	line("compared\t%s: %s, %s, %s, %s", counted.Of(r.Jobs, "job"), counted.Of(r.Runs, "run"), counted.Of(r.Files, "artifact"), counted.Of(r.Traces, "trace"), counted.Of(r.Spans, "span"))
	if r.Open+r.Off+r.Retired > 0 {
		line("not compared\t%s not ended, of %d nothing was to be recorded, %s before the mark of retention", counted.Form(r.Open, "job has", "jobs have"), r.Off, counted.Form(r.Retired, "is", "are"))
	}
	if r.Copied > 0 {
		line("\t%s open when this database was copied from another one, which recorded a part of them", counted.Form(r.Copied, "was", "were"))
	}
	if n := len(r.Unrecorded); n > 0 {
		line("in part\tof %d runs the outbox keeps no message any more: only whether they are there, and how they ended", n)
	}
	if r.RemovedBefore != nil && r.RemovedBefore.After(r.Since) {
		line("removed\tjobs that ended before %s may be gone from the job database (HISTORY_KEEP)", r.RemovedBefore.Local().Format(time.DateTime))
	}
	if r.Repair != nil {
		b := r.Before
		line("found\t%d lost, %d doubled, %d wrong, %d deleted", len(b.Lost), len(b.Doubled), len(b.Wrong), len(b.Deleted))
		line("repaired\t%s of %s sent again", counted.Of(r.Repair.Messages, "message"), counted.Of(len(r.Repair.Jobs), "job"))
		for _, l := range r.Repair.Left {
			line("\tnot job %d: %s", l.Job, l.Why)
		}
	}
	if n := len(r.Waiting); n > 0 {
		line("waiting\t%s messages in the outbox that no Collector has taken, the first is job %d; `commentator status` says why", counted.Form(n, "job has", "jobs have"), r.Waiting[0])
	}
	if r.SetAside > 0 {
		line("set aside\t%s that the Collector refused; `commentator outbox list` says why", counted.Of(r.SetAside, "message"))
	}
	for _, kind := range []struct {
		name string
		list []reconcile.Finding
	}{{"lost", r.Lost}, {"doubled", r.Doubled}, {"wrong", r.Wrong}, {"deleted", r.Deleted}, {"renamed", r.Renamed}} {
		for i, f := range kind.list {
			if i == shownFindings {
				line("%s\t… %d more; --json lists all", kind.name, len(kind.list)-i)
				break
			}
			line("%s\tjob %d, %s: %s (%s)", kind.name, f.Job, f.Item, f.Detail, cmp.Or(f.Run, f.Key))
		}
	}
	jobs := map[string]int{}
	for _, f := range r.Elsewhere {
		jobs[f.Detail]++
	}
	for _, f := range r.Elsewhere {
		if n := jobs[f.Detail]; n > 0 {
			line("elsewhere\t%s %s; the first is job %d (%s)", counted.Form(n, "job is", "jobs are"), f.Detail, f.Job, cmp.Or(f.Run, f.Key))
		}
		delete(jobs, f.Detail)
	}
	if len(r.Elsewhere) > 0 {
		line("\tno message that is sent again moves anything; did somebody rename the experiment in MLflow? Then give it its name back, or name it in MLFLOW_EXPERIMENT_NAME and restart worker and Collector")
	}
	line("%s", summary(r, c.Deleted))
	return table.Flush()
}

// summary is the last line; deleted is whether deleted runs were to come back.
func summary(r reconciled, deleted bool) string {
	switch {
	case !r.Whole && len(r.Lost)+len(r.Doubled)+len(r.Wrong)+len(r.Waiting) == 0 && len(r.Elsewhere) > 0 && (!deleted || len(r.Deleted) == 0):
		return "MLflow does not hold everything in the experiment that it was recorded for."
	case !r.Whole && r.Repair == nil && len(r.Lost)+len(r.Wrong) > 0:
		return "MLflow does not hold what was recorded; --repair sends it again."
	case !r.Whole:
		return "MLflow does not hold what was recorded."
	case len(r.Deleted) > 0:
		return "MLflow holds what was recorded, but for what somebody deleted; --repair --deleted brings that back."
	}
	return "MLflow holds what was recorded."
}
