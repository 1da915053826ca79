//go:build unix

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

// column is one thing that the bridge writes, and the check of it, which says what is not as
// it must be.
type column struct {
	name   string
	about  string
	traces bool // means nothing on a server that takes no traces
	check  func(context.Context, *visit) cell
}

var columns = []column{
	{"runs", "the job and its five stages, each once, with name, status, start and end", false, checkRuns},
	{"nested runs", "each stage below its job", false, ofRuns(func(w fixture.Run, got *mlflowtest.Run) string { return diff(w.Parent, got.Parent) })},
	{"params", "all, and no others", false, ofRuns(func(w fixture.Run, got *mlflowtest.Run) string { return diff(w.Params, got.Params) })},
	{"metrics", "all, and no others, each with one point", false, ofRuns(checkMetrics)},
	{"tags", "all, and of those without `mlflow.` no others; user, source and description", false, ofRuns(checkTags)},
	{"artifacts", "all, and no others, byte by byte", false, ofRuns(func(w fixture.Run, got *mlflowtest.Run) string { return diff(w.Artifacts, got.Artifacts) })},
	{"resend costs nothing", "the job sent twice more, and once more after a restart: no request, but for version and experiment", false, checkCost},
	{"resend doubles nothing", "after that, and after an exporter without any memory wrote the job again, MLflow holds the same", false, checkSame},
	{"traces", "the trace with state, start and duration; all spans with parents, names, types and status", true, checkTrace},
	{"trace name", "that of the job", true, checkName},
	{"run link", "MLflow finds the trace by its run", true, checkLink},
	{"session, user", "of the trace, as they were sent", true, checkSession},
	{"tokens", "of the trace, reads and writes of the cache included", true, checkTokens},
	{"cost", "of the trace", true, checkTraceCost},
	{"late spans", "a model call that comes after its job is complete joins the trace", true, checkLate},
	{"assessment", "a person's verdict, on the trace; that on the run is among metrics and tags", true, checkAssessment},
	{"prompts", "run and trace name the versions of the prompts that were used, and a search by them finds the trace", true, checkPrompts},
	{"contract", "the [contract tests](../collector/mlflowexporter/internal/apply/contract_test.go) on this server: how many passed", true, checkContract},
}

// cell runs one check.
func (v *visit) cell(ctx context.Context, c column) cell {
	const refusal = "MLflow takes no OpenTelemetry traces"
	if c.traces && len(v.after.Traces) == 0 {
		if len(v.log) == 1 && strings.HasPrefix(v.log[0], refusal) {
			return cell{Refused: true}
		}
		return cell{Wrong: fmt.Sprintf("there is no trace, and the log says %q", v.log)}
	}
	return c.check(ctx, v)
}

// diff says how two values differ, "" when they do not. Empty and missing maps are the same.
func diff[T any](want, got T) string {
	return cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateApprox(0, 1e-9))
}

// ofRuns is a check of each run.
func ofRuns(check func(want fixture.Run, got *mlflowtest.Run) string) func(context.Context, *visit) cell {
	return func(_ context.Context, v *visit) cell {
		var wrong []string
		for _, w := range v.want.Runs {
			got := v.after.Runs[w.Key]
			if got == nil {
				got = &mlflowtest.Run{}
			}
			if d := check(w, got); d != "" {
				wrong = append(wrong, w.Name+": "+d)
			}
		}
		return cell{Wrong: strings.Join(wrong, "\n")}
	}
}
