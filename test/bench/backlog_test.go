//go:build linux

package main

import (
	"fmt"
	"testing"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

// TestJobsOfABacklogAreCounted: a job that lacks a run, or its trace, or has either unfinished, is lost; a
// second run of a key is one too many, whether it ended or not.
func TestJobsOfABacklogAreCounted(t *testing.T) {
	fake := mlflowtest.Start()
	defer fake.Close()
	client, err := mlflow.New(mlflow.Config{Endpoint: fake.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	experiment, err := client.CreateExperiment(t.Context(), experimentOf(0))
	if err != nil {
		t.Fatal(err)
	}
	run := func(key, status string) {
		t.Helper()
		run, err := client.CreateRun(t.Context(), mlflow.CreateRun{ExperimentID: experiment, Name: key, Tags: []mlflow.KeyValue{{Key: wire.TagKey, Value: key}}})
		if err == nil && status != mlflow.StatusRunning {
			err = client.UpdateRun(t.Context(), mlflow.UpdateRun{RunID: run.Info.ID, Status: status})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	trace := func(n int, state string) {
		t.Helper()
		info := mlflow.TraceInfo{TraceID: "tr-" + traceID(n).String(), Location: mlflow.InExperiment(experiment), State: state, RequestTime: "2026-11-20T09:00:00Z"}
		if err := client.StartTrace(t.Context(), info); err != nil {
			t.Fatal(err)
		}
	}
	const whole, twice, lacksARun, runs, lacksTheTrace, traceIsOpen, jobs = 0, 1, 2, 3, 4, 5, 6
	for n := range jobs {
		id := traceID(n).String()
		run(id, mlflow.StatusFinished)
		for stage := range stagesAndJob - 1 {
			status := mlflow.StatusFinished
			switch {
			case stage > 0:
			case n == lacksARun:
				run(id, mlflow.StatusFinished) // which makes as many finished runs
				continue
			case n == runs:
				status = mlflow.StatusRunning
			case n == twice:
				run(id+"-0", mlflow.StatusRunning)
			}
			run(fmt.Sprintf("%s-%d", id, stage), status)
		}
		if n != lacksTheTrace {
			trace(n, map[bool]string{true: "IN_PROGRESS", false: "OK"}[n == traceIsOpen])
		}
	}
	lost, doubled, err := countJobs(fake.URL, jobs)
	if err != nil || lost != 4 || doubled != 2 {
		t.Errorf("%d lost, %d doubled, %v; want 4 and 2", lost, doubled, err)
	}
}

// TestALossEndsTheBacklogWithAnError, and so does a double.
func TestALossEndsTheBacklogWithAnError(t *testing.T) {
	for r, fails := range map[[2]int]bool{{0, 0}: false, {1, 0}: true, {0, 1}: true} {
		if err := (backlogResult{Jobs: 9, Lost: r[0], Doubled: r[1]}).complete(); (err != nil) != fails {
			t.Errorf("%d lost, %d doubled: %v", r[0], r[1], err)
		}
	}
}
