package store

import (
	"bytes"
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
)

func TestFinishMakesTheJobFinalInOneTransaction(t *testing.T) {
	s := newStore(t)
	id := newJob(t, s).ID
	a := begin(t, s, id)
	commit(t, s, a.Job, commentator.StageRetrieval)
	end := Ending{Outcome: commentator.OutcomeError, ErrorType: "http_404", ErrorMessage: "not there", At: start.Add(time.Second)}

	broken := errors.New("queue broken")
	_, err := s.Finish(t.Context(), a.Job, end, endedMessage, func(*sql.Tx) error { return broken })
	wantErr(t, err, broken)
	if j, _ := s.Job(t.Context(), id); j.State != commentator.JobRunning || len(kinds(t, s)) != 2 {
		t.Errorf("the transaction left %+v, %v", j, kinds(t, s))
	}

	completed := false
	j, err := s.Finish(t.Context(), a.Job, end,
		func(j commentator.Job, m commentator.Message, records []commentator.StageRecord) (telemetry.Message, error) {
			if j.State != commentator.JobFinal || j.ErrorType != "http_404" || m.Channel != "C1" || len(records) != 1 {
				t.Errorf("ended was called with %+v, %+v, %+v", j, m, records)
			}
			return body("process jobs", "root"), nil
		},
		func(tx *sql.Tx) error {
			completed = true
			_, err := tx.Exec(`UPDATE messages SET text = 'queue'`)
			return err
		})
	if err != nil || !completed {
		t.Fatal(completed, err)
	}
	if j.Outcome != commentator.OutcomeError || j.Failures != 1 || j.ErrorMessage != "not there" || !j.FinishedAt.Equal(end.At.Truncate(time.Microsecond)) {
		t.Errorf("job %+v", j)
	}
	if diff := cmp.Diff([]string{"job started", "retrieval", "process jobs"}, kinds(t, s)); diff != "" {
		t.Error(diff)
	}
}

func TestAFinalJobNeverReopens(t *testing.T) {
	s := newStore(t)
	id := newJob(t, s).ID
	a := begin(t, s, id)
	final := finish(t, s, a.Job, commentator.OutcomeSuccess)
	messages := kinds(t, s)

	_, err := s.BeginAttempt(t.Context(), id, start, full, startedMessage)
	wantErr(t, err, ErrFinal)
	wantErr(t, s.CommitStage(t.Context(), a.Job, record(commentator.StageA), body("stage_a", "x"), nil), ErrFinal)
	_, err = s.FailAttempt(t.Context(), a.Job)
	wantErr(t, err, ErrFinal)
	_, err = s.Finish(t.Context(), a.Job, Ending{Outcome: commentator.OutcomeError, At: start}, endedMessage, nil)
	wantErr(t, err, ErrFinal)
	wantErr(t, err, ErrFenced)
	_, err = s.Conclude(t.Context(), id, Ending{Outcome: commentator.OutcomeCancelled, At: start}, full, startedMessage, endedMessage)
	wantErr(t, err, ErrFinal)

	if now, _ := s.Job(t.Context(), id); !cmp.Equal(final, now) || !cmp.Equal(messages, kinds(t, s)) {
		t.Errorf("%s, messages %v", cmp.Diff(final, now), kinds(t, s))
	}
}

func TestConcludeEndsAJobWhoeverWorksOnIt(t *testing.T) {
	s := newStore(t)
	end := Ending{Outcome: commentator.OutcomeCancelled, ErrorType: "cancelled", At: start.Add(time.Minute)}

	waiting := newJob(t, s).ID
	j, err := s.Conclude(t.Context(), waiting, end, full, startedMessage, endedMessage)
	if err != nil {
		t.Fatal(err)
	}
	// Recorded like any other job: it has a start, a decision and both messages.
	if j.Outcome != commentator.OutcomeCancelled || j.Detail != commentator.DetailFull || !j.StartedAt.Equal(j.FinishedAt) || j.Kills+j.Failures != 0 {
		t.Errorf("job %+v", j)
	}
	if diff := cmp.Diff([]string{"job started", "process jobs"}, kinds(t, s)); diff != "" {
		t.Error(diff)
	}

	running := begin(t, s, newJob(t, s).ID).Job
	if _, err := s.Conclude(t.Context(), running.ID, end, full, startedMessage, endedMessage); err != nil {
		t.Fatal(err)
	}
	wantErr(t, s.CommitStage(t.Context(), running, record(commentator.StageA), telemetry.Message{}, nil), ErrFinal)
	if jobs, err := s.ListJobs(t.Context(), Filter{Outcome: commentator.OutcomeCancelled}); len(jobs) != 2 || err != nil {
		t.Errorf("%d jobs, %v", len(jobs), err)
	}
	if jobs, err := s.ListJobs(t.Context(), Filter{State: commentator.JobRunning}); len(jobs) != 0 || err != nil {
		t.Errorf("%d jobs, %v", len(jobs), err)
	}
	if open, err := s.OpenJobs(t.Context()); len(open) != 0 || err != nil {
		t.Errorf("open jobs %v, %v", open, err)
	}
	_, err = s.Conclude(t.Context(), 99, end, full, startedMessage, endedMessage)
	wantErr(t, err, ErrNotFound)
}

// A defect of telemetry costs the message, and is logged with its place.
func TestAPanicOfTelemetryDoesNotFailAJob(t *testing.T) {
	var log bytes.Buffer
	s, err := Open(t.Context(), newDatabase(t), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	a := begin(t, s, newJob(t, s).ID)
	j, err := s.Finish(t.Context(), a.Job, Ending{Outcome: commentator.OutcomeSuccess, At: start},
		func(commentator.Job, commentator.Message, []commentator.StageRecord) (telemetry.Message, error) {
			panic("out of range")
		}, nil)
	if err != nil || j.State != commentator.JobFinal {
		t.Errorf("job is %s, %v", j.State, err)
	}
	if got := s.Stats(); got.OutboxBuildFailed != 1 || got.OutboxStored != 1 {
		t.Errorf("stats %+v", got)
	}
	if err := s.Close(); err != nil { // nobody logs any more
		t.Error(err)
	}
	if text := log.String(); !strings.Contains(text, "out of range") || !strings.Contains(text, "TestAPanicOfTelemetryDoesNotFailAJob") {
		t.Errorf("log is %s", text)
	}
}
