//go:build linux

package main

import (
	"testing"

	api "github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

// TestADoubleThatNeverEndsIsCounted, as are runs that nobody asked for; a run that has not ended is lost.
func TestADoubleThatNeverEndsIsCounted(t *testing.T) {
	fake := mlflowtest.Start()
	defer fake.Close()
	client, err := api.New(api.Config{Endpoint: fake.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	in := func(name string) func(key, status string) {
		id, err := client.CreateExperiment(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return func(key, status string) {
			t.Helper()
			run, err := client.CreateRun(t.Context(), api.CreateRun{ExperimentID: id, Name: key, Tags: []api.KeyValue{{Key: wire.TagKey, Value: key}}})
			if err == nil && status != api.StatusRunning {
				err = client.UpdateRun(t.Context(), api.UpdateRun{RunID: run.Info.ID, Status: status})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	run := in(experiment)
	run("whole", api.StatusFinished)
	run("twice", api.StatusRunning)
	run("twice", api.StatusFinished)
	run("open", api.StatusRunning)
	run("stranger", api.StatusFinished)
	in(experiment+"_service")("worker", api.StatusRunning) // of no job, and rightly there

	r := &outageResult{}
	r.countRuns([]string{"whole", "twice", "open", "missing"}, fake)
	if r.Doubled != 1 || r.Lost != 2 || r.Unwanted != 1 {
		t.Errorf("%d doubled, %d lost, %d unwanted; want 1, 2, 1", r.Doubled, r.Lost, r.Unwanted)
	}
}
