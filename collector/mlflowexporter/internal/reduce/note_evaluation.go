package reduce

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
	"github.com/technoshare/commentator/internal/wire"
)

// suffixMean ends the names of metrics that are means of a score over the examples.
const suffixMean = "/mean"

// noteOfEvaluation describes an evaluation in Markdown: what came of it, and what tells it from
// another one of the same examples. It is empty for other spans.
func noteOfEvaluation(s Span) string {
	if s.text(wire.AttrRunTagPrefix+wire.TagRunType) != wire.RunTypeEvaluate {
		return ""
	}
	return values.Clean(joinBlocks(passedLine(s), datasetLine(s), analysedWith(s), meansTable(s)), maxTag-noteReserve)
}

// passedLine is "**38 of 40 examples passed**, 2 failed, in 3.2 s", and why the others say nothing.
func passedLine(s Span) string {
	total, known := s.runMetric("total_examples")
	if !known {
		return ""
	}
	passed, _ := s.runMetric("passed_examples")
	failed, _ := s.runMetric("failed_examples")
	line := fmt.Sprintf("**%.0f of %.0f examples passed**", passed, total)
	for _, rest := range []struct {
		count float64
		what  string
	}{{failed, "failed"}, {total - passed - failed, "without a result"}} {
		if rest.count > 0 {
			line += fmt.Sprintf(", %.0f %s", rest.count, rest.what)
		}
	}
	line += ", in " + duration(seconds(s.Span))
	if n, _ := s.runMetric("infrastructure_errors"); n > 0 {
		line += fmt.Sprintf("; tries left out: %.0f", n)
	}
	if why := s.text(wire.AttrRunTagPrefix + "stopped"); why != "" {
		line += ". Stopped: " + escape(values.Cut(why, 1000))
	}
	if why := s.text(wire.AttrErrorMessage); why != "" {
		line += ". Error: " + escape(values.Cut(why, 1000))
	}
	return line
}

// datasetLine names the dataset by name, version and the first letters of its hash, how often its
// examples were tried and what that cost.
func datasetLine(s Span) string {
	var parts []string
	if name := s.runParam("dataset_name"); name != "" {
		part := "Dataset " + escape(name)
		if version := s.runParam("dataset_version"); version != "" {
			part += ", version " + escape(version)
		}
		if hash := s.runParam("dataset_hash"); hash != "" {
			part += " (" + escape(short(hash)) + ")"
		}
		parts = append(parts, part)
	}
	switch n := s.runParam("repetitions"); n {
	case "":
	case "1":
		parts = append(parts, "1 repetition")
	default:
		parts = append(parts, escape(n)+" repetitions")
	}
	if kind := s.runParam("analyser"); kind != "" {
		parts = append(parts, escape(kind))
	}
	if cost, ok := s.runMetric(metricCost); ok && cost > 0 {
		parts = append(parts, fmt.Sprintf("%.4f USD", cost))
	}
	return strings.Join(parts, " · ")
}

// short is as much of a hash as tells it from others, and as MLflow's SDK makes of a dataset's digest.
func short(hash string) string { return hash[:min(len(hash), 8)] }

// analysedWith lists the model and the prompt of each stage that had one.
func analysedWith(s Span) string {
	var lines []string
	for _, stage := range wire.StageNames {
		model, prompt := s.runParam(stage+"_model"), s.runParam(stage+"_prompt")
		if model == "" && prompt == "" {
			continue
		}
		line := "- `" + stage + "`: " + escape(cmp.Or(model, "no model"))
		if prompt != "" {
			line += ", prompt " + escape(prompt)
			if hash := s.runParam(stage + "_prompt_sha256"); hash != "" {
				line += " (" + escape(short(hash)) + ")"
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// meansTable shows the mean of each score.
func meansTable(s Span) string {
	var rows []string
	for key, v := range s.Span.Attributes().All() {
		name, isMetric := strings.CutPrefix(key, wire.AttrRunMetricPrefix)
		name, isMean := strings.CutSuffix(name, suffixMean)
		if mean, ok := number(v); isMetric && isMean && ok {
			rows = append(rows, "\n"+tableRow(escape(name), strconv.FormatFloat(mean, 'g', 3, 64)+unitOf[name]))
		}
	}
	if len(rows) == 0 {
		return ""
	}
	slices.Sort(rows)
	return tableRow("Score", "Mean") + "\n| --- | ---: |" + strings.Join(rows, "")
}

// unitOf is the unit of scores that are no shares.
var unitOf = map[string]string{"latency": " s", "cost": " USD"}

func (s Span) runParam(name string) string { return s.text(wire.AttrRunParamPrefix + name) }

func (s Span) runMetric(name string) (float64, bool) {
	v, ok := s.lookup(wire.AttrRunMetricPrefix + name)
	if !ok {
		return 0, false
	}
	return number(v)
}
