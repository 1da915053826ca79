package config

import (
	"strings"
	"testing"
)

// The same as the exporter refuses, which then does not start.
func TestNamesOfExperimentsThatTheCollectorRefusesAreRefused(t *testing.T) {
	long := strings.Repeat("ä", 251)
	_, _, err := load(t, []string{"EVAL_EXPERIMENT_NAME=" + long}, "MLFLOW_EXPERIMENT_NAME=' '\n")
	checkLines(t, err, []string{
		`EVAL_EXPERIMENT_NAME: a name of 251 characters is too long for an experiment; use at most 250`,
		`.env:1: MLFLOW_EXPERIMENT_NAME: " " is no name of an experiment; write one, or leave it unset`,
	})
	if _, _, err := load(t, []string{"EVAL_EXPERIMENT_NAME=" + long[2:]}, "MLFLOW_EXPERIMENT_NAME=\n"); err != nil {
		t.Error(err)
	}
}
