package reports

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"

	"github.com/technoshare/commentator/internal/evaluation/trend"
)

const (
	shownReasons  = 10
	shownExamples = 5
)

// TrendText is a trend for a terminal.
func TrendText(t *trend.Trend) string {
	var b strings.Builder
	head, rows := trendVersions(t)
	fmt.Fprint(&b, table(append([][]string{head}, rows...)))
	head, rows = trendPoints(t)
	fmt.Fprintf(&b, "\n%s", table(append([][]string{head}, rows...)))
	for _, p := range trendPatterns(t) {
		fmt.Fprintf(&b, "\n%s\n", p.Title)
		for _, line := range p.Lines {
			fmt.Fprintln(&b, "  "+line)
		}
	}
	return b.String()
}

// TrendMarkdown is a trend for an issue or a summary.
func TrendMarkdown(t *trend.Trend) string {
	var b strings.Builder
	fmt.Fprint(&b, "## Evaluations by version\n\n", markdownTable(trendVersions(t)))
	fmt.Fprint(&b, "\n## Evaluations over time\n\n", markdownTable(trendPoints(t)))
	for _, p := range trendPatterns(t) {
		fmt.Fprintf(&b, "\n### %s\n\n", escape(p.Title))
		for _, line := range p.Lines {
			fmt.Fprintf(&b, "* %s\n", escape(line))
		}
	}
	return b.String()
}

func trendVersions(t *trend.Trend) (head []string, rows [][]string) {
	names := labels(t)
	for _, v := range t.Versions {
		rows = append(rows, append([]string{names[v.Key()], v.First.UTC().Format("2006-01-02"), v.Last.UTC().Format("2006-01-02"), fmt.Sprint(v.Evaluations)}, trendFigures(v.Figures)...))
	}
	return append([]string{"version", "first", "last", "evaluations"}, figureNames...), rows
}

func trendPoints(t *trend.Trend) (head []string, rows [][]string) {
	names := labels(t)
	for _, p := range t.Points {
		rows = append(rows, append([]string{p.EndedAt.UTC().Format("2006-01-02 15:04"), short(p.EvaluationID), short(p.Revision), names[p.Key()]}, trendFigures(p.Figures)...))
	}
	return append([]string{"ended (UTC)", "evaluation", "revision", "version"}, figureNames...), rows
}

var figureNames = []string{"pass rate", "tries", "USD a try", "s a try", "p95"}

func trendFigures(f trend.Figures) []string {
	cost := "unknown"
	if f.CostUSD != nil {
		cost = fmt.Sprintf("%.4g", *f.CostUSD)
	}
	tries := fmt.Sprint(f.Tries)
	if f.Lost > 0 {
		tries += fmt.Sprintf(" (%d lost)", f.Lost)
	}
	return []string{
		fmt.Sprintf("%s (%s to %s)", percent(f.PassRate), percent(f.Interval.Low), percent(f.Interval.High)), tries, cost,
		fmt.Sprintf("%.3g", f.LatencySeconds), fmt.Sprintf("%.3g", f.LatencyP95),
	}
}

// labels name the versions of a trend, by their keys: by the hashes of the prompts in the order of the
// stages, and where several have these, by models and analyser too.
func labels(t *trend.Trend) map[string]string {
	out, alike := map[string]string{}, map[string]int{}
	for _, v := range t.Versions {
		alike[hashes(v)]++
	}
	for _, v := range t.Versions {
		name := hashes(v)
		if alike[name] > 1 {
			name += " " + models(v.Models, v.Analyser)
		}
		out[v.Key()] = name
	}
	return out
}

func hashes(v trend.Version) string {
	if len(v.Prompts) == 0 {
		return v.Analyser
	}
	var all []string
	for _, p := range v.Prompts {
		all = append(all, short(p.SHA256))
	}
	return strings.Join(all, "+")
}

// section is one kind of pattern.
type section struct {
	Title string
	Lines []string
}

func trendPatterns(t *trend.Trend) (out []section) {
	add := func(title string, lines ...string) {
		if len(lines) == 0 {
			return
		}
		shown := make([]string, len(lines))
		for i, line := range lines {
			shown[i] = Printable(line)
		}
		out = append(out, section{title, shown})
	}
	p := t.Patterns
	add("never pass with the newest version", p.Never...)
	add("pass sometimes with the newest version", p.Sometimes...)
	add("fail more often than with the version before", p.Newly...)
	shares := func(all []trend.Share) (lines []string) {
		for _, s := range all {
			lines = append(lines, fmt.Sprintf("%s: %d of %d tries (%s)", s.Name, s.Failed, s.Tries, percent(float64(s.Failed)/float64(s.Tries))))
		}
		return lines
	}
	add("failed tries by tag", shares(p.Tags)...)
	add("failed judgements by scorer", shares(p.Scorers)...)
	var reasons []string
	for _, r := range p.Reasons[:min(len(p.Reasons), shownReasons)] {
		examples := strings.Join(r.Examples[:min(len(r.Examples), shownExamples)], ", ")
		if more := len(r.Examples) - shownExamples; more > 0 {
			examples += fmt.Sprintf(" and %d more", more)
		}
		reasons = append(reasons, fmt.Sprintf("%d× %s [%s]", r.Tries, r.Text, examples))
	}
	add("why", reasons...)
	return out
}

