package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/internal/commentator"
)

// model is what the database must hold, and every attempt that anybody ever held.
type model struct {
	store    *Store
	jobs     []commentator.Job
	open     map[int64]bool
	stages   map[int64]int
	messages int
	handles  []commentator.Job // as BeginAttempt returned them
}

// TestNoSequenceOfOperationsBreaksAJob does whatever workers can do, with attempts that
// are current, outdated or final, and compares the database with the model each time.
func TestNoSequenceOfOperationsBreaksAJob(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		path := newDatabase(t)
		m := &model{store: mustOpen(rt, path), open: map[int64]bool{}, stages: map[int64]int{}}
		defer func() {
			if err := m.store.Close(); err != nil {
				rt.Error(err)
			}
		}()
		m.ingest(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"":       m.check,
			"ingest": m.ingest,
			"begin":  m.begin,
			"commit": m.commit,
			"fail":   func(rt *rapid.T) { m.closeAttempt(rt, true) },
			"release": func(rt *rapid.T) {
				m.closeAttempt(rt, false)
			},
			"finish":   m.finish,
			"conclude": m.conclude,
			"restart": func(rt *rapid.T) {
				rarely(rt)
				if err := m.store.Close(); err != nil {
					rt.Fatal(err)
				}
				m.store = mustOpen(rt, path)
			},
		})
	})
}

func mustOpen(rt *rapid.T, path string) *Store {
	s, err := Open(context.Background(), path)
	if err != nil {
		rt.Fatal(err)
	}
	return s
}

func rarely(rt *rapid.T) {
	if rapid.IntRange(0, 9).Draw(rt, "rarely") > 0 {
		rt.Skip("rarely")
	}
}

func (m *model) ingest(rt *rapid.T) {
	msg := testMessage(fmt.Sprint(len(m.jobs)))
	jobs, _, err := m.store.Ingest(context.Background(), msg, []string{"https://a.test/"}, false, noQueue)
	if err != nil {
		rt.Fatal(err)
	}
	m.jobs = append(m.jobs, jobs...)
}

func (m *model) pick(rt *rapid.T) *commentator.Job {
	return &m.jobs[rapid.IntRange(0, len(m.jobs)-1).Draw(rt, "job")]
}

// handle returns an attempt and its job's row; most of them are outdated.
func (m *model) handle(rt *rapid.T) (commentator.Job, *commentator.Job) {
	if len(m.handles) == 0 {
		rt.Skip("no attempt yet")
	}
	back := rapid.IntRange(0, min(5, len(m.handles)-1)).Draw(rt, "handle")
	h := m.handles[len(m.handles)-1-back]
	return h, &m.jobs[h.ID-1]
}

// want returns the error that a write of an attempt must give.
func want(h commentator.Job, row *commentator.Job) error {
	switch {
	case row.State == commentator.JobFinal:
		return ErrFinal
	case row.Attempt != h.Attempt:
		return ErrFenced
	}
	return nil
}

func mustBe(rt *rapid.T, err, want error) {
	if !errors.Is(err, want) {
		rt.Fatalf("error %v, want %v", err, want)
	}
}

func (m *model) begin(rt *rapid.T) {
	row := m.pick(rt)
	a, err := m.store.BeginAttempt(context.Background(), row.ID, start, full, startedMessage)
	if row.State == commentator.JobFinal {
		mustBe(rt, err, ErrFinal)
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	row.Attempt++
	if row.State == commentator.JobPending {
		row.State, row.Detail, row.StartedAt = commentator.JobRunning, commentator.DetailFull, start.Truncate(time.Microsecond)
		m.messages++
	}
	if m.open[row.ID] {
		row.Kills++
	}
	exhausted := row.Failures >= commentator.MaxFailures || row.Kills >= commentator.MaxKills
	m.open[row.ID] = !exhausted
	if a.Exhausted != exhausted || len(a.Stages) != m.stages[row.ID] {
		rt.Fatalf("attempt %+v, want exhausted %v, %d stages", a, exhausted, m.stages[row.ID])
	}
	m.handles = append(m.handles, a.Job)
}

func (m *model) commit(rt *rapid.T) {
	h, row := m.handle(rt)
	stage := commentator.Stages[min(m.stages[row.ID], len(commentator.Stages)-1)]
	recorded, err := m.store.Stages(context.Background(), row.ID)
	if err != nil {
		rt.Fatal(err)
	}
	for _, r := range recorded {
		if r.Stage == stage && r.Attempt == h.Attempt {
			rt.Skip("recorded already")
		}
	}
	err = m.store.CommitStage(context.Background(), h, record(stage), body(string(stage), "x"), nil)
	mustBe(rt, err, want(h, row))
	if err == nil {
		m.stages[row.ID]++
		m.messages++
	}
}

func (m *model) closeAttempt(rt *rapid.T, failed bool) {
	h, row := m.handle(rt)
	closeIt := m.store.ReleaseAttempt
	if failed {
		closeIt = m.store.FailAttempt
	}
	_, err := closeIt(context.Background(), h)
	mustBe(rt, err, want(h, row))
	if err == nil {
		m.open[row.ID] = false
		if failed {
			row.Failures++
		}
	}
}

func (m *model) finish(rt *rapid.T) {
	h, row := m.handle(rt)
	end := Ending{Outcome: rapid.SampledFrom([]commentator.Outcome{commentator.OutcomeSuccess, commentator.OutcomeError}).Draw(rt, "outcome"), At: start}
	completed := false
	_, err := m.store.Finish(context.Background(), h, end, endedMessage, func(*sql.Tx) error { completed = true; return nil })
	mustBe(rt, err, want(h, row))
	if completed != (err == nil) {
		rt.Fatalf("the queue's job was completed: %v; error %v", completed, err)
	}
	if err == nil {
		m.ended(row, end)
	}
}

func (m *model) conclude(rt *rapid.T) {
	rarely(rt)
	row := m.pick(rt)
	end := Ending{Outcome: commentator.OutcomeCancelled, At: start}
	_, err := m.store.Conclude(context.Background(), row.ID, end, full, startedMessage, endedMessage)
	if row.State == commentator.JobFinal {
		mustBe(rt, err, ErrFinal)
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	if row.State == commentator.JobPending {
		row.Attempt++
		row.Detail, row.StartedAt = commentator.DetailFull, start.Truncate(time.Microsecond)
		m.messages++
	}
	m.ended(row, end)
}

func (m *model) ended(row *commentator.Job, end Ending) {
	if end.Outcome == commentator.OutcomeError && m.open[row.ID] {
		row.Failures++
	}
	row.State, row.Outcome, row.FinishedAt = commentator.JobFinal, end.Outcome, end.At.Truncate(time.Microsecond)
	m.open[row.ID] = false
	m.messages++
}

func (m *model) check(rt *rapid.T) {
	for _, row := range m.jobs {
		now, open, err := m.store.job(context.Background(), m.store.reader, row.ID)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(row, now); diff != "" || open != m.open[row.ID] {
			rt.Fatalf("job %d: open %v, want %v; %s", row.ID, open, m.open[row.ID], diff)
		}
	}
	depth, _, _, err := m.store.Depth(context.Background())
	if err != nil || depth != m.messages {
		rt.Fatalf("%d messages, want %d; %v", depth, m.messages, err)
	}
}
