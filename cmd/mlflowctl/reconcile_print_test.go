package main

import (
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/reconcile"
)

// A renamed experiment holds every job: that is said once, with what to do.
func TestARenamedExperimentIsOneLine(t *testing.T) {
	var r reconciled
	for job := range int64(300) {
		r.Elsewhere = append(r.Elsewhere, reconcile.Finding{Job: job + 4, Key: "key", Run: "run", Item: "run", Detail: `in experiment "mine"; want "team"`})
	}
	r.Elsewhere = append(r.Elsewhere, reconcile.Finding{Job: 9, Key: "key", Item: "trace", Detail: `in experiment "old"; want "team"`})
	var out strings.Builder
	if err := (&reconcileCmd{}).print(&out, r); err != nil {
		t.Fatal(err)
	}
	said := out.String()
	for _, want := range []string{
		`300 jobs are in experiment "mine"; want "team"; the first is job 4 (run)`, `1 job is in experiment "old"; want "team"; the first is job 9 (key)`,
		"give it its name back", "MLFLOW_EXPERIMENT_NAME", "MLflow does not hold everything in the experiment that it was recorded for.",
	} {
		if strings.Count(said, want) != 1 {
			t.Errorf("it does not say once %q:\n%s", want, said)
		}
	}
	r.Repair, r.Before = &reconcile.Repair{}, &reconcile.Result{}
	r.Deleted = append(r.Deleted, reconcile.Finding{Job: 5, Run: "gone", Item: "run", Detail: "deleted"})
	const inAnother = "MLflow does not hold everything in the experiment that it was recorded for."
	for _, back := range []bool{false, true} {
		out.Reset()
		if err := (&reconcileCmd{Repair: true, Deleted: back}).print(&out, r); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), inAnother) == back || back && !strings.Contains(out.String(), "MLflow does not hold what was recorded.") {
			t.Errorf("a deleted run is not back, as asked for: %v\n%s", back, out.String())
		}
	}
	if strings.Count(said, "\n") > 10 || strings.Contains(said, "--repair sends it again") {
		t.Errorf("it says\n%s", said)
	}
}
