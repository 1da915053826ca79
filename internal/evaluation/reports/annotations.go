package reports

import (
	"fmt"
	"strings"

	"github.com/technoshare/commentator/internal/evaluation/compare"
)

// maxAnnotations of one level is what GitHub shows of a step; the others would be dropped without
// a word.
const maxAnnotations = 10

// Annotations are GitHub's workflow commands: the verdict, and the examples that became worse when
// it is FAIL.
func Annotations(r *compare.Result) string {
	level := map[compare.Verdict]string{compare.Pass: "notice", compare.Fail: "error", compare.Inconclusive: "warning"}[r.Verdict]
	var b strings.Builder
	fmt.Fprintf(&b, "::%s title=%s::%s\n", level, property("Evaluation: "+headline(r)), data(strings.Join(r.Reasons, "\n")))
	if r.Verdict != compare.Fail {
		return b.String()
	}
	for i, c := range r.Examples {
		if c.Difference() >= 0 || i == maxAnnotations-1 {
			break
		}
		fmt.Fprintf(&b, "::error title=%s::%s\n", property("Evaluation example "+c.ID), data(fmt.Sprintf("passed %s, %s before", count(c.Cand), count(c.Base))))
	}
	return b.String()
}

// What GitHub reads as the end of a line or of a property.
var (
	data     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace
	property = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace
)
