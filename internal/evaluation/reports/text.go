package reports

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/evaluation/compare"
)

// Text is a comparison for a terminal.
func Text(r *compare.Result) string {
	var b strings.Builder
	fmt.Fprintln(&b, headline(r))
	for _, reason := range r.Reasons {
		fmt.Fprintln(&b, "  "+reason)
	}
	fmt.Fprintln(&b)
	rows := append([][]string{{"", "baseline", "candidate", "difference"}}, figures(r)...)
	fmt.Fprint(&b, table(rows))
	if changed := changes(r); len(changed) > 0 {
		fmt.Fprintln(&b)
		rows := [][]string{{"changed example", "baseline", "candidate", "tags"}}
		for _, c := range changed {
			rows = append(rows, []string{c.ID, count(c.Base), count(c.Cand), strings.Join(c.Tags, ", ")})
		}
		fmt.Fprint(&b, table(rows))
	}
	if len(r.Excluded) > 0 {
		fmt.Fprintf(&b, "\nnot compared (%d):\n", len(r.Excluded))
		for _, e := range r.Excluded {
			fmt.Fprintf(&b, "  %s: %s\n", e.ID, e.Reason)
		}
	}
	return b.String()
}

func headline(r *compare.Result) string {
	s := string(r.Verdict)
	if r.More > 0 {
		s += fmt.Sprintf(": about %s would decide, if they are like these", counted.Of(r.More, "more example"))
	}
	return s
}

// figures are the rows of the table of numbers: name, baseline, candidate, difference.
func figures(r *compare.Result) [][]string {
	rate := func(s compare.Side) string {
		return fmt.Sprintf("%s (%s to %s)", percent(s.Rate), percent(s.Interval.Low), percent(s.Interval.High))
	}
	tries := func(s compare.Side) string {
		text := fmt.Sprintf("%d of %d", s.Tries-s.Lost-s.Missing, s.Tries)
		if s.Lost > 0 {
			text += fmt.Sprintf(", %d infrastructure errors", s.Lost)
		}
		if s.Missing > 0 {
			text += fmt.Sprintf(", %d not made", s.Missing)
		}
		return text
	}
	rows := [][]string{
		{"pass rate", rate(r.Base), rate(r.Cand), ""},
		{"in pairs", "", "", fmt.Sprintf("%s points (%s to %s), p = %.2g, %d pairs", points(r.Difference), points(r.Interval.Low), points(r.Interval.High), r.P, r.Pairs)},
		{"tries", tries(r.Base), tries(r.Cand), ""},
	}
	for _, s := range r.Scorers {
		rows = append(rows, []string{"  " + s.Name, percent(s.Base), percent(s.Cand), fmt.Sprintf("%s points (%s to %s)", points(s.Cand-s.Base), points(s.Interval.Low), points(s.Interval.High))})
	}
	shift := func(name, unit string, s *compare.Shift) {
		if s != nil {
			rows = append(rows, []string{name, fmt.Sprintf("%.4g %s", s.Base, unit), fmt.Sprintf("%.4g %s", s.Cand, unit), fmt.Sprintf("%+.3g (%+.3g to %+.3g)", s.Cand-s.Base, s.Interval.Low, s.Interval.High)})
		}
	}
	shift("latency of a try", "s", r.Latency)
	shift("cost of a try", "USD", r.Cost)
	rows = append(rows,
		[]string{"prompts", Prompts(r.Base.Prompts), Prompts(r.Cand.Prompts), ""},
		[]string{"models", models(r.Base.Models, r.Base.Analyser), models(r.Cand.Models, r.Cand.Analyser), ""},
		[]string{"dataset", dataset(r.Base.Dataset), dataset(r.Cand.Dataset), ""},
		[]string{"revision", short(r.Base.Revision), short(r.Cand.Revision), ""},
	)
	return rows
}

// changes are the pairs that are not equal, the worst first.
func changes(r *compare.Result) (out []compare.Change) {
	for _, c := range r.Examples {
		if c.Difference() != 0 {
			out = append(out, c)
		}
	}
	return out
}

// Prompts names versions of prompts by their texts' hashes, as far as people need them.
func Prompts(prompts []evaluation.PromptRef) string {
	var names []string
	for _, p := range prompts {
		names = append(names, p.Name+"@"+short(p.SHA256))
	}
	return orNone(names)
}

func models(refs []evaluation.ModelRef, analyser string) string {
	var names []string
	for _, m := range refs {
		if len(names) == 0 || names[len(names)-1] != m.Model {
			names = append(names, m.Model)
		}
	}
	if len(names) == 0 {
		return analyser
	}
	return strings.Join(names, ", ") + " (" + analyser + ")"
}

func dataset(d evaluation.DatasetRef) string {
	return strings.TrimSpace(d.Name+" "+d.Version) + " " + short(d.Hash)
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func short(hash string) string { return hash[:min(len(hash), 8)] }

func count(c compare.Count) string { return fmt.Sprintf("%d of %d", c[0], c[1]) }

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func points(difference float64) string { return fmt.Sprintf("%+.1f", 100*difference) }

// Printable puts a blank in the place of each control character: models say what they like, and a terminal
// would act on it.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

func table(rows [][]string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // into memory
	lines := strings.Split(b.String(), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n")
}
