package store

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
)

func TestTheFirstAttemptDecidesOnceForAll(t *testing.T) {
	s := newStore(t)
	id := newJob(t, s).ID
	a := begin(t, s, id)
	want := a.Job
	want.State, want.Detail, want.Attempt = commentator.JobRunning, commentator.DetailFull, 1
	want.StartedAt = start.Truncate(time.Microsecond)
	if diff := cmp.Diff(want, a.Job); diff != "" {
		t.Error(diff)
	}
	if a.Message.Channel != "C1" || a.Exhausted || len(a.Stages) != 0 {
		t.Errorf("attempt %+v", a)
	}
	if _, err := s.FailAttempt(t.Context(), a.Job); err != nil {
		t.Fatal(err)
	}

	off := func(commentator.Job, commentator.Message) commentator.Decision {
		t.Error("decided twice")
		return commentator.Decision{}
	}
	again := func(commentator.Job, commentator.Message) (telemetry.Message, error) {
		t.Error("started twice")
		return telemetry.Message{}, nil
	}
	b, err := s.BeginAttempt(t.Context(), id, start.Add(time.Hour), off, again)
	if err != nil {
		t.Fatal(err)
	}
	if b.Job.Detail != commentator.DetailFull || !b.Job.StartedAt.Equal(a.Job.StartedAt) || b.Job.Attempt != 2 || b.Job.Failures != 1 || b.Job.Kills != 0 {
		t.Errorf("job %+v", b.Job)
	}
	read, err := s.Job(t.Context(), id)
	if diff := cmp.Diff(b.Job, read); diff != "" || err != nil {
		t.Error("the row differs:", diff, err)
	}
	if diff := cmp.Diff([]string{"job started"}, kinds(t, s)); diff != "" {
		t.Error(diff)
	}
}

func TestAJobWithoutTelemetryIsOff(t *testing.T) {
	s := newStore(t)
	none := func(commentator.Job, commentator.Message) (telemetry.Message, error) { return telemetry.Message{}, nil }
	a, err := s.BeginAttempt(t.Context(), newJob(t, s).ID, start, func(commentator.Job, commentator.Message) commentator.Decision { return commentator.Decision{} }, none)
	if err != nil || a.Job.Detail != commentator.DetailOff {
		t.Fatalf("detail %q, %v", a.Job.Detail, err)
	}
	if got := kinds(t, s); len(got) != 0 {
		t.Errorf("messages %v", got)
	}
}

func TestCommittedStagesAreThereInTheNextAttempt(t *testing.T) {
	s := newStore(t)
	id := newJob(t, s).ID
	a := begin(t, s, id)
	commit(t, s, a.Job, commentator.StageRetrieval)
	failed := record(commentator.StageA)
	failed.Result, failed.Analysis = nil, commentator.Analysis{}
	failed.ErrorType, failed.ErrorMessage = "timeout", "the model did not answer"
	if err := s.CommitStage(t.Context(), a.Job, failed, body("stage_a", "x"), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.CommitStage(t.Context(), a.Job, failed, telemetry.Message{}, nil); err == nil {
		t.Error("one attempt at a stage was recorded twice")
	}

	b := begin(t, s, id)
	ok := record(commentator.StageRetrieval)
	ok.ID, ok.JobID, ok.Attempt = 1, id, 1
	failed.ID, failed.JobID, failed.Attempt = 2, id, 1
	if diff := cmp.Diff([]commentator.StageRecord{ok, failed}, b.Stages); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"job started", "retrieval", "stage_a"}, kinds(t, s)); diff != "" {
		t.Error(diff)
	}
}

func TestEveryWriteOfAnEarlierAttemptIsFenced(t *testing.T) {
	s := newStore(t)
	id := newJob(t, s).ID
	old := begin(t, s, id).Job
	current := begin(t, s, id).Job
	before := kinds(t, s)
	inTx := func(*sql.Tx) error { t.Error("the queue's job was completed"); return nil }

	wantErr(t, s.CommitStage(t.Context(), old, record(commentator.StageA), body("stage_a", "x"), nil), ErrFenced)
	_, err := s.FailAttempt(t.Context(), old)
	wantErr(t, err, ErrFenced)
	_, err = s.ReleaseAttempt(t.Context(), old)
	wantErr(t, err, ErrFenced)
	_, err = s.Finish(t.Context(), old, Ending{Outcome: commentator.OutcomeSuccess, At: start}, endedMessage, inTx)
	wantErr(t, err, ErrFenced)
	if errors.Is(err, ErrFinal) {
		t.Error("the job is not final")
	}

	if now, _ := s.Job(t.Context(), id); !cmp.Equal(current, now) {
		t.Error(cmp.Diff(current, now))
	}
	if records, _ := s.Stages(t.Context(), id); len(records) != 0 || !cmp.Equal(before, kinds(t, s)) {
		t.Errorf("records %v, messages %v", records, kinds(t, s))
	}
}

func TestKillsAndFailuresAreCountedUntilTheJobIsExhausted(t *testing.T) {
	s := newStore(t)
	killed := newJob(t, s).ID
	for i := range commentator.MaxKills {
		if a := begin(t, s, killed); a.Exhausted || a.Job.Kills != i {
			t.Fatalf("attempt %d: exhausted %v, %d kills", i+1, a.Exhausted, a.Job.Kills)
		}
	}
	for range 3 { // killed again before it could make the job final: no further kill
		if a := begin(t, s, killed); !a.Exhausted || a.Job.Kills != commentator.MaxKills {
			t.Fatalf("exhausted %v, %d kills", a.Exhausted, a.Job.Kills)
		}
	}
	a := begin(t, s, killed)
	if j := finish(t, s, a.Job, commentator.OutcomeError); j.Failures != 0 || j.Kills != commentator.MaxKills {
		t.Errorf("job %+v", j)
	}

	failing := newJob(t, s).ID
	for i := range commentator.MaxFailures {
		a := begin(t, s, failing)
		j, err := s.FailAttempt(t.Context(), a.Job)
		if err != nil || a.Exhausted || j.Failures != i+1 {
			t.Fatalf("attempt %d: exhausted %v, %d failures, %v", i+1, a.Exhausted, j.Failures, err)
		}
	}
	if a := begin(t, s, failing); !a.Exhausted {
		t.Error("not exhausted")
	}
}

func TestAReleasedAttemptIsNeitherFailureNorKill(t *testing.T) {
	s := newStore(t)
	id := newJob(t, s).ID
	for range 20 {
		if _, err := s.ReleaseAttempt(t.Context(), begin(t, s, id).Job); err != nil {
			t.Fatal(err)
		}
	}
	if a := begin(t, s, id); a.Exhausted || a.Job.Kills != 0 || a.Job.Failures != 0 || a.Job.Attempt != 21 {
		t.Errorf("job %+v", a.Job)
	}
}

func TestThereIsNoAttemptAtAMissingJob(t *testing.T) {
	s := newStore(t)
	_, err := s.BeginAttempt(t.Context(), 7, start, full, startedMessage)
	wantErr(t, err, ErrNotFound)
	_, err = s.Job(t.Context(), 7)
	wantErr(t, err, ErrNotFound)
}
