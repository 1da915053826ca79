package queue_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/test/dbtest"
)

// conclude makes jobs final as the pipeline does.
func conclude(s *store.Store) func(ctx context.Context, id int64, fate queue.Fate) error {
	return func(ctx context.Context, id int64, fate queue.Fate) error {
		_, err := s.Conclude(ctx, id, store.Ending{Outcome: commentator.OutcomeError, ErrorType: string(fate), At: time.Now()}, detail, jobStarted, jobEnded)
		return err
	}
}

func detail(commentator.Job, commentator.Message) commentator.Decision {
	return commentator.Decision{Detail: commentator.DetailFull}
}

func jobStarted(commentator.Job, commentator.Message) (telemetry.Message, error) {
	return telemetry.Message{Kind: "job started", Body: []byte("s"), Size: 1}, nil
}

func jobEnded(commentator.Job, commentator.Message, []commentator.StageRecord) (telemetry.Message, error) {
	return telemetry.Message{Kind: "process jobs", Body: []byte("e"), Size: 1}, nil
}

func TestJobsThatTheQueueHasLostAreConcluded(t *testing.T) {
	s := openStore(t, newDatabase(t))
	calls := make(chan int64, 10)
	q := newQueue(t, s, queue.Config{
		Handler: completing(s, calls), OpenJobs: s.OpenJobs, Lost: conclude(s), SweepEvery: 10 * time.Millisecond,
	})
	want := map[int64]queue.Fate{}
	for state, fate := range map[string]queue.Fate{
		"completed": queue.FateCompleted, "cancelled": queue.FateCancelled, "discarded": queue.FateDiscarded,
		"retryable": "", "scheduled": "",
	} {
		id := ingest(t, s, q.Enqueue)
		finalized := "NULL"
		if fate != "" {
			finalized = now()
		}
		execSQL(t, s, fmt.Sprintf(`UPDATE river_job SET state = '%s', finalized_at = %s, scheduled_at = %s WHERE %s = %d`,
			state, finalized, nowAnd("1 hour"), jobID(), id))
		want[id] = fate
	}
	want[ingest(t, s, noQueue)] = queue.FateMissing
	start(t, q) // sweeps once before it returns

	fates := func() map[int64]queue.Fate {
		got := map[int64]queue.Fate{}
		jobs, err := s.ListJobs(t.Context(), store.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range jobs {
			got[j.ID] = queue.Fate(j.ErrorType)
		}
		return got
	}
	if got := fates(); !maps.Equal(got, want) {
		t.Errorf("fates %v, want %v", got, want)
	}

	late := ingest(t, s, noQueue)
	want[late] = queue.FateMissing
	eventually(t, "concluded while the queue runs", func() bool { return maps.Equal(fates(), want) })
}

func TestAJobThatIsFinalAlreadyIsForgottenAtOnce(t *testing.T) {
	s := openStore(t, newDatabase(t))
	q := newQueue(t, s, queue.Config{Handler: steps(s, "")})
	id := ingest(t, s, q.Enqueue)
	if err := conclude(s)(t.Context(), id, "by hand"); err != nil {
		t.Fatal(err)
	}
	start(t, q)
	eventually(t, "completed", func() bool { return states(t, s) == fmt.Sprintf("%d completed", id) })
	if j, err := s.Job(t.Context(), id); err != nil || j.ErrorType != "by hand" || j.Attempt != 1 {
		t.Errorf("job %+v, %v", j, err)
	}
}

func TestAJobThatIsWorkedOnIsNotLost(t *testing.T) {
	s := openStore(t, newDatabase(t))
	running, goOn := make(chan int64), make(chan struct{})
	lost := make(chan int64, 10)
	q := newQueue(t, s, queue.Config{
		Handler: func(_ context.Context, id int64, _ func(*sql.Tx) error) error {
			running <- id
			<-goOn
			return nil // and leaves the job open
		},
		OpenJobs: s.OpenJobs, SweepEvery: 5 * time.Millisecond,
		Lost: func(ctx context.Context, id int64, _ queue.Fate) error {
			select {
			case lost <- id:
			case <-ctx.Done(): // nobody looks any more
			}
			return nil
		},
	})
	start(t, q)
	busy := ingest(t, s, q.Enqueue)
	receive(t, running)
	execSQL(t, s, `UPDATE river_job SET state = 'completed', finalized_at = `+now())
	other := ingest(t, s, noQueue)
	for range 3 {
		if id := receive(t, lost); id != other {
			t.Fatalf("job %d was called lost", id)
		}
	}
	close(goOn)
	eventually(t, "called lost after its handler returned", func() bool { return receive(t, lost) == busy })
}

// A try that was believed dead, and comes back while another one runs the job, changes nothing of
// that one's row, neither when it fails nor when it is interrupted.
func TestATryThatLostItsRowLeavesItAlone(t *testing.T) {
	fenced := errors.New("fenced")
	for name, interrupted := range map[string]bool{"failed": false, "interrupted": true} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, newDatabase(t))
			running, goOn := make(chan int64), make(chan struct{})
			q := newQueue(t, s, queue.Config{
				Host: "first", HostTimeout: time.Hour,
				Handler: func(ctx context.Context, id int64, _ func(*sql.Tx) error) error {
					running <- id
					select {
					case <-goOn:
						return fenced
					case <-ctx.Done():
						return ctx.Err()
					}
				},
			})
			start(t, q)
			lost := ingest(t, s, q.Enqueue)
			receive(t, running)
			taken := `UPDATE river_job SET attempt = attempt + 1`
			if dbtest.Postgres() {
				taken += `, attempted_by = array_append(attempted_by, 'second/1')`
			}
			execSQL(t, s, taken)
			if interrupted {
				stop(t, q)
			} else {
				goOn <- struct{}{}
				ours := ingest(t, s, q.Enqueue)
				receive(t, running)
				goOn <- struct{}{}
				// River writes in the order in which tries end.
				eventually(t, "noted", func() bool { return strings.Contains(states(t, s), fmt.Sprintf("%d retryable", ours)) })
			}
			if got := states(t, s); !strings.Contains(got, fmt.Sprintf("%d running", lost)) {
				t.Errorf("states %s", got)
			}
		})
	}
}

func TestAJobInItsBackoffGoesOnSoonAfterItsProcessWasKilled(t *testing.T) {
	s := openStore(t, newDatabase(t))
	calls := make(chan int64, 1)
	q := newQueue(t, s, queue.Config{Handler: completing(s, calls)})
	ingest(t, s, q.Enqueue)
	// What a killed process leaves: a job that waits for the leader to make it available,
	// and a leader that is gone, whose lease is good for long.
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	execSQL(t, s, `
		UPDATE river_job SET state = 'retryable', scheduled_at = `+nowAnd("-1 second")+`;
		INSERT INTO river_leader (leader_id, elected_at, expires_at) VALUES ('`+host+`/killed', `+now()+`, `+nowAnd("1 hour")+`)`)
	start(t, q)
	receive(t, calls)
}
