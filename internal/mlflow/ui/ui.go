// Package ui makes addresses of pages of the MLflow UI.
package ui

import "strings"

// Run is the address of a run. MLflow's GenAI mode has no list of plain runs, so that
// addresses go straight to the run. Base is the UI's address; the ids are the server's own
// and need no escaping.
func Run(base, experimentID, runID string) string {
	return strings.TrimRight(base, "/") + "/#/experiments/" + experimentID + "/runs/" + runID
}

// Trace is the address of a trace, opened above the list of its experiment.
func Trace(base, experimentID, traceID string) string {
	return strings.TrimRight(base, "/") + "/#/experiments/" + experimentID + "/traces?selectedEvaluationId=" + traceID
}
