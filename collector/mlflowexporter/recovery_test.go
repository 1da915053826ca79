package mlflowexporter

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/exporter/exportertest"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/diskqueue"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
)

// TestFullDiskRefusesWhatComes: the disk is full when a message is taken out of the queue.
// What comes is refused, the Collector ends all the same, and the next one has everything.
func TestFullDiskRefusesWhatComes(t *testing.T) {
	messages, _ := loadFixture(t, "success")
	whole := newFaultyDelivery(t)
	whole.life(t, messages, nil)
	want := readState(t, whole.server)

	d := newFaultyDelivery(t)
	traces, err := createTraces(t.Context(), exportertest.NewNopSettings(metadata.Type), d.cfg)
	if err != nil {
		t.Fatal(err)
	}
	e := traces.(*recoveringTraces)
	told := &watched{Host: host{storageID: d.kept}}
	if err := e.Start(t.Context(), told); err != nil {
		t.Fatal(err)
	}
	batches := 0
	d.kept.mu.Lock()
	d.kept.fail = func(after bool) error {
		if !after {
			batches++
		}
		if batches > 1 { // the first one puts the message in
			return errors.New("no space left on device")
		}
		return nil
	}
	d.kept.mu.Unlock()
	if err := e.ConsumeTraces(t.Context(), messages[0]); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); e.takes() == nil || told.reports() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the queue does not say that its disk is full")
		}
	}
	if err := e.ConsumeTraces(t.Context(), messages[1]); !errors.Is(err, diskqueue.ErrDisk) {
		t.Errorf("a message that comes: %v", err)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	told.check(t, "with a full disk to the end", recoverable)
	d.revive()
	if left := d.life(t, messages[1:], nil); len(left) > 0 {
		t.Errorf("%d messages are refused", len(left))
	}
	if diff := cmp.Diff(want, readState(t, d.server)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
