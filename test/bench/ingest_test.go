//go:build linux

package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEventsAreTakenBesideJobsThatWait: it is promised of acknowledgements that so many jobs wait
// meanwhile, so they must not be measured after all were worked off.
func TestEventsAreTakenBesideJobsThatWait(t *testing.T) {
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "commentator")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./cmd/commentator")
	build.Dir = top
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b := &ingestBench{
		o: options{top: top, jobs: 40, rounds: 1}, backend: "sqlite", database: filepath.Join(dir, "db.sqlite"), dir: filepath.Join(dir, "sqlite"), bin: bin,
		length: ingestLength{memory: 100 * time.Millisecond, paced: time.Second, burst: 100 * time.Millisecond, idle: 3},
	}
	r, err := b.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	paced := 0
	for _, o := range r.Open {
		if strings.Contains(o.When, "events by ") {
			if paced++; o.Jobs < b.o.jobs {
				t.Errorf("%s %d jobs waited; want %d", o.When, o.Jobs, b.o.jobs)
			}
		}
	}
	if paced != 4 || len(r.Acks["http"]) != ingestRate || len(r.Acks["socket"]) != ingestRate || len(r.Rates) != 1 || len(r.Idle) != 3 {
		t.Errorf("%+v", r)
	}
	b.o.jobs = 1 << 20 // more than can be there
	if err := b.waiting(t.Context(), &ingestRaw{}, "with too few"); err == nil {
		t.Error("fewer jobs wait than are to, and it counts as if enough did")
	}
}
