package scorers

import (
	"strings"

	"github.com/technoshare/commentator/internal/evaluation"
)

// Gates asks whether the comment would be posted: no quality gate fails.
const Gates = "gates"

var gatesPassed = yesNo{name: Gates, check: func(m evaluation.Made) string {
	var problems []string
	for _, f := range m.Gates.Failures {
		problems = append(problems, f.Message)
	}
	return strings.Join(problems, " ")
}}

// gate returns what one gate said of the comment.
func gate(name string) func(evaluation.Made) string {
	return func(m evaluation.Made) string {
		for _, f := range m.Gates.Failures {
			if f.Gate == name {
				return f.Message
			}
		}
		return ""
	}
}
