package reports

import (
	"fmt"
	"strings"

	"github.com/technoshare/commentator/internal/evaluation/compare"
)

// AuditText is an audit of the gate for a terminal.
func AuditText(a *compare.Audit) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d comparisons of unchanged comments, %d examples × %d, minimum effect %.3g points\n", a.Unchanged.Runs, a.Examples, a.Repetitions, 100*a.Config.MinEffect)
	rows := [][]string{
		{"", "PASS", "FAIL", "INCONCLUSIVE"},
		{"unchanged", fmt.Sprint(a.Unchanged.Pass), fmt.Sprint(a.Unchanged.Fail), fmt.Sprint(a.Unchanged.Inconclusive)},
	}
	if a.Recommended > 0 {
		rows = append(rows, []string{"dropped by the minimum effect", fmt.Sprint(a.Dropped.Pass), fmt.Sprint(a.Dropped.Fail), fmt.Sprint(a.Dropped.Inconclusive)})
	}
	fmt.Fprint(&b, table(rows))
	fmt.Fprintf(&b, "false FAIL  %s (95 %%: at most %s)\n", fine(a.FalseFail), fine(a.FalseFailInterval.High))
	fmt.Fprintf(&b, "PASS        %s (95 %%: at least %s)\n", percent(a.PassShare), percent(a.PassShareInterval.Low))
	if a.Recommended > 0 {
		fmt.Fprintf(&b, "power       %s; missed with PASS %s\n", percent(a.Power), percent(a.Missed))
		fmt.Fprintf(&b, "examples    %d find such a drop with a power of 80 %%, even if it breaks a few and spares the others\n", a.Recommended)
	} else {
		fmt.Fprintln(&b, "The pass rate is too low to drop by the minimum effect.")
	}
	for _, p := range a.Real {
		fmt.Fprintf(&b, "\n%s with %s: %s\n  %s\n", short(p.Base), short(p.Cand), p.Verdict, p.Reason)
	}
	return b.String()
}

// fine is a share that may be small.
func fine(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }
