//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/migrate"
	"github.com/technoshare/commentator/internal/pipeline"
	"github.com/technoshare/commentator/test/docrun"
	"github.com/technoshare/commentator/test/slackfake"
)

// backupUnderLoad makes a backup while people share pages and jobs are recorded.
func (r *rehearsal) backupUnderLoad(ctx context.Context, s *step) error {
	busy, stop := context.WithCancel(ctx)
	defer stop()
	var messages []slackfake.Message
	var pages []string
	var load sync.WaitGroup
	load.Go(func() {
		for i := 0; busy.Err() == nil; i++ {
			page := r.world.pages[i%len(r.world.pages)]
			messages, pages = append(messages, r.world.slack.Say(person(page))), append(pages, page)
			select {
			case <-busy.Done():
			case <-time.After(1100 * time.Millisecond): // as fast as Slack lets the worker answer
			}
		}
	})
	time.Sleep(5 * time.Second) // so that there are some before, too
	out, err := r.follow(ctx, s, "Back up")
	stop()
	load.Wait()
	if err != nil {
		return err
	}
	during := len(messages)
	replies, err := r.world.answered(ctx, messages, pages)
	if err != nil {
		return err
	}
	jobs, err := r.settled(ctx)
	if err != nil {
		return err
	}
	if err := same(replies, r.reference); err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		if text, ok := strings.CutPrefix(line, "holds"); ok {
			s.checked("the backup is as its manifest says: %s", strings.TrimSpace(text))
		}
	}
	s.checked("%d links were shared meanwhile, their replies identical to the byte", during)
	if err := r.visible(ctx, jobs); err != nil {
		return err
	}
	return nil
}

// lose kills everything and deletes the folder of the new deployment, and takes the old artifacts away.
func (r *rehearsal) lose() error {
	pid, err := os.ReadFile(filepath.Join(r.place.new, "worker.pid"))
	if err != nil {
		return err
	}
	worker, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	if err != nil {
		return fmt.Errorf("find the worker: %w", err)
	}
	if err := syscall.Kill(worker, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill the worker: %w", err)
	}
	for _, name := range []string{"mlflow", "collector"} {
		group, err := r.leader(name)
		if err != nil {
			return err
		}
		if err := syscall.Kill(-group, syscall.SIGKILL); err != nil {
			return fmt.Errorf("kill %s: %w", name, err)
		}
	}
	time.Sleep(time.Second) // until the last of them writes no more
	return errors.Join(
		os.RemoveAll(r.place.new),
		os.Rename(filepath.Join(r.place.old, "mlartifacts"), filepath.Join(r.place.old, "mlartifacts.away")),
	)
}

