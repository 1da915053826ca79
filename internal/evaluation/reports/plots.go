package reports

import (
	"fmt"
	"math"

	"github.com/technoshare/commentator/internal/evaluation/compare"
	"github.com/technoshare/commentator/internal/evaluation/stats"
)

const (
	plotWidth = 760.0
	rowHeight = 24.0
	labelEnd  = 190.0 // where the labels of rows end
)

// differencePlot shows the differences with their intervals, between no change and the minimum
// effect.
func differencePlot(r *compare.Result) string {
	type row struct {
		name string
		at   float64
		i    stats.Interval
	}
	rows := []row{{"pass rate", r.Difference, r.Interval}}
	for _, s := range r.Scorers {
		rows = append(rows, row{s.Name, s.Cand - s.Base, s.Interval})
	}
	reach := r.Config.MinEffect * 1.5
	for _, row := range rows {
		reach = max(reach, math.Abs(row.i.Low), math.Abs(row.i.High))
	}
	height := rowHeight*float64(len(rows)) + 40
	d, x := draw(height), scale{-reach, reach, labelEnd + 20, plotWidth - 20}
	bottom := height - 30
	d.line(x.at(0), 5, x.at(0), bottom, "axis")
	d.line(x.at(-r.Config.MinEffect), 5, x.at(-r.Config.MinEffect), bottom, "mark")
	d.text(x.at(0), height-12, "middle", "faint", "no change")
	d.text(x.at(-r.Config.MinEffect), height-12, "middle", "faint", fmt.Sprintf("−%.3g points", 100*r.Config.MinEffect))
	for i, row := range rows {
		y := rowHeight*float64(i) + 18
		d.text(labelEnd, y+4, "end", "", row.name)
		d.line(x.at(row.i.Low), y, x.at(row.i.High), y, "range")
		d.dot(x.at(row.at), y, 5, "dot", fmt.Sprintf("%s: %s points (%s to %s)", row.name, points(row.at), points(row.i.Low), points(row.i.High)))
	}
	return d.svg("Differences of pass rates, candidate minus baseline, with their intervals")
}

// ratePlot shows both pass rates with their intervals, and the threshold.
func ratePlot(r *compare.Result) string {
	const height = 100.0
	d, x := draw(height), scale{0, 1, labelEnd + 20, plotWidth - 20}
	for tick := 0.0; tick <= 1; tick += 0.25 {
		d.line(x.at(tick), 5, x.at(tick), height-30, "axis")
		d.text(x.at(tick), height-12, "middle", "faint", fmt.Sprintf("%.0f %%", 100*tick))
	}
	if t := r.Config.Threshold; t > 0 {
		d.line(x.at(t), 5, x.at(t), height-30, "mark")
	}
	for i, s := range []compare.Side{r.Base, r.Cand} {
		name, y := [...]string{"baseline", "candidate"}[i], rowHeight*float64(i)+20
		d.text(labelEnd, y+4, "end", "", name)
		d.line(x.at(s.Interval.Low), y, x.at(s.Interval.High), y, "range")
		d.dot(x.at(s.Rate), y, 5, "dot", fmt.Sprintf("%s: %s (%s to %s)", name, percent(s.Rate), percent(s.Interval.Low), percent(s.Interval.High)))
	}
	return d.svg("Pass rates with their intervals")
}

// examplePlot shows what became of each example that changed: grey before, coloured now.
func examplePlot(r *compare.Result) string {
	rows := changes(r)
	if len(rows) == 0 {
		return ""
	}
	height := rowHeight*float64(len(rows)) + 40
	d, x := draw(height), scale{0, 1, labelEnd + 20, plotWidth - 20}
	for _, tick := range []float64{0, 0.5, 1} {
		d.line(x.at(tick), 5, x.at(tick), height-30, "axis")
		d.text(x.at(tick), height-12, "middle", "faint", fmt.Sprintf("%.0f %%", 100*tick))
	}
	for i, c := range rows {
		class, y := "better", rowHeight*float64(i)+18
		if c.Difference() < 0 {
			class = "worse"
		}
		from, to := x.at(c.Base.Share()), x.at(c.Cand.Share())
		title := fmt.Sprintf("%s: %s, before %s", c.ID, count(c.Cand), count(c.Base))
		d.text(labelEnd, y+4, "end", "", shorten(c.ID, 28))
		d.line(from, y, to, y, class)
		d.dot(from, y, 4, "before", title)
		d.dot(to, y, 5, class, title)
	}
	return d.svg("Pass rates of the examples that changed")
}

// shorten keeps the beginning of a text.
func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
