package apply_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// At most so many experiments are created, over restarts too. What belongs into another
// one is refused for good, says what to do, and costs nobody else anything.
func TestMaxExperiments(t *testing.T) {
	server := mlflowtest.Start()
	defer server.Close()
	e := newEnv(t, server.URL)
	e.cfg.MaxExperiments = 2
	e.restart(t)
	e.mustApply(t, plan("one", 1), plan("two", 2))
	e.restart(t)
	mixed := plan("one", 3)
	further := plan("three", 4)
	mixed.Runs = append(mixed.Runs, further.Runs...)
	mixed.Traces = append(mixed.Traces, further.Traces...)
	err := e.Apply(t.Context(), mixed)
	items := apply.Errors(err)
	if len(items) != 1 || !items[0].Permanent || !strings.Contains(err.Error(), `create experiment "three": `+"`max_experiments` allows 2") {
		t.Fatalf("error is %v", err)
	}
	if n := e.events.take(); n == 0 {
		t.Error("no dead letter was counted")
	}
	exps, err := e.client.SearchExperiments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(exps, func(x mlflow.Experiment) bool { return x.Name == "three" }) {
		t.Error("the experiment was created")
	}
	one, err := e.client.GetExperimentByName(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	state, err := mlflowtest.Read(t.Context(), e.client, one.ID)
	if err != nil {
		t.Fatal(err)
	}
	if want := 2 * len(further.Runs); len(state.Runs) != want {
		t.Errorf("%d runs, want %d", len(state.Runs), want)
	}
	// Somebody creates it in MLflow: then it is used.
	if _, err := e.client.CreateExperiment(t.Context(), "three"); err != nil {
		t.Fatal(err)
	}
	e.mustApply(t, plan("three", 4))
}