// leader is the process group that start_mlflow.sh started under a name.
func (r *rehearsal) leader(name string) (int, error) {
	pid, err := os.ReadFile(filepath.Join(r.place.new, ".mlflow", name+".pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(pid), " ")
	group, err := strconv.Atoi(first)
	if err != nil {
		return 0, fmt.Errorf("find %s: %w", name, err)
	}
	return group, nil
}

// restore brings the deployment back from its backup, in another folder.
func (r *rehearsal) restore(ctx context.Context, s *step) error {
	before, err := r.dump(ctx)
	if err != nil {
		return err
	}
	if err := r.lose(); err != nil {
		return err
	}
	s.did("killed worker, Collector and MLflow, deleted the whole folder, and moved the old artifacts away")
	r.shell.Close()
	if err := r.place.clone(r.bin); err != nil {
		return err
	}
	if r.shell, err = docrun.Open(docrun.Config{Dir: r.place.new, Environ: r.place.env, Replace: r.place.replaced()}); err != nil {
		return err
	}
	if _, err := r.follow(ctx, s, "Restore"); err != nil {
		return err
	}
	r.place.new = filepath.Join(filepath.Dir(r.place.new), "restored")
	after, err := r.dump(ctx)
	if err != nil {
		return err
	}
	compared, err := before.equal(after, r.recorded)
	if err != nil {
		return fmt.Errorf("after the restore: %w", err)
	}
	s.checked("by MLflow's client, of all %d jobs recorded before the backup: %d runs, %d artifacts, %d traces of %d spans equal to before", len(r.recorded), compared.runs, compared.files, compared.traces, compared.spans)
	held, err := r.hold(ctx, "")
	if err != nil {
		return err
	}
	if err := r.old.held.within(held); err != nil {
		return fmt.Errorf("the old runs after the restore: %w", err)
	}
	if !strings.HasPrefix(held.ArtifactRoot, r.place.new) {
		return fmt.Errorf("the artifacts of the old experiment are looked for in %s, not in the restored folder", held.ArtifactRoot)
	}
	s.checked("the %d old runs, %d artifacts and %d traces too, from the restored folder", len(r.old.held.Runs), r.old.held.files(), len(r.old.held.Traces))
	r.seen = 0 // the copy gives numbers again that were given after the backup
	if _, err := r.settled(ctx); err != nil {
		return err
	}
	jobs, err := r.round(ctx, s, "tracing", commentator.DetailFull)
	if err != nil {
		return err
	}
	return r.delivered(ctx, s, jobs)
}

// equal compares what is held of jobs with what was held before.
func (held state) equal(after state, jobs []pipeline.Report) (c checkedJob, err error) {
	var wrong []error
	for _, j := range jobs {
		own := map[string]bool{}
		for _, run := range held.Runs {
			if run.Tags["job_id"] == fmt.Sprint(j.JobID) && strings.HasPrefix(run.Tags["otel.key"], j.TraceID) || own[run.Tags["mlflow.parentRunId"]] {
				own[run.ID] = true
			}
		}
		for _, run := range held.Runs {
			if !own[run.ID] && !own[run.Tags["mlflow.parentRunId"]] {
				continue
			}
			c.runs++
			c.files += len(run.Artifacts)
			i := slices.IndexFunc(after.Runs, func(x runHeld) bool { return x.ID == run.ID })
			if i < 0 {
				wrong = append(wrong, fmt.Errorf("run %s of job %d is not there", run.Name, j.JobID))
				continue
			}
			got := after.Runs[i]
			if got.Name != run.Name || got.Status != run.Status || !maps.Equal(got.Tags, run.Tags) || !maps.Equal(got.Params, run.Params) ||
				!maps.Equal(got.Metrics, run.Metrics) || !maps.Equal(got.Artifacts, run.Artifacts) {
				wrong = append(wrong, fmt.Errorf("run %s of job %d is %+v; it was %+v", run.Name, j.JobID, got, run))
			}
		}
		for _, t := range held.Traces {
			if t.ID != "tr-"+j.TraceID {
				continue
			}
			c.traces++
			c.spans += len(t.Spans)
			if !slices.ContainsFunc(after.Traces, func(x traceHeld) bool {
				return x.ID == t.ID && x.State == t.State && x.SourceRun == t.SourceRun && slices.Equal(x.Spans, t.Spans)
			}) {
				wrong = append(wrong, fmt.Errorf("the trace of job %d is not as it was", j.JobID))
			}
		}
	}
	return c, errors.Join(wrong...)
}

// validate lets mlflowctl judge.
func (r *rehearsal) validate(ctx context.Context, s *step) error {
	out, err := r.follow(ctx, s, "Validate")
	if err != nil {
		return err
	}
	s.checked("mlflowctl validate passes: %d lines of evidence", strings.Count(out, "\n"))
	return nil
}

// completeRollback takes MLflow out, and goes back to the old deployment.
func (r *rehearsal) completeRollback(ctx context.Context, s *step) error {
	if err := os.Rename(filepath.Join(r.place.old, "mlartifacts.away"), filepath.Join(r.place.old, "mlartifacts")); err != nil {
		return err
	}
	if _, err := r.follow(ctx, s, "Complete rollback"); err != nil {
		return err
	}
	for _, name := range []string{"mlflow.db", "mlartifacts", ".otelcol-mlflow"} {
		if err := r.exists(name, false); err != nil {
			return err
		}
	}
	dotenv, err := r.dotenv()
	if err != nil {
		return err
	}
	if strings.Contains(dotenv, "MLFLOW_") {
		return fmt.Errorf(".env still has MLFLOW_ settings:\n%s", dotenv)
	}
	if answers("http://" + r.place.mlflow + "/health") {
		return errors.New("MLflow still runs")
	}
	s.checked("no MLflow, no Collector, none of their files, no MLFLOW_ line in .env")
	if _, err := r.round(ctx, s, "off", commentator.DetailOff); err != nil {
		return err
	}
	return r.backToOld(ctx, s)
}

// backToOld shows that the old deployment could go on.
func (r *rehearsal) backToOld(ctx context.Context, s *step) error {
	all, err := r.jobs(ctx)
	if err != nil {
		return err
	}
	if _, err := r.follow(ctx, s, "Back to the old program"); err != nil {
		return err
	}
	t, err := migrate.Read(ctx, filepath.Join(r.place.old, "db.back.sqlite"))
	if err != nil {
		return err
	}
	for _, j := range t.Jobs {
		if j.Status.String != "done" && j.Status.String != "failed" {
			return fmt.Errorf("job %d is %s in the database for the old program, which would answer it again", j.ID, j.Status.String)
		}
	}
	if len(t.Jobs) != len(all) {
		return fmt.Errorf("the database for the old program holds %d jobs; want %d", len(t.Jobs), len(all))
	}
	s.checked("a database for the old program holds all %d jobs, none of which it would answer again", len(t.Jobs))
	if err := r.startOld(ctx, r.place.old); err != nil {
		return err
	}
	defer r.stopOld()
	held, err := r.hold(ctx, r.old.version)
	if err != nil {
		return err
	}
	if err := r.old.held.within(held); err != nil || len(held.Runs) != len(r.old.held.Runs) {
		return fmt.Errorf("the old MLflow holds %d runs, %d at the start: %w", len(held.Runs), len(r.old.held.Runs), err)
	}
	s.checked("MLflow %s, started anew on its own database, holds its %d runs and %d traces as at the start", held.Version, len(held.Runs), len(held.Traces))
	return nil
}
