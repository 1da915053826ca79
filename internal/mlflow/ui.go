package mlflow

import (
	"net/url"
	"strings"
)

// RunURL is the address of a run in the UI. MLflow's GenAI mode has no list of plain
// runs, so that addresses go straight to the run.
func RunURL(ui, experimentID, runID string) string {
	return strings.TrimRight(ui, "/") + "/#/experiments/" + url.PathEscape(experimentID) + "/runs/" + url.PathEscape(runID)
}

// TraceURL is the address of a trace in the UI, opened above the list of its experiment.
func TraceURL(ui, experimentID, traceID string) string {
	return strings.TrimRight(ui, "/") + "/#/experiments/" + url.PathEscape(experimentID) + "/traces?selectedEvaluationId=" + url.QueryEscape(traceID)
}
