package reports

import (
	"fmt"
	"strings"

	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/evaluation/compare"
)

// Markdown is a comparison for a pull request or the summary of a CI run.
func Markdown(r *compare.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## Evaluation: %s %s\n\n", mark[r.Verdict], headline(r))
	for _, reason := range r.Reasons {
		fmt.Fprintf(&b, "* %s\n", escape(reason))
	}
	fmt.Fprintln(&b)
	fmt.Fprint(&b, markdownTable([]string{"", "baseline", "candidate", "difference"}, figures(r)))
	if changed := changes(r); len(changed) > 0 {
		fmt.Fprintf(&b, "\n<details><summary>%s changed: %d worse, %d better</summary>\n\n", counted.Of(len(changed), "example"), r.Worsened, r.Improved)
		var rows [][]string
		for _, c := range changed {
			rows = append(rows, []string{c.ID, count(c.Base), count(c.Cand), strings.Join(c.Tags, ", ")})
		}
		fmt.Fprint(&b, markdownTable([]string{"example", "baseline", "candidate", "tags"}, rows))
		fmt.Fprint(&b, "\n</details>\n")
	}
	if len(r.Excluded) > 0 {
		fmt.Fprintf(&b, "\n<details><summary>%s not compared</summary>\n\n", counted.Form(len(r.Excluded), "example was", "examples were"))
		for _, e := range r.Excluded {
			fmt.Fprintf(&b, "* %s: %s\n", escape(e.ID), escape(e.Reason))
		}
		fmt.Fprint(&b, "\n</details>\n")
	}
	return b.String()
}

var mark = map[compare.Verdict]string{compare.Pass: "✅", compare.Fail: "❌", compare.Inconclusive: "❔"}

// escape keeps text from becoming markup.
var escape = strings.NewReplacer("\\", "\\\\", "|", "\\|", "<", "&lt;", "*", "\\*", "_", "\\_", "`", "\\`", "[", "\\[", "#", "\\#", "\n", " ").Replace

func markdownTable(head []string, rows [][]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = escape(strings.TrimSpace(c))
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	return b.String()
}
