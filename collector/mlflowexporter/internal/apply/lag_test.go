package apply_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

// told is what the bridge tells of runs and jobs.
type told struct {
	mu       sync.Mutex
	finished int64
	lags     []time.Duration
}

func (o *told) take(t *testing.T, when string, finished int64, lags ...time.Duration) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if diff := cmp.Diff(lags, o.lags); diff != "" || o.finished != finished {
		t.Errorf("%s: %d runs finished, want %d; lags (-want +got):\n%s", when, o.finished, finished, diff)
	}
	o.finished, o.lags = 0, nil
}

// The time from the end of a job until MLflow holds it whole is told when it does, and once;
// a run is finished once, too.
func TestDeliveryIsToldOnce(t *testing.T) {
	e, s := faulty(t)
	var got told
	ended := time.UnixMilli(startMS + 2000) // of every job
	now := ended.Add(3 * time.Second)
	e.cfg.Now = func() time.Time { return now }
	e.cfg.Finished = func(string) { got.mu.Lock(); defer got.mu.Unlock(); got.finished++ }
	e.cfg.Delivered = func(lag time.Duration) { got.mu.Lock(); defer got.mu.Unlock(); got.lags = append(got.lags, lag) }
	e.restart(t)

	e.mustApply(t, e.plan(1))
	got.take(t, "a job", 6, 3*time.Second)
	now = now.Add(time.Hour)
	e.mustApply(t, e.plan(1), e.plan(1))
	e.restart(t)
	e.mustApply(t, e.plan(1))
	got.take(t, "the job again", 0)
	e.mustApply(t, repaired(e.plan(1), wire.RepairAgain))
	got.take(t, "a repair message", 6)
	e.mustApply(t, changed(e.plan(1)))
	got.take(t, "a later version", 6)

	now = ended.Add(5 * time.Second)
	parts := split(e.plan(2))
	root := len(parts) - 12 // one part a span, the root first
	for i, p := range parts {
		e.mustApply(t, p)
		switch {
		case i == root:
			got.take(t, "the root", 1, 5*time.Second)
		case i > 0 && i < root:
			got.take(t, "a stage", 1)
		default:
			got.take(t, "a message or span", 0)
		}
	}

	s.Fail(once("/runs/update", mlflowtest.Locked()))
	if err := e.Apply(t.Context(), e.plan(3)); err == nil {
		t.Fatal("no error")
	}
	got.take(t, "a job that failed", 4) // a stage's end failed, and so the job's was not tried
	now = ended.Add(time.Minute)
	e.mustApply(t, e.plan(3))
	got.take(t, "that job", 2, time.Minute)

	now = ended.Add(-time.Second)
	e.mustApply(t, e.plan(4))
	got.take(t, "a job of a clock that is ahead", 6, 0)

	refuse := &mlflowtest.Fault{Status: http.StatusBadRequest, Body: `{"error_code":"INVALID_PARAMETER_VALUE"}`}
	s.Fail(once("/runs/log-batch", refuse))
	if err := e.Apply(t.Context(), e.plan(5)); err == nil {
		t.Fatal("no error")
	}
	got.take(t, "a job that is not whole", 6)
	s.Fail(nil)

	e.lose(t)
	e.mustApply(t, e.plan(1))
	got.take(t, "a job that is known to MLflow alone", 6)
}
