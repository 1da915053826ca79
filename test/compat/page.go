//go:build unix

package main

import (
	"fmt"
	"strings"
)

const head = `# Compatibility

Written by ` + "`make compat`" + ` from what each server held, not by hand. Each MLflow ran on SQLite, with one worker and the
packages of [versions.txt](../scripts/mlflow/versions.txt) and [requirements.txt](../scripts/mlflow/requirements.txt).

On each version the exporter, with its default configuration, writes one job of five stages with artifacts, model calls, a
tool, cached tokens and cost (fixture ` + "`model`" + `), and MLflow's REST API is asked what is there. A cell is the outcome of
its check on that server, on that day.

| | |
|---|---|
| ✓ | read back as it must be |
| refused | this server takes no OpenTelemetry traces: none is there, and the log of the Collector says so in one line |
| ✗ | something differs, see below the table |

To repeat it: ` + "`make compat`" + `; for some versions, whose rows are replaced: ` + "`make compat VERSIONS=\"3.7.0 3.17.2\"`" + `. Raw results are
in [results.json](../test/compat/results.json). PostgreSQL: ` + "`make contract-postgres`" + `.

`

// page is docs/COMPATIBILITY.md.
func (all results) page() string {
	var b, wrong strings.Builder
	b.WriteString(head + "| MLflow |")
	for _, c := range columns {
		b.WriteString(" " + c.name + " |")
	}
	b.WriteString(" checked |\n|---|" + strings.Repeat("---|", len(columns)) + "---|\n")
	for _, r := range all {
		b.WriteString("| " + r.Version + " |")
		for _, c := range columns {
			got, checked := r.Cells[c.name]
			if !checked {
				b.WriteString(" – |")
				continue
			}
			b.WriteString(" " + got.text() + " |")
			if got.Wrong != "" {
				fmt.Fprintf(&wrong, "\n%s, %s:\n\n```\n%s\n```\n", r.Version, c.name, strings.TrimSpace(got.Wrong))
			}
		}
		fmt.Fprintf(&b, " %s, %s |\n", r.Time.Format("2006-01-02"), r.Revision)
	}
	b.WriteString("\n| column | what is checked |\n|---|---|\n")
	for _, c := range columns {
		fmt.Fprintf(&b, "| %s | %s |\n", c.name, c.about)
	}
	if wrong.Len() > 0 {
		b.WriteString("\n## What differs\n" + wrong.String())
	}
	return b.String()
}

func (c cell) text() string {
	switch {
	case c.Wrong != "":
		return "✗"
	case c.Refused:
		return "refused"
	case c.Figure != "":
		return "✓ " + c.Figure
	}
	return "✓"
}

// summary is a line for the screen.
func (r result) summary() string {
	var b strings.Builder
	for _, column := range columns {
		c := r.Cells[column.name]
		switch {
		case c.Wrong != "":
			b.WriteString("✗")
		case c.Refused:
			b.WriteString("–")
		default:
			b.WriteString("✓")
		}
	}
	return b.String()
}
