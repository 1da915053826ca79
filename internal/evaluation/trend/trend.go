package trend

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/evaluation/compare"
	"github.com/technoshare/commentator/internal/evaluation/stats"
)

// Trend is what evaluations come to, the oldest first.
type Trend struct {
	Points   []Point   `json:"evaluations"`
	Versions []Version `json:"versions"` // by when they were first used
	Patterns Patterns  `json:"patterns"` // of the newest version
}

// Point is an evaluation.
type Point struct {
	EvaluationID string                 `json:"evaluation_id"`
	EndedAt      time.Time              `json:"ended_at"`
	Revision     string                 `json:"git_revision,omitempty"`
	Analyser     string                 `json:"analyser"`
	Prompts      []evaluation.PromptRef `json:"prompts"`
	Models       []evaluation.ModelRef  `json:"models"`
	Dataset      evaluation.DatasetRef  `json:"dataset"`
	Stopped      string                 `json:"stopped,omitempty"`
	Figures
}

// Figures are the numbers of an evaluation, or of several as if they were one.
type Figures struct {
	PassRate float64        `json:"pass_rate"` // mean of the examples' rates
	Interval stats.Interval `json:"pass_rate_interval"`
	Examples int            `json:"examples"` // that count
	Tries    int            `json:"tries"`    // that count
	Lost     int            `json:"lost"`     // that ended in infrastructure errors
	// CostUSD is the mean of the tries whose cost is known; nil: of none.
	CostUSD *float64 `json:"cost_usd"`
	// LatencySeconds is the mean of the tries that count, LatencyP95 their 95th percentile.
	LatencySeconds float64 `json:"latency_seconds"`
	LatencyP95     float64 `json:"latency_p95_seconds"`
}

// Version is one state of prompts and models.
type Version struct {
	Prompts     []evaluation.PromptRef `json:"prompts"`
	Models      []evaluation.ModelRef  `json:"models"`
	Analyser    string                 `json:"analyser"`
	First       time.Time              `json:"first"`
	Last        time.Time              `json:"last"`
	Evaluations int                    `json:"evaluations"`
	Figures
}

// Of sorts out results, which may be in any order, and takes the last newest ones; 0: all. The
// same evaluation given twice counts once.
func Of(results []*evaluation.Results, last int) *Trend {
	results = slices.Clone(results)
	slices.SortStableFunc(results, func(a, b *evaluation.Results) int {
		return cmp.Or(a.EndedAt.Compare(b.EndedAt), cmp.Compare(a.ID, b.ID))
	})
	results = slices.CompactFunc(results, func(a, b *evaluation.Results) bool { return a.ID == b.ID })
	if last > 0 && len(results) > last {
		results = results[len(results)-last:]
	}
	t := &Trend{Points: []Point{}, Versions: []Version{}}
	of := map[string][]*evaluation.Results{}
	var order []string
	for _, r := range results {
		t.Points = append(t.Points, Point{
			EvaluationID: r.ID, EndedAt: r.EndedAt, Revision: r.Revision, Analyser: r.Analyser, Prompts: r.Prompts, Models: r.Models,
			Dataset: r.Dataset, Stopped: r.Stopped, Figures: figures(r),
		})
		v := version(r)
		if of[v] == nil {
			order = append(order, v)
		}
		of[v] = append(of[v], r)
	}
	for _, v := range order {
		all := of[v]
		first, last := all[0], all[len(all)-1]
		t.Versions = append(t.Versions, Version{
			Prompts: first.Prompts, Models: first.Models, Analyser: first.Analyser, First: first.EndedAt, Last: last.EndedAt,
			Evaluations: len(all), Figures: figures(all...),
		})
	}
	if len(results) > 0 {
		newest := results[len(results)-1]
		t.Patterns = patterns(of[version(newest)], before(results, version(newest)))
	}
	return t
}

// Key is what evaluations of one version have in common: analyser, prompts and models.
func (p Point) Key() string { return key(p.Analyser, p.Prompts, p.Models) }

// Key is that of the version's evaluations.
func (v Version) Key() string { return key(v.Analyser, v.Prompts, v.Models) }

func version(r *evaluation.Results) string { return key(r.Analyser, r.Prompts, r.Models) }

func key(analyser string, prompts []evaluation.PromptRef, models []evaluation.ModelRef) string {
	parts := []string{analyser}
	for _, p := range prompts {
		parts = append(parts, string(p.Stage), p.Name, p.SHA256)
	}
	for _, m := range models {
		parts = append(parts, string(m.Stage), m.Provider, m.Model)
	}
	return strings.Join(parts, "\n")
}

// before is the newest evaluation of another version than the given one; nil: there is none.
func before(results []*evaluation.Results, v string) *evaluation.Results {
	for _, r := range slices.Backward(results) {
		if version(r) != v {
			return r
		}
	}
	return nil
}

func figures(results ...*evaluation.Results) Figures {
	var f Figures
	rates, costs, latencies := map[string]*compare.Count{}, []float64(nil), []float64(nil)
	for _, r := range results {
		for _, t := range r.Tries {
			if !t.Counts() {
				f.Lost++
				continue
			}
			f.Tries++
			key := t.Example + "\n" + t.ExampleHash
			if rates[key] == nil {
				rates[key] = &compare.Count{}
			}
			rates[key][1]++
			if t.Passed {
				rates[key][0]++
			}
			latencies = append(latencies, t.LatencySeconds)
			if t.CostUSD != nil {
				costs = append(costs, *t.CostUSD)
			}
		}
	}
	passed := 0.0
	for _, key := range slices.Sorted(maps.Keys(rates)) { // a sum depends on the order in its last digit
		passed += rates[key].Share()
	}
	f.Examples = len(rates)
	f.Interval = stats.Wilson(passed, f.Examples, 0.95)
	if f.Examples > 0 {
		f.PassRate = passed / float64(f.Examples)
		f.LatencySeconds = stats.Mean(latencies)
		slices.Sort(latencies)
		f.LatencyP95 = stats.Quantile(latencies, 0.95)
	}
	if len(costs) > 0 {
		mean := stats.Mean(costs)
		f.CostUSD = &mean
	}
	return f
}
