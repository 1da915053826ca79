//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/technoshare/commentator/internal/retention/retentiontest"
)

// retentionResult is what retention.json holds.
type retentionResult struct {
	Time     time.Time           `json:"time"`
	Revision string              `json:"revision"`
	Machine  string              `json:"machine"`
	Seconds  float64             `json:"seconds"`
	RunRows  int                 `json:"run_rows"` // that go
	Fill     float64             `json:"fill_seconds"`
	Before   retentiontest.State `json:"before"`

	Whole struct {
		Plan       json.RawMessage `json:"plan"`
		DrySeconds float64         `json:"dry_run_seconds"`
		Report     json.RawMessage `json:"report"`
		Seconds    float64         `json:"seconds"`
		BesideMS   []float64       `json:"beside_ms"` // each write that somebody else made meanwhile
		// BesideFailed counts those that MLflow could not do.
		BesideFailed int                 `json:"beside_failed"`
		Server       map[string]int      `json:"server_finds"`
		State        retentiontest.State `json:"state"`
	} `json:"retention"`
	Killed struct {
		KilledAfter []int               `json:"killed_after_runs"`
		Report      json.RawMessage     `json:"report"` // of the time that was not killed
		Seconds     float64             `json:"seconds"`
		State       retentiontest.State `json:"state"`
	} `json:"retention_killed"`
	Same bool `json:"killed_ends_the_same"`
	GC   struct {
		DeleteSeconds float64             `json:"delete_seconds"` // by the API, before gc
		Seconds       float64             `json:"seconds"`
		State         retentiontest.State `json:"state"`
	} `json:"mlflow_gc"`
	Odd          []oddResult `json:"mlflow_gc_odd"`
	OddRetention oddResult   `json:"retention_odd"` // after all of these, both together
}

// oddResult is what became of runs of which one is odd.
type oddResult struct {
	Name    string `json:"name,omitempty"`
	Removed int    `json:"removed"`
	Wanted  int    `json:"wanted"`
	Error   string `json:"error"`
}

func (r *retentionResult) print(path string) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%d run rows\tseconds\tbytes freed\tof files\tof the database\torphaned directories\ttraces\trows\n", r.RunRows)
	line := func(name string, seconds float64, s retentiontest.State) {
		files, database := r.Before.FileBytes-s.FileBytes, r.Before.DatabaseBytes-s.DatabaseBytes
		fmt.Fprintf(w, "%s\t%.1f\t%d\t%d\t%d\t%d\t%d\t%d\n", name, seconds, files+database, files, database, s.Orphans.Directories, s.Orphans.Traces, s.Orphans.Rows)
	}
	line("mlflowctl retention", r.Whole.Seconds, r.Whole.State)
	line("killed five times, then", r.Killed.Seconds, r.Killed.State)
	line(fmt.Sprintf("mlflow gc (%.1f s of it deleting by the API)", r.GC.DeleteSeconds), r.GC.DeleteSeconds+r.GC.Seconds, r.GC.State)
	if err := w.Flush(); err != nil {
		return err
	}
	if beside := slices.Sorted(slices.Values(r.Whole.BesideMS)); len(beside) > 0 {
		fmt.Printf("\nBeside it a write to MLflow took %.1f ms (median), %.1f ms (95 %%), %.1f ms (most) of %d; %d failed.\n", beside[len(beside)/2], beside[len(beside)*95/100], beside[len(beside)-1], len(beside), r.Whole.BesideFailed)
	}
	fmt.Printf("Dry run: %.1f s. Killed and repeated it ends the same: %v. MLflow finds %v.\n\n", r.Whole.DrySeconds, r.Same, r.Whole.Server)
	for _, o := range r.Odd {
		fmt.Printf("One run with %s: mlflow gc removed %d of %d. %s\n", o.Name, o.Removed, o.Wanted, o.Error)
	}
	fmt.Printf("mlflowctl retention after these: %d of %d gone, what lies in the bucket and at the unknown address stays. %s\n", r.OddRetention.Removed, r.OddRetention.Wanted, r.OddRetention.Error)
	fmt.Println("\nraw:", path)
	if !r.Same || !r.Whole.State.Orphans.None() || !r.Killed.State.Orphans.None() {
		return fmt.Errorf("killed and repeated it must end the same and without orphans: see %s", path)
	}
	return nil
}
