package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/bytesize"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/store"
)

const databaseProbe = "database"

var workerProbes = []Probe{
	{
		ID: databaseProbe, Title: "The job database",
		About: "DB_PATH or DATABASE_URL is opened for reading: a directory that is not there, not ours, of a newer release, out of reach, damaged or with rows that refer to nothing, each by SQLite's own check (fail); no worker runs on it although jobs wait (warn).",
		run:   probeDatabase,
	},
	{
		ID: "outbox", Title: "Messages that wait for the Collector",
		About: "The outbox in the job database: the oldest waits for 5 min, it is half full, or messages were set aside (warn); for 6 h, or it is 90 % full (fail).",
		Needs: []string{databaseProbe}, run: probeOutbox,
	},
	{
		ID: "disk", Title: "Space on the disks",
		About: "Where the job database, the Collector's queue, the log and a local MLflow keep their files: less than 1 GiB beside what the outbox may still take, few inodes, or a folder that cannot be looked at (warn); less than 256 MiB, or not writable (fail).",
		run:   probeDisk,
	},
}

func probeDatabase(ctx context.Context, p *Patient) Finding {
	db, err := p.database(ctx)
	if errors.Is(err, store.ErrNoDatabase) {
		if dir := filepath.Dir(p.path(p.Config.DBPath)); p.Config.DatabaseURL == "" && !exists(dir) {
			return Finding{
				Status: Fail, Found: fmt.Sprintf("there is no directory %s for the job database", dir),
				Means: "The worker does not start: it makes the file, not the directory.", Fix: "Create the directory, or set DB_PATH to another place.",
			}
		}
		return skip("there is no job database %s yet; `commentator serve` and `replay` make it", p.Config.DatabaseName())
	}
	var status store.Status
	var damage []string
	if err == nil {
		status, err = p.jobs(ctx)
	}
	if err == nil {
		damage, err = db.Integrity(ctx)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Finding{
			Status: Warn, Found: fmt.Sprintf("the check of %s did not end within %s", db.Name(), p.Limits.Patience),
			Means: "Whether it is whole is not known.", Fix: "Run PRAGMA integrity_check on a copy of it.",
		}
	case err != nil:
		f := Finding{Status: Fail, Found: err.Error(), Means: "The worker does not start.", Fix: "The text says what to do."}
		if errors.Is(err, store.ErrNotDatabase) {
			f.Means = "The worker does not start, or fails with the first job that touches the damaged part."
			f.Fix = "Stop the worker, keep the file with its -wal and -shm, and put a backup in its place; sqlite3 FILE .recover reads what is left."
		}
		return f
	case len(damage) > 0 && db.File():
		return Finding{
			Status: Fail, Found: db.Name() + " is damaged: " + strings.Join(damage, "; "),
			Means: "Jobs that touch the damaged part fail, and more may be lost with each write.",
			Fix:   "Stop the worker, keep the file with its -wal and -shm, and put a backup in its place; sqlite3 FILE .recover reads what is left. Look at the disk (dmesg, smartctl).",
		}
	case len(damage) > 0:
		return Finding{
			Status: Fail, Found: db.Name() + ": " + strings.Join(damage, "; "),
			Means: "The worker does not start.", Fix: "Set DATABASE_URL to the primary.",
		}
	}
	n, err := p.workers(ctx)
	if err != nil {
		return skip("whether a worker runs does not show: %v", err)
	}
	whole := "is whole"
	if !db.File() {
		whole = "answers; PostgreSQL looks after its files itself"
	}
	open := status.Pending + status.Running
	found := fmt.Sprintf("%s %s; %s, %d ended, %s", db.Name(), whole, counted.Form(open, "job waits or runs", "jobs wait or run"), status.Final, running(n))
	if open > 0 && n == 0 {
		return Finding{
			Status: Warn, Found: found,
			Means: "These jobs wait for a worker.", Fix: "Start it: commentator serve, or its service.",
		}
	}
	return ok("%s", found)
}

func running(workers int) string {
	switch workers {
	case 0:
		return "no worker runs"
	case 1:
		return "a worker runs"
	}
	return fmt.Sprintf("%d workers run", workers)
}