// TrendSVG shows pass rate, cost and latency over time; a dashed line is where the version changes.
func TrendSVG(t *trend.Trend) string { return trendPlot(t).file("Evaluations over time") }

func trendPlot(t *trend.Trend) *drawing {
	const left, right, top, panel, gap = 90.0, 20.0, 20.0, 120.0, 30.0
	d, names := draw(top+3*(panel+gap)+20), labels(t)
	x := scale{0, float64(max(1, len(t.Points)-1)), left + 10, plotWidth - right - 10}
	if len(t.Points) == 1 {
		x = scale{0, 0, left, plotWidth - right}
	}
	for n, series := range trendSeries(t) {
		start := top + float64(n)*(panel+gap)
		high := 0.0
		for _, v := range series.values {
			if v != nil {
				high = max(high, *v)
			}
		}
		if series.share {
			high = 1
		}
		if high == 0 {
			high = 1
		}
		y := scale{0, high, start + panel, start}
		d.text(left-80, start-6, "start", "", series.name)
		for _, tick := range []float64{0, high / 2, high} {
			d.line(left, y.at(tick), plotWidth-right, y.at(tick), "axis")
			d.text(left-6, y.at(tick)+4, "end", "faint", series.format(tick))
		}
		var line [][2]float64
		for i, v := range series.values {
			if v == nil {
				continue
			}
			at := [2]float64{x.at(float64(i)), y.at(*v)}
			line = append(line, at)
			if p := t.Points[i]; series.share {
				d.line(at[0], y.at(p.Interval.Low), at[0], y.at(p.Interval.High), "range")
			}
		}
		d.path(line, "line")
		for i, v := range series.values {
			if v != nil {
				p := t.Points[i]
				d.dot(x.at(float64(i)), y.at(*v), 4, "dot", fmt.Sprintf("%s %s: %s", p.EndedAt.UTC().Format("2006-01-02 15:04"), names[p.Key()], series.format(*v)))
			}
		}
	}
	bottom := top + 3*(panel+gap) - gap
	for i, p := range t.Points {
		changed := i > 0 && t.Points[i-1].Key() != p.Key()
		if changed {
			between := (x.at(float64(i-1)) + x.at(float64(i))) / 2
			d.line(between, top, between, bottom, "mark")
		}
		if changed || i == 0 {
			anchor := "start"
			if x.at(float64(i)) > plotWidth-250 {
				anchor = "end"
			}
			d.text(x.at(float64(i)), bottom+32, anchor, "faint", names[p.Key()])
		}
		if i == 0 || i == len(t.Points)-1 {
			anchor := [...]string{"start", "end"}[min(i, 1)]
			d.text(x.at(float64(i)), bottom+16, anchor, "faint", p.EndedAt.UTC().Format("2006-01-02"))
		}
	}
	return d
}

// series is a row of points; nil where there is none.
type series struct {
	name   string
	share  bool
	values []*float64
	format func(float64) string
}

func trendSeries(t *trend.Trend) []series {
	rate := series{name: "pass rate", share: true, format: func(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) }}
	cost := series{name: "cost of a try", format: func(v float64) string { return fmt.Sprintf("%.3g USD", v) }}
	latency := series{name: "latency of a try, mean", format: func(v float64) string { return fmt.Sprintf("%.3g s", v) }}
	for i := range t.Points {
		f := &t.Points[i].Figures
		if f.Examples == 0 {
			rate.values, latency.values = append(rate.values, nil), append(latency.values, nil)
		} else {
			rate.values, latency.values = append(rate.values, &f.PassRate), append(latency.values, &f.LatencySeconds)
		}
		cost.values = append(cost.values, f.CostUSD)
	}
	return []series{rate, cost, latency}
}

//go:embed trend.html
var trendText string

var trendPage = template.Must(template.New("trend").Parse(trendText))

// TrendHTML is a trend as one page that needs no network.
func TrendHTML(t *trend.Trend) ([]byte, error) {
	versionHead, versions := trendVersions(t)
	pointHead, points := trendPoints(t)
	var b bytes.Buffer
	err := trendPage.Execute(&b, map[string]any{
		"VersionHead": versionHead, "Versions": versions, "PointHead": pointHead, "Points": points, "Patterns": trendPatterns(t), "Style": template.CSS(chartStyle),
		"Plot": template.HTML(trendPlot(t).svg("Evaluations over time")), // made here, of numbers and escaped texts
	})
	if err != nil {
		return nil, fmt.Errorf("write trend: %w", err)
	}
	return b.Bytes(), nil
}
