package mlflowexporter

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/diskqueue"
)

// watched is a host that notes what is reported to it.
type watched struct {
	component.Host
	mu     sync.Mutex
	events []*componentstatus.Event
}

func (w *watched) Report(e *componentstatus.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func (w *watched) reports() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.events)
}

func (w *watched) check(t *testing.T, when string, want ...componentstatus.Status) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var got []componentstatus.Status
	for _, e := range w.events {
		got = append(got, e.Status())
		if (e.Status() == componentstatus.StatusRecoverableError) != (e.Err() != nil) {
			t.Errorf("%s: %s with error %v", when, e.Status(), e.Err())
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: reported %v, want %v", when, got, want)
	}
}

const (
	ok          = componentstatus.StatusOK
	recoverable = componentstatus.StatusRecoverableError
)

// onDisk is a host with a queue on a disk.
type onDisk struct {
	watched
	err error
}

func (h *onDisk) Err() error { return h.err }

// A host hears of the disk of its queue, and while MLflow is away of that alone.
func TestStatusTellsOfTheDisk(t *testing.T) {
	s := status{log: zap.NewNop()}
	full, other := &onDisk{}, &onDisk{}
	becomes := func(away string) { s.update(func() apply.State { return apply.State{Away: away} }) }
	disk := func(err error) { full.err = err; s.disk(full) }
	s.join(full)
	s.join(other)
	disk(diskqueue.ErrDisk)
	full.check(t, "full", recoverable)
	disk(nil)
	full.check(t, "with room", recoverable, ok)
	becomes("connection refused")
	disk(diskqueue.ErrDisk)
	full.check(t, "full while MLflow is away", recoverable, ok, recoverable)
	becomes("")
	full.check(t, "full when MLflow is back", recoverable, ok, recoverable, recoverable)
	late := &onDisk{err: diskqueue.ErrDisk}
	s.join(late)
	late.check(t, "full before it came", recoverable)
	disk(nil)
	full.check(t, "well", recoverable, ok, recoverable, recoverable, ok)
	other.check(t, "whose disk has room", recoverable, ok)
	s.end()
	disk(diskqueue.ErrDisk)
	full.check(t, "after the end", recoverable, ok, recoverable, recoverable, ok)
}

// Each host hears of a change once, one that comes later of what is so, and none of anything
// after the first has left.
func TestStatusIsReportedOnChange(t *testing.T) {
	logged, entries := observer.New(zap.InfoLevel)
	s := status{log: zap.New(logged)}
	first, second := &watched{}, &watched{}
	becomes := func(away string) { s.update(func() apply.State { return apply.State{Away: away} }) }
	s.join(first)
	becomes("")
	first.check(t, "well from the start")
	becomes("connection refused")
	becomes("time-out")
	s.join(second)
	first.check(t, "away", recoverable)
	second.check(t, "away before it came", recoverable)
	becomes("")
	becomes("")
	first.check(t, "back", recoverable, ok)
	second.check(t, "back", recoverable, ok)
	if n := len(entries.TakeAll()); n != 2 {
		t.Errorf("%d lines were logged of two changes", n)
	}
	for range 3 {
		s.update(func() apply.State { return apply.State{Away: "401", Refuses: true} })
	}
	first.check(t, "refused", recoverable, ok, recoverable)
	if said := entries.TakeAll(); len(said) != 1 || said[0].Level != zap.ErrorLevel || !strings.HasPrefix(said[0].Message, "MLflow refuses every request until the configuration is right") {
		t.Errorf("said %v of refusals", said)
	}
	becomes("connection refused") // of another kind
	becomes("")
	first.check(t, "mended", recoverable, ok, recoverable, recoverable, ok)
	s.end()
	becomes("away")
	first.check(t, "after the end", recoverable, ok, recoverable, recoverable, ok)
}
