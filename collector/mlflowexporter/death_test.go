package mlflowexporter

import (
	"errors"
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/test/race"
)

var errDead = errors.New("the process is dead")

// dieAfter lets the storage die after some batches, with the next one stored or not, and
// the whole process with it: nothing is stored and no request is answered any more.
func (d *faultyDelivery) dieAfter(batches int, stored bool) (died chan struct{}) {
	died = make(chan struct{})
	dead := false
	d.kept.mu.Lock()
	defer d.kept.mu.Unlock()
	d.kept.fail = func(after bool) error {
		if dead {
			return errDead
		}
		if after == stored {
			if batches--; batches < 0 {
				dead = true
				close(died)
				return errDead
			}
		}
		return nil
	}
	d.server.Fail(func(*http.Request) *mlflowtest.Fault {
		if isClosed(died) {
			return &mlflowtest.Fault{}
		}
		return nil
	})
	return died
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (d *faultyDelivery) revive() {
	d.kept.mu.Lock()
	defer d.kept.mu.Unlock()
	d.kept.fail = nil
	d.server.Fail(nil)
}

// life starts an exporter, gives it messages, and ends it when all is delivered or the
// process died. It gives back the messages that the exporter did not take.
func (d *faultyDelivery) life(t *testing.T, messages []ptrace.Traces, died <-chan struct{}) (refused []ptrace.Traces) {
	t.Helper()
	e, err := createTraces(t.Context(), exportertest.NewNopSettings(metadata.Type), d.cfg)
	if err != nil {
		t.Fatal(err)
	}
	var giving sync.WaitGroup
	defer func() {
		if err := e.Shutdown(t.Context()); err != nil && !errors.Is(err, errDead) {
			t.Error(err)
		}
		giving.Wait() // what a dead process was about to store must not be stored in the next life
	}()
	if err := e.Start(t.Context(), host{storageID: d.kept}); err != nil {
		if !errors.Is(err, errDead) {
			t.Error(err)
		}
		return messages
	}
	for _, td := range messages {
		taken := make(chan error, 1)
		giving.Go(func() { taken <- e.ConsumeTraces(t.Context(), td) })
		select {
		case err := <-taken:
			if err != nil {
				refused = append(refused, td)
			}
		case <-died: // nobody answers any more
			refused = append(refused, td)
		}
	}
	for d.kept.queued() > 0 {
		select {
		case <-d.kept.changed:
		case <-died:
			return refused
		}
	}
	return refused
}

// The Collector dies with each write to its storage in turn, of the queue or of the ledger,
// before or after it is on disk, and in the next life again. What the exporter took, and
// what the sender sends again because it was refused, is there once.
func TestDeathAtAnyWriteOfTheStorage(t *testing.T) {
	messages, _ := loadFixture(t, "success")
	whole := newFaultyDelivery(t)
	whole.life(t, messages, nil)
	want := readState(t, whole.server)
	for _, stored := range []bool{false, true} {
		for k := 0; ; k += race.Pick(1, 5) {
			d := newFaultyDelivery(t)
			olderThanJobs(t, d.kept, d.cfg.Endpoint)
			died := d.dieAfter(k, stored)
			left := d.life(t, messages, died)
			if !isClosed(died) {
				if k < 30 {
					t.Errorf("died nowhere before write %d", k)
				}
				d.server.Close()
				break
			}
			d.revive()
			left = d.life(t, left, d.dieAfter(k%7, !stored))
			d.revive()
			if left = d.life(t, left, nil); len(left) > 0 {
				t.Errorf("%d messages are refused", len(left))
			}
			if diff := cmp.Diff(want, readState(t, d.server)); diff != "" {
				t.Fatalf("death at write %d, stored %v (-want +got)\n%s", k, stored, diff)
			}
			d.server.Close()
		}
	}
}
