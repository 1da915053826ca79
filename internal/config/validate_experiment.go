package config

import (
	"strings"
	"unicode/utf8"
)

// maxExperiment is how long the name of an experiment may be, in characters, for the exporter.
const maxExperiment = 250

// validateExperiments refuses names of experiments that the exporter refuses, or changes when a worker
// sends them: what is recorded would be looked for elsewhere than it is.
func (c Config) validateExperiments(no func(key, format string, args ...any)) {
	for _, e := range []struct{ key, name string }{{"MLFLOW_EXPERIMENT_NAME", c.Experiment}, {"EVAL_EXPERIMENT_NAME", c.EvalExperiment}} {
		switch name := strings.TrimSpace(e.name); {
		case e.name == "":
		case name == "":
			no(e.key, "%q is no name of an experiment; write one, or leave it unset", e.name)
		case utf8.RuneCountInString(name) > maxExperiment:
			no(e.key, "a name of %d characters is too long for an experiment; use at most %d", utf8.RuneCountInString(name), maxExperiment)
		}
	}
}
