//go:build linux

package main

import (
	"context"
	"errors"
	"os"
	"testing"
)

// TestReliefWaitsForTheFeed: until the last input is put in, or given up, the programs are the same.
func TestReliefWaitsForTheFeed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &siege{bell: &bell{}, intake: &intake{}, gate: &gate{}, programs: map[victim]*program{}, fedUp: make(chan struct{})}
	for _, v := range []victim{mlflow, collector, worker} {
		s.programs[v] = &program{name: v, dir: t.TempDir(), command: []string{"true"}, died: func(string) {}}
	}
	if err := s.relieve(ctx, "as-they-are"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for v, p := range s.programs {
		if _, err := os.Stat(p.log()); err == nil || p.command[0] != "true" {
			t.Errorf("%s was started again: %q", v, p.command)
		}
		p.kill()
	}
}
