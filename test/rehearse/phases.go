//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/migrate"
	"github.com/technoshare/commentator/internal/pipeline"
	"github.com/technoshare/commentator/test/slackfake"
)

// look runs what changes nothing yet.
func (r *rehearsal) look(ctx context.Context, s *step) error {
	out, err := r.follow(ctx, s, "Get the programs", "Take over the settings", "Look before anything changes")
	if err != nil {
		return err
	}
	for _, want := range []string{"nothing was written", fmt.Sprintf("messages: %d read, %[1]d added", r.old.jobs), "Telemetry is off because MLFLOW_ENABLE_TRACKING is not true"} {
		if !strings.Contains(out, want) {
			return fmt.Errorf("the commands do not say %q:\n%s", want, out)
		}
	}
	if err := r.exists("commentator.sqlite", false); err != nil {
		return err
	}
	s.checked("the dry run reads %d messages and jobs and writes nothing; telemetry would be off", r.old.jobs)
	return nil
}

// backupOld copies the old deployment.
func (r *rehearsal) backupOld(ctx context.Context, s *step) error {
	if _, err := r.follow(ctx, s, "Back up the old deployment"); err != nil {
		return err
	}
	for name, original := range map[string]string{".env": ".env", "prompts/stage_a_extract_facts.yaml": "data/prompts/stage_a_extract_facts.yaml"} {
		got, err := os.ReadFile(filepath.Join(r.place.new, "before", name))
		if err != nil {
			return err
		}
		want, err := os.ReadFile(filepath.Join(r.place.old, original))
		if err != nil {
			return err
		}
		if string(got) != string(want) {
			return fmt.Errorf("before/%s is not what %s was", name, original)
		}
	}
	copied, err := migrate.Read(ctx, filepath.Join(r.place.new, "before", "db.sqlite"))
	if err != nil {
		return err
	}
	if len(copied.Jobs) != r.old.jobs || len(copied.Messages) != r.old.jobs {
		return fmt.Errorf("the copy of the database holds %d jobs; want %d", len(copied.Jobs), r.old.jobs)
	}
	s.checked("the copies hold the same: %d jobs, .env, prompts, the commit", r.old.jobs)
	return nil
}

// comments finds out what each page's comment is, by a worker that knows nothing of MLflow,
// of the old deployment or of any settings file.
func (r *rehearsal) comments(ctx context.Context) error {
	dir := filepath.Join(filepath.Dir(r.place.new), "alone")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	cmd := r.place.command(ctx, dir, filepath.Join(r.place.new, "bin", "commentator"), append([]string{"replay", "--json"}, r.world.pages...)...)
	cmd.Env = append(cmd.Env, "OPENAI_API_KEY=key-of-nobody", "DB_PATH=alone.sqlite")
	out, err := output(cmd)
	if err != nil {
		return err
	}
	r.reference = map[string]reply{}
	for line := range strings.Lines(string(out)) {
		var j pipeline.Report
		if err := json.Unmarshal([]byte(line), &j); err != nil {
			return fmt.Errorf("read comments: %w", err)
		}
		if j.Outcome != commentator.OutcomeSuccess || j.Comment == "" {
			return fmt.Errorf("page %s is no good: %s %s", j.URL, j.Outcome, j.Error)
		}
		r.reference[j.URL] = reply{page: j.URL, text: j.Comment}
	}
	if len(r.reference) != len(r.world.pages) {
		return fmt.Errorf("%d comments of %d pages", len(r.reference), len(r.world.pages))
	}
	return nil
}

// phase0 starts the new worker as it is without MLflow.
func (r *rehearsal) phase0(ctx context.Context, s *step) error {
	if err := r.comments(ctx); err != nil {
		return err
	}
	s.did("asked a worker without any settings for the comments on %d pages", len(r.reference))
	// While neither program runs somebody writes, and Slack can deliver it to nobody.
	page := r.world.pages[0]
	missed, _ := r.world.slack.Write(person(page))

	out, err := r.follow(ctx, s, "Phase 0: the new worker, nothing recorded")
	if err != nil {
		return err
	}
	if !strings.Contains(out, fmt.Sprintf("messages: %d read, %[1]d added", r.old.jobs)) {
		return fmt.Errorf("the migration does not say what became of %d messages:\n%s", r.old.jobs, out)
	}
	waiting, pages := []slackfake.Message{missed}, []string{page}
	for _, i := range r.old.open {
		waiting, pages = append(waiting, r.old.messages[i]), append(pages, r.old.pages[i])
	}
	late, err := r.world.answered(ctx, waiting, pages)
	if err != nil {
		return err
	}
	if _, err := r.settled(ctx); err != nil {
		return err
	}
	if err := same(late, r.reference); err != nil {
		return err
	}
	for i, m := range r.old.messages {
		if !slices.Contains(r.old.open, i) && oldStatuses[i] == "done" && r.world.replies(m, "").text != "*tldr*\n• By the old program." {
			return fmt.Errorf("message %d was answered by the old program and again: %s", i+1, r.world.replies(m, "").text)
		}
	}
	s.checked("%d jobs that the old program left and the message that nobody was there for are answered; what was done is not answered again", len(r.old.open))
	if _, err := r.round(ctx, s, "off", commentator.DetailOff); err != nil {
		return err
	}
	if _, err := r.follow(ctx, s, "Verify phase 0"); err != nil {
		return err
	}
	return r.nothingRecorded(ctx, s)
}

