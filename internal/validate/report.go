package validate

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/technoshare/commentator/internal/counted"
)

// Status is what came of a check.
type Status string

// The statuses.
const (
	Pass Status = "pass"
	Fail Status = "fail"
	Open Status = "open" // nothing that a program can see: a person has to say, or it was not measured
)

// Check is one step of the validation.
type Check struct {
	Name     string `json:"name"`
	Status   Status `json:"status"`
	Evidence string `json:"evidence"`
	Fix      string `json:"fix,omitempty"` // what to do, when it fails or is open
}

// Criterion is one of the success criteria of the old deployment's migration guide.
type Criterion struct {
	Group     string `json:"group"`
	Criterion string `json:"criterion"`
	Status    Status `json:"status"`
	Evidence  string `json:"evidence"`
}

// Report is what a validation found. Its JSON names are a contract.
type Report struct {
	Time       time.Time   `json:"time"`
	Version    string      `json:"version"`
	MLflow     string      `json:"mlflow"`
	Mode       string      `json:"mode"` // off, tracking or tracing
	Phase      int         `json:"phase"`
	Jobs       int         `json:"jobs"`
	Channel    string      `json:"channel"`
	Experiment string      `json:"experiment"`
	Latency    *Latency    `json:"latency,omitempty"`
	Checks     []Check     `json:"checks"`
	Criteria   []Criterion `json:"criteria"`
	Passed     bool        `json:"passed"` // nothing fails
}

// Latency is how long jobs took, in seconds.
type Latency struct {
	Median   float64 `json:"median_seconds"`
	Off      float64 `json:"off_median_seconds"`      // of jobs with telemetry off, taking turns with those
	Baseline float64 `json:"baseline_median_seconds"` // 0: there is none
	Bound    float64 `json:"bound"`
	// ToOff and ToBaseline are the ratios of the medians.
	ToOff      Ratio  `json:"ratio_to_off"`
	ToBaseline *Ratio `json:"ratio_to_baseline,omitempty"`
}

// moment is how a time is written: in UTC, since reports are read elsewhere, too.
const moment = "2006-01-02 15:04 UTC"

func (r *Report) judge() {
	r.Passed = true
	for _, c := range r.Checks {
		r.Passed = r.Passed && c.Status != Fail
	}
	for _, c := range r.Criteria {
		r.Passed = r.Passed && c.Status != Fail
	}
}

func (r Report) title() string {
	return fmt.Sprintf("mlflowctl %s, %s: %d test jobs in mode %s (phase %d) into experiment %s of %s",
		r.Version, r.Time.UTC().Format(moment), r.Jobs, r.Mode, r.Phase, r.Experiment, r.MLflow)
}

func (r Report) verdict() string {
	met, failed, open := 0, 0, 0
	count := func(s Status) {
		switch s {
		case Fail:
			failed++
		case Open:
			open++
		case Pass:
			met++
		}
	}
	for _, c := range r.Checks {
		count(c.Status)
	}
	for _, c := range r.Criteria {
		count(c.Status)
	}
	text := fmt.Sprintf("%d of %d pass, none fails", met, len(r.Checks)+len(r.Criteria))
	if failed > 0 {
		text = fmt.Sprintf("Failed: %d of %d", failed, len(r.Checks)+len(r.Criteria))
	}
	if open > 0 {
		text += fmt.Sprintf("; %s open", counted.Form(open, "is", "are"))
	}
	return text + "."
}

// Text writes the report for a terminal.
func (r Report) Text(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { fmt.Fprintf(table, format+"\n", args...) }
	line("%s\n", r.title())
	for _, c := range r.Checks {
		line("%s\t%s\t%s", c.Status, c.Name, indent(c.Evidence))
		if c.Fix != "" {
			line("\t\t→ %s", c.Fix)
		}
	}
	line("\nSuccess criteria of the migration guide")
	for _, c := range r.Criteria {
		line("%s\t%s: %s\t%s", c.Status, c.Group, c.Criterion, indent(c.Evidence))
	}
	line("\n%s", r.verdict())
	return table.Flush()
}

// indent keeps further lines below the first in the column of a table.
func indent(text string) string { return strings.ReplaceAll(text, "\n", "\n\t\t") }

// Markdown writes the report as a page.
func (r Report) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Validation\n\n%s\n\n**%s**\n\n| | check | evidence |\n|---|---|---|\n", r.title(), r.verdict())
	for _, c := range r.Checks {
		text := c.Evidence
		if c.Fix != "" {
			text += "\n→ " + c.Fix
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.Status, cell(c.Name), cell(text))
	}
	b.WriteString("\n## Success criteria of the migration guide\n\n| | | criterion | evidence |\n|---|---|---|---|\n")
	for _, c := range r.Criteria {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", c.Status, cell(c.Group), cell(c.Criterion), cell(c.Evidence))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell is a text in a cell of a Markdown table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", "<br>", "<", "&lt;").Replace(text)
}
