//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/wire/fixture"
)

// TestExperimentOfTheOldStartScript delivers into an experiment that the old deployment's
// script made: its artifact root is a folder, not the server. Both servers are tried, the
// old one and the new one on the old one's database.
func TestExperimentOfTheOldStartScript(t *testing.T) {
	const experiment = "old"
	dir := t.TempDir()
	interpreter, err := python()
	if err != nil {
		t.Fatal(err)
	}
	old, err := runServer(dir, func(port int) (*process, error) {
		return start(dir, "old-mlflow", []string{"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false"}, interpreter, "-m", "mlflow", "server",
			"--host", "127.0.0.1", "--port", fmt.Sprint(port),
			"--backend-store-uri", "sqlite:///mlflow.db", "--default-artifact-root", "./mlartifacts")
	})
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		ExperimentID string `json:"experiment_id"`
	}
	old.ask(t, map[string]any{"create_experiment": experiment}, &made)
	all, _ := recordings(t, experiment)
	first, second := pick(t, all, "success"), pick(t, all, "gate_failed")

	deliver := func(s *server, r recording) {
		t.Helper()
		c := startCollector(t, s.url, experiment, t.TempDir())
		c.send(t, r.requests...)
		c.delivered(t)
		c.stop()
		held := s.dump(t, experiment)
		for _, wrong := range held.compare(r.expected, experiment) {
			t.Error(wrong)
		}
		for _, run := range held.Runs {
			if strings.HasPrefix(run.ArtifactURI, "mlflow-artifacts:") {
				t.Errorf("artifact root %s is not what the old script makes", run.ArtifactURI)
			}
		}
	}
	deliver(old, first)
	old.stop()
	current, err := startServer(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer current.stop()
	deliver(current, second)
	held := current.dump(t, experiment)
	for _, wrong := range append(held.compare(first.expected, experiment),
		held.surplus(map[string]fixture.Expected{"first": first.expected, "second": second.expected})...) {
		t.Error(wrong)
	}
}

func pick(t *testing.T, all []recording, name string) recording {
	t.Helper()
	for _, r := range all {
		if r.name == name {
			return r
		}
	}
	t.Fatalf("there is no fixture %s", name)
	return recording{}
}