func probeOutbox(ctx context.Context, p *Patient) Finding {
	s, err := p.jobs(ctx)
	if err != nil {
		return skip("%v", err)
	}
	n, err := p.workers(ctx)
	if err != nil {
		return skip("whether a worker runs does not show: %v", err)
	}
	age := time.Duration(0)
	if !s.Unsent.Oldest.IsZero() {
		age = max(0, p.Now().Sub(s.Unsent.Oldest)).Round(time.Second)
	}
	limit := p.Config.OutboxMaxBytes
	full := float64(s.Unsent.Bytes+s.Refused.Bytes) / float64(max(1, limit))
	found := "nothing waits"
	if s.Unsent.Messages > 0 {
		found = fmt.Sprintf("%s, %s of %s, the oldest for %s", counted.Form(s.Unsent.Messages, "message waits", "messages wait"), bytesize.Format(s.Unsent.Bytes), bytesize.Format(limit), age)
	}
	if len(s.Losses) > 0 {
		var lost []string
		for reason, count := range s.Losses {
			lost = append(lost, fmt.Sprintf("%s %d", reason, count))
		}
		slices.Sort(lost)
		found += "; since the database was made were lost: " + joined(lost)
	}
	f := Finding{
		Found: found, Means: "Runs and traces come late. Beyond OUTBOX_MAX_BYTES and OUTBOX_MAX_AGE they are given up.",
		Fix: "Look at the probes collector-takes and collector-up.",
	}
	if s.Link.Problem != "" {
		f.Found += fmt.Sprintf("; the Collector %s takes nothing since %s: %s", s.Link.Endpoint, s.Link.Since.Local().Format(time.DateTime), cut(s.Link.Problem, 300))
	}
	switch {
	case s.Unsent.Messages > 0 && (age >= p.Limits.WaitFail || full >= p.Limits.FullFail):
		f.Status = Fail
	case s.Unsent.Messages > 0 && (age >= p.Limits.WaitWarn || full >= p.Limits.FullWarn):
		f.Status = Warn
	case s.Refused.Messages > 0:
		return Finding{
			Status: Warn, Found: fmt.Sprintf("%s; %s set aside, the last one since the Collector said: %s", f.Found, counted.Form(s.Refused.Messages, "message was", "messages were"), cut(s.LastRefusal, 300)),
			Means: "These parts of jobs are missing in MLflow.",
			Fix:   "Mend what the reason names, then: commentator outbox list, commentator outbox resend --all",
		}
	default:
		return ok("%s", f.Found)
	}
	if n == 0 {
		f.Found += "; no worker runs"
		f.Fix = "Start the worker (commentator serve): it sends them, also with telemetry off. " + f.Fix
	}
	return f
}

// place is a directory that somebody writes to.
type place struct{ what, dir string }

func (p *Patient) places(ctx context.Context) []place {
	var all []place
	if p.Config.DatabaseURL == "" {
		all = append(all, place{"job database", filepath.Dir(p.path(p.Config.DBPath))})
	}
	if dir := p.path(p.Collector.DataDir); exists(dir) {
		all = append(all, place{"Collector's queue", dir})
	}
	if p.Config.LogFile != "" {
		all = append(all, place{"log", filepath.Dir(p.path(p.Config.LogFile))})
	}
	if p.MLflow != nil {
		if s := p.server(ctx); s != nil && s.Store == mlflow.StoreSQLite && filepath.IsAbs(s.Where) {
			all = append(all, place{"MLflow's database", filepath.Dir(s.Where)})
		}
		if _, err := p.mlflowHealth(ctx); err != nil {
			return all
		}
		if e, err := p.theExperiment(ctx); err == nil {
			if dir, local := localDir(e.ArtifactLocation); local && exists(dir) {
				all = append(all, place{"artifacts", dir})
			}
		}
	}
	return all
}

func exists(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.IsDir()
}

func probeDisk(ctx context.Context, p *Patient) Finding {
	grows := int64(0) // what the outbox may still take
	if p.Config.DatabaseURL == "" {
		grows = p.Config.OutboxMaxBytes
		if s, err := p.jobs(ctx); err == nil {
			grows = max(0, grows-s.Unsent.Bytes-s.Sent.Bytes-s.Refused.Bytes)
		}
	}
	var said, unseen, low, full []string
	for _, place := range p.places(ctx) {
		d, err := readDisk(place.dir)
		if err != nil {
			unseen = append(unseen, fmt.Sprintf("%s: %v", place.what, err))
			continue // the others may be full
		}
		text := fmt.Sprintf("%s: %s free in %s", place.what, bytesize.Format(d.free), place.dir)
		said = append(said, text)
		needs := p.Limits.DiskWarn
		if place.what == "job database" {
			needs += grows
		}
		switch {
		case d.readOnly || !writable(place.dir):
			full = append(full, fmt.Sprintf("%s: %s cannot be written", place.what, place.dir))
		case d.free < p.Limits.DiskFail:
			full = append(full, text)
		case d.files > 0 && d.freeFiles < d.files/100:
			low = append(low, fmt.Sprintf("%s: only %d of %d inodes are free in %s", place.what, d.freeFiles, d.files, place.dir))
		case d.free < needs:
			if needs > p.Limits.DiskWarn {
				text += fmt.Sprintf(", and the outbox may still take %s", bytesize.Format(grows))
			}
			low = append(low, text)
		}
	}
	switch {
	case len(full) > 0:
		return Finding{
			Status: Fail, Found: strings.Join(slices.Concat(full, low, unseen), "; "),
			Means: "On a full disk jobs fail, telemetry is dropped, and the Collector takes nothing.",
			Fix:   "Make room: HISTORY_KEEP, OUTBOX_KEEP_SENT and OUTBOX_MAX_BYTES say what the worker keeps, mlflow gc gives space of deleted runs back; or move the files to a larger disk.",
		}
	case len(low) > 0:
		return Finding{
			Status: Warn, Found: strings.Join(append(low, unseen...), "; "),
			Means: "A long outage of the Collector or of MLflow fills the disk.",
			Fix:   "Make room, move the files to a larger disk, or let the outbox take less (OUTBOX_MAX_BYTES).",
		}
	case len(unseen) > 0:
		return Finding{
			Status: Warn, Found: strings.Join(append(unseen, said...), "; "),
			Means: "Whether there is room does not show.",
			Fix:   "Create a directory that is not there, or correct the setting that names it; let the user who runs doctor enter one that is closed.",
		}
	case len(said) == 0:
		return skip("nobody writes files here")
	}
	return ok("%s", strings.Join(said, "; "))
}
