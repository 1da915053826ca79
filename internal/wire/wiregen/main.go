// Command wiregen writes docs/WIRE.md from the catalog of names.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/technoshare/commentator/internal/moduleroot"
	"github.com/technoshare/commentator/internal/wire"
)

func main() {
	root, err := moduleroot.Find()
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "docs", "WIRE.md"), []byte(page()), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "wiregen:", err)
		os.Exit(1)
	}
}

const intro = `# The wire

<!-- Written by go run ./internal/wire/wiregen. Change the catalog in internal/wire, not this page. -->

Everything that the worker says and the bridge understands. The worker knows OpenTelemetry and nothing of MLflow; the bridge knows
these names and nothing of the worker.

## Identities

**One job is one trace is one run.** The ids of a job are derived from its row, not drawn: the first 16 bytes of

    SHA-256("technoshare/job/1" \n store id \n job id \n created_at)

are its trace id, the next 8 its root span id. The four lines are joined by one newline each, without one at the end; the store id is
the database's UUID in lower case, the job id is decimal, created_at is whole microseconds since 1970-01-01 UTC in decimal. A retry, a
crash or a resend therefore gives the same ids, and the job of another database never does.

`

const rules = `
A run carries its identity as tag %[1]s: the trace id for a job, ` + "`<trace id>-<span id>`" + ` for an attempt at a stage. MLflow's id of the trace is
` + "`tr-<trace id>`" + `.

An evaluation has the ids of SHA-256("technoshare/eval/1" \n evaluation id), a try at an example those of the same with two more lines, the
example's id and the repetition (%[2]s = %[3]s). A try is a trace of its own without a run: %[4]s on its root names the
evaluation's trace, whose run it belongs to.

## Tiers

| tier | spans | recorded when | becomes |
|---|---|---|---|
| lifecycle | the job and its stages | the job is not off | runs; in full detail spans of the trace too |
| message | ` + "`job started`, `feedback`" + ` | the job is not off | what the bridge does with it; never a span of the trace |
| detail | requests, model calls, tool calls | the job is full | spans of the trace |
| evaluation | ` + "`eval_suite`, `eval_example`" + ` | telemetry is not off | the run of an evaluation and its traces, always in full |

Whether a job is off, tracked or full is decided once, when it starts, and stored in its row. A stage span leaves with the detail spans
below it in one OTLP message, in the transaction that records the stage; the root leaves in the transaction that makes the job final.

## Order

Messages may come twice, in any order, split anywhere and mixed with those of other jobs; MLflow ends the same. A stage that comes
before its job creates the job's run as RUNNING, with the start that ` + "`job.started_at`" + ` gives. Of two spans with one id the later end wins, and of
two with the same end the greater hash. Status and trace state come from the root alone:

| outcome | run | trace |
|---|---|---|
| success, no_urls, gate_failed | FINISHED | OK |
| error | FAILED | ERROR |
| cancelled | KILLED | ERROR |

A stage run is FAILED when its span ended in an error, else FINISHED, also when gates failed (` + "`gate_passed`" + ` is 0 then). A stage that was
not reached has no run. Names marked *later* are reserved.

Of the metrics below a service run holds those whose consumer it is, at most one point a minute: gauges and sums under their own
name, histograms as ` + "`<name>/count`, `/mean`, `/p50`, `/p95`, `/p99`" + ` of what came since the point before. Where a service says
that nothing came, a count of 0 begins and ends the gap; one that sends deltas, and nothing when nothing happened, shows none.
The values of some attributes (outcome, stage, model, token type, reason) are part of the
name: ` + "`job.duration/success/p95`" + `. What a name with ` + "`go.`" + ` or ` + "`process.`" + ` says is under ` + "`system/`" + `. The step of a
point is the minute of the UTC day; the first histogram of a process, or of other attributes, whose minute has a point already stands in the next
free one.
`

// section is one table of the page.
type section struct {
	title   string
	kind    wire.Kind
	columns [4]string // headings of Name, Type, From and To; To is left out when empty
}

var sections = []section{
	{"Spans", wire.KindSpan, [4]string{"span", "kind, tier", "producer", "consumer"}},
	{"Resource attributes", wire.KindResource, [4]string{"attribute", "type", "producer", "consumer"}},
	{"Attributes", wire.KindAttr, [4]string{"attribute", "type", "producer", "consumer"}},
	{"Values", wire.KindValue, [4]string{"value", "of", "producer", "consumer"}},
	{"Events", wire.KindEvent, [4]string{"event", "where", "producer", "consumer"}},
	{"Artifacts", wire.KindArtifact, [4]string{"artifact", "media type", "producer", "consumer"}},
	{"Metrics", wire.KindMetric, [4]string{"metric", "instrument, unit", "producer", "consumer"}},
	{"MLflow params", wire.KindParam, [4]string{"param", "where", "made from", ""}},
	{"MLflow tags", wire.KindTag, [4]string{"tag", "where", "made from", ""}},
	{"MLflow metrics", wire.KindRunValue, [4]string{"metric", "where", "made from", ""}},
	{"MLflow trace tags", wire.KindTraceTag, [4]string{"tag", "where", "made from", ""}},
}

func page() string {
	var b strings.Builder
	b.WriteString(intro)
	row(&b, "store id", "job id", "created_at in µs", "trace id", "root span id")
	b.WriteString(strings.Repeat("|---", 5) + "|\n")
	for _, v := range wire.Vectors {
		row(&b, v.Store, fmt.Sprint(v.Job), fmt.Sprint(v.CreatedMicros), code(v.Trace), code(v.Span))
	}
	eval := wire.EvaluationVector
	fmt.Fprintf(&b, rules, code(wire.TagKey), strings.Join([]string{eval.Evaluation, eval.Example, fmt.Sprint(eval.Repetition)}, ", "), code(eval.Trace), code(wire.AttrRunTraceID))
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n", s.title)
		table(&b, s)
	}
	return b.String()
}

func table(b *strings.Builder, s section) {
	head := []string{s.columns[0], s.columns[1], "meaning", s.columns[2]}
	if s.columns[3] != "" {
		head = append(head, s.columns[3])
	}
	head = append(head, "test")
	row(b, head...)
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for _, e := range wire.Catalog() {
		if e.Kind != s.kind {
			continue
		}
		test := e.Test
		if e.Later {
			test = "*later*"
		}
		cells := []string{code(e.Name), e.Type, e.Meaning, e.From}
		if s.columns[3] != "" {
			cells = append(cells, e.To)
		}
		row(b, append(cells, test)...)
	}
}

func row(b *strings.Builder, cells ...string) {
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(c, "|", `\|`)
	}
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// code quotes a name. A name that ends in a space keeps it, since it is a prefix.
func code(s string) string {
	switch {
	case strings.HasSuffix(s, " "), strings.HasSuffix(s, "."):
		return "`" + s + "…`"
	default:
		return "`" + s + "`"
	}
}
