package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/migrate"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/store"
)

type migrateCommand struct {
	From     string `help:"Take over the messages and jobs of the old deployment's database FILE, which stays as it is." placeholder:"FILE"`
	ExportTo string `help:"Write the messages and jobs of DB_PATH as a database of the old deployment into the new FILE, for going back." placeholder:"FILE"`
	DryRun   bool   `help:"Write nothing; print the report."`
	JSON     bool   `name:"json" help:"Print the report as one JSON object."`
}

// Help is shown below the flags.
func (migrateCommand) Help() string {
	return `DB_PATH names the database to write to, which must be new. Ids are kept. Jobs that were pending or processing go on with the next serve; jobs that were done or failed are final and never repeated. A repeated migrate of the same file adds what the old program did since. Stop the old program before the new one starts, then migrate once more.

Exit code: 0 when every row was taken over, also with remarks; 1 when a row was left out or something failed; 2 for wrong input.`
}

// Run migrates or exports.
func (c *migrateCommand) Run(ctx context.Context, a *app) error {
	var r migrate.Report
	var err error
	switch {
	case (c.From == "") == (c.ExportTo == ""):
		return usageError{errors.New("migrate needs --from FILE or --export-to FILE, one of them")}
	case c.From != "":
		r, err = c.migrate(ctx, a)
	default:
		r, err = c.export(ctx, a)
	}
	if commentator.IsFinal(err) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	return c.print(a, r)
}

func (c *migrateCommand) migrate(ctx context.Context, a *app) (r migrate.Report, err error) {
	if a.cfg.DatabaseURL == "" {
		if err := migrate.SameFile(c.From, a.cfg.DBPath); err != nil {
			return r, err
		}
	}
	old, err := migrate.Read(ctx, c.From)
	if err != nil {
		return r, err
	}
	var opts []store.Option
	if c.DryRun {
		opts = append(opts, store.Existing())
	}
	s, err := a.store(ctx, opts...)
	switch {
	case errors.Is(err, store.ErrNoDatabase):
		s = nil // all of it would be new
	case err != nil:
		return r, err
	default:
		defer func() { err = errors.Join(err, s.Close()) }()
	}
	cfg := migrate.Config{From: c.From, Old: old, Now: time.Now(), LinkKey: slack.LinkKey}
	if c.DryRun {
		r, err = migrate.Preview(ctx, cfg, s)
	} else {
		var q *queue.Queue
		q, err = queue.New(ctx, queue.Config{DB: s.DB(), Reader: s.Reader(), LockPath: s.LockPath(), Address: s.Address(), Logger: a.log})
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, q.Stop(ctx)) }()
		cfg.Enqueue = q.Enqueue
		r, err = migrate.Run(ctx, cfg, s)
	}
	if err != nil {
		return r, err
	}
	// Which messages and links the old program answered.
	r.Settings = []string{"LINK_POLICY=first", "TRACK_NO_URLS=true", "COMMENT_THREAD_REPLIES=true"}
	if a.cfg.DatabaseURL == "" {
		r.Settings = append([]string{"DB_PATH=" + a.cfg.DBPath}, r.Settings...)
	}
	return r, c.lookForWorker(ctx, s, &r)
}

func (c *migrateCommand) export(ctx context.Context, a *app) (r migrate.Report, err error) {
	s, err := a.openStore(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if r, err = migrate.Export(ctx, s, c.ExportTo, c.DryRun); err != nil {
		return r, err
	}
	r.Settings = []string{"DB_PATH=" + c.ExportTo}
	return r, c.lookForWorker(ctx, s, &r)
}

func (c *migrateCommand) lookForWorker(ctx context.Context, s *store.Store, r *migrate.Report) (err error) {
	if s != nil {
		r.Worker, err = working(ctx, s)
	}
	return err
}

func (c *migrateCommand) print(a *app, r migrate.Report) error {
	// What people wrote may be quoted in a remark.
	for i := range r.Remarks {
		r.Remarks[i].What = a.redactor.Text(r.Remarks[i].What)
	}
	if c.JSON {
		if err := plainjson.Lines(a.stdout).Encode(r); err != nil {
			return err
		}
	} else if err := r.Print(a.stdout); err != nil {
		return err
	}
	if n := r.LeftOut(); n > 0 && c.From != "" {
		return fmt.Errorf("%s left out; the report says which and why", counted.Form(n, "row was", "rows were"))
	}
	return nil
}