// nothingRecorded makes sure that the worker has nothing to send.
func (r *rehearsal) nothingRecorded(ctx context.Context, s *step) error {
	st, err := r.status(ctx)
	if err != nil {
		return err
	}
	if st.Outbox.Depth+st.Outbox.Sent != 0 {
		return fmt.Errorf("%d messages wait and %d were sent; want none", st.Outbox.Depth, st.Outbox.Sent)
	}
	s.checked("telemetry off, no message in the outbox")
	return nil
}

// upgrade brings the old store to the new server.
func (r *rehearsal) upgrade(ctx context.Context, s *step) error {
	held, err := r.hold(ctx, r.old.version)
	if err != nil {
		return err
	}
	if err := r.old.held.within(held); err != nil || len(held.Runs) != len(r.old.held.Runs) {
		return fmt.Errorf("the old MLflow holds %d runs after phase 0, %d before: %w", len(held.Runs), len(r.old.held.Runs), err)
	}
	s.checked("phase 0 left the old MLflow as it was: %d runs", len(held.Runs))
	r.stopOld()
	s.did("stopped the old MLflow")
	if err := r.openedByMistake(ctx, s); err != nil {
		return err
	}
	_, err = r.follow(ctx, s, "Upgrade the MLflow store")
	return err
}

// openedByMistake shows why the guide copies the store first: whatever opens it with the new
// MLflow has upgraded it, and the old one takes it no more.
func (r *rehearsal) openedByMistake(ctx context.Context, s *step) error {
	dir := filepath.Join(filepath.Dir(r.place.new), "opened")
	store, err := os.ReadFile(filepath.Join(r.place.old, "mlflow.db"))
	if err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "mlflow.db"), store, 0o600)); err != nil {
		return err
	}
	search := func(version string) error {
		_, err := r.place.python(ctx, version, dir, []string{"MLFLOW_TRACKING_URI=sqlite:///mlflow.db"}, []string{"-m", "mlflow", "experiments", "search"})
		return err
	}
	if err := search(r.old.version); err != nil {
		return err
	}
	if err := search(""); err != nil {
		return fmt.Errorf("open a copy of the old store with the new MLflow: %w", err)
	}
	if err := search(r.old.version); err == nil || !strings.Contains(err.Error(), "Can't locate revision") {
		return fmt.Errorf("the old MLflow opens a copy that the new one has opened, or says something else: %w", err)
	}
	s.checked("a copy that the new MLflow has merely opened is upgraded, and MLflow %s refuses it", r.old.version)
	return nil
}

// phase1 records runs.
func (r *rehearsal) phase1(ctx context.Context, s *step) error {
	if _, err := r.follow(ctx, s, "Phase 1: runs"); err != nil {
		return err
	}
	held, err := r.hold(ctx, "")
	if err != nil {
		return err
	}
	if err := r.old.held.within(held); err != nil {
		return fmt.Errorf("after the upgrade: %w", err)
	}
	s.checked("MLflow %s holds the %d old runs, %d artifacts and %d traces of %d spans as they were", held.Version, len(r.old.held.Runs), r.old.held.files(), len(r.old.held.Traces), r.old.held.spans())
	out, err := r.follow(ctx, s, "Prompts in the registry", "Restart the worker")
	if err != nil {
		return err
	}
	for _, name := range []string{"stage_a_extract_facts", "stage_b_compose_reply"} {
		if !strings.Contains(out, name) {
			return fmt.Errorf("the registry does not have %s:\n%s", name, out)
		}
	}
	jobs, err := r.round(ctx, s, "tracking", commentator.DetailTracking)
	if err != nil {
		return err
	}
	if err := r.delivered(ctx, s, jobs); err != nil {
		return err
	}
	_, err = r.follow(ctx, s, "Verify phase 1")
	return err
}

// phase2 records traces too.
func (r *rehearsal) phase2(ctx context.Context, s *step) error {
	if _, err := r.follow(ctx, s, "Phase 2: runs and traces", "Restart the worker"); err != nil {
		return err
	}
	jobs, err := r.round(ctx, s, "tracing", commentator.DetailFull)
	if err != nil {
		return err
	}
	if err := r.delivered(ctx, s, jobs); err != nil {
		return err
	}
	_, err = r.follow(ctx, s, "Verify phase 2")
	return err
}
