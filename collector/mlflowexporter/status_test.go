package mlflowexporter

import (
	"slices"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
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

// Each host hears of a change once, one that comes later of what is so, and none of anything
// after the first has left.
func TestStatusIsReportedOnChange(t *testing.T) {
	logged, entries := observer.New(zap.InfoLevel)
	s := status{log: zap.New(logged)}
	first, second := &watched{}, &watched{}
	becomes := func(away string) { s.update(func() string { return away }) }
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
	s.end()
	if n := entries.Len(); n != 2 {
		t.Errorf("%d lines were logged of two changes", n)
	}
	becomes("away")
	first.check(t, "after the end", recoverable, ok)
}
