package prometheus

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/template"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
	"go.yaml.in/yaml/v3"
)

// unitFile is a file of unit tests in the format of `promtool test rules`, as far as the files of
// this project use it; an unknown key is an error.
type unitFile struct {
	RuleFiles          []string       `yaml:"rule_files"`
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	Tests              []unitTest     `yaml:"tests"`
}

type unitTest struct {
	Name     string         `yaml:"name"`
	Interval model.Duration `yaml:"interval"`
	Series   []struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	} `yaml:"input_series"`
	Alerts []struct {
		At    model.Duration `yaml:"eval_time"`
		Name  string         `yaml:"alertname"`
		Wants []wanted       `yaml:"exp_alerts"`
	} `yaml:"alert_rule_test"`
}

type wanted struct {
	Labels      map[string]string `yaml:"exp_labels"`
	Annotations map[string]string `yaml:"exp_annotations"`
}

var promQL = parser.NewParser(parser.Options{})

func readUnits(path string) (unitFile, error) {
	var u unitFile
	text, err := os.Open(path)
	if err != nil {
		return u, err
	}
	defer text.Close()
	decoder := yaml.NewDecoder(text)
	decoder.KnownFields(true)
	if err := decoder.Decode(&u); err != nil {
		return u, fmt.Errorf("%s: %w", path, err)
	}
	if len(u.Tests) == 0 || u.EvaluationInterval == 0 {
		return u, fmt.Errorf("%s: no tests, or no evaluation_interval", path)
	}
	return u, nil
}

// readRules reads rule files as Prometheus does: every expression and template is checked.
func readRules(path string) (*rulefmt.RuleGroups, error) {
	groups, errs := rulefmt.ParseFile(path, false, model.UTF8Validation, promQL, slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		return nil, fmt.Errorf("%s: %v", path, errs)
	}
	return groups, nil
}

// check runs the tests of a file against rules and returns what is not as they say.
func (u unitFile) check(groups *rulefmt.RuleGroups) (wrong []string, err error) {
	for _, t := range u.Tests {
		found, err := t.check(groups, time.Duration(u.EvaluationInterval))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.Name, err)
		}
		wrong = append(wrong, found...)
	}
	return wrong, nil
}

func (t unitTest) check(groups *rulefmt.RuleGroups, interval time.Duration) (wrong []string, err error) {
	held, err := t.storage()
	if err != nil {
		return nil, err
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1 << 20, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, EnableAtModifier: true, EnableNegativeOffset: true, Parser: promQL})
	defer engine.Close()
	for _, a := range t.Alerts {
		at := time.Duration(a.At)
		if at%interval != 0 {
			return nil, fmt.Errorf("eval_time %s is no multiple of the evaluation_interval", a.At)
		}
		var got []wanted
		found := false
		for _, g := range groups.Groups {
			for _, r := range g.Rules {
				if r.Alert != a.Name {
					continue
				}
				found = true
				firing, err := fires(engine, held, r, at, interval)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", a.Name, err)
				}
				got = append(got, firing...)
			}
		}
		if !found {
			wrong = append(wrong, fmt.Sprintf("%s: there is no alert %s", t.Name, a.Name))
			continue
		}
		if diff := cmp.Diff(sorted(a.Wants), sorted(got)); diff != "" {
			wrong = append(wrong, fmt.Sprintf("%s: %s at %s: -wanted +fires\n%s", t.Name, a.Name, a.At, diff))
		}
	}
	return wrong, nil
}

func sorted(w []wanted) []wanted {
	key := func(w wanted) string {
		var b strings.Builder
		for _, name := range slices.Sorted(maps.Keys(w.Labels)) {
			b.WriteString(name + "=" + w.Labels[name] + ",")
		}
		return b.String()
	}
	return slices.SortedFunc(slices.Values(w), func(a, b wanted) int { return strings.Compare(key(a), key(b)) })
}

// fires evaluates a rule from the beginning up to a moment, as Prometheus does at each interval, and
// returns the alerts that fire then: those whose expression held without a break for `for`.
func fires(engine *promql.Engine, held storage.Queryable, r rulefmt.Rule, at, interval time.Duration) ([]wanted, error) {
	since := map[uint64]time.Duration{} // when the expression began to hold
	var out []wanted
	for now := time.Duration(0); now <= at; now += interval {
		query, err := engine.NewInstantQuery(context.Background(), held, nil, r.Expr, time.UnixMilli(0).Add(now).UTC())
		if err != nil {
			return nil, err
		}
		result := query.Exec(context.Background())
		if result.Err != nil {
			return nil, result.Err
		}
		vector, err := result.Vector()
		if err != nil {
			return nil, err
		}
		holds := map[uint64]bool{}
		out = nil
		for _, sample := range vector {
			key := sample.Metric.Hash()
			holds[key] = true
			if _, known := since[key]; !known {
				since[key] = now
			}
			if now-since[key] < time.Duration(r.For) {
				continue
			}
			alert, err := describe(r, sample, now)
			if err != nil {
				return nil, err
			}
			out = append(out, alert)
		}
		maps.DeleteFunc(since, func(key uint64, _ time.Duration) bool { return !holds[key] })
		query.Close()
	}
	return out, nil
}

// describe fills in the labels and annotations of an alert.
func describe(r rulefmt.Rule, sample promql.Sample, now time.Duration) (wanted, error) {
	own := sample.Metric.DropReserved(func(name string) bool { return name == model.MetricNameLabel }).Map()
	data := template.AlertTemplateData(own, nil, "", sample)
	expand := func(text string) (string, error) {
		const names = "{{$labels := .Labels}}{{$value := .Value}}"
		return template.NewTemplateExpander(context.Background(), names+text, r.Alert, data, model.Time(now.Milliseconds()), nil, &url.URL{}, nil).Expand()
	}
	out := wanted{Labels: own, Annotations: map[string]string{}}
	for name, text := range r.Labels {
		value, err := expand(text)
		if err != nil {
			return out, fmt.Errorf("label %s: %w", name, err)
		}
		out.Labels[name] = value
	}
	for name, text := range r.Annotations {
		value, err := expand(text)
		if err != nil {
			return out, fmt.Errorf("annotation %s: %w", name, err)
		}
		out.Annotations[name] = value
	}
	return out, nil
}

// storage holds the series of the test, the first value of each at the time 0.
func (t unitTest) storage() (storage.Queryable, error) {
	var all series
	for _, s := range t.Series {
		name, values, err := promQL.ParseSeriesDesc(s.Series + " " + s.Values)
		if err != nil {
			return nil, fmt.Errorf("series %s: %w", s.Series, err)
		}
		var samples []chunks.Sample
		for i, v := range values {
			if !v.Omitted {
				samples = append(samples, sample{int64(i) * time.Duration(t.Interval).Milliseconds(), v.Value})
			}
		}
		all = append(all, stored{name, samples})
	}
	return storage.QueryableFunc(func(int64, int64) (storage.Querier, error) { return all, nil }), nil
}

// absolute makes the rule files of a test file that lies at path absolute.
func (u unitFile) absolute(path string) []string {
	var out []string
	for _, f := range u.RuleFiles {
		out = append(out, filepath.Join(filepath.Dir(path), f))
	}
	return out
}

// series is a storage of a few series in memory.
type series []stored

type stored struct {
	labels  labels.Labels
	samples []chunks.Sample
}

// Select implements storage.Querier.
func (s series) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var out []storage.Series
	for _, one := range s {
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(one.labels.Get(m.Name)) }) {
			out = append(out, storage.NewListSeries(one.labels, one.samples))
		}
	}
	slices.SortFunc(out, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	return &set{all: out}
}

// set implements storage.SeriesSet.
type set struct {
	all []storage.Series
	n   int
}

func (s *set) Next() bool                        { s.n++; return s.n <= len(s.all) }
func (s *set) At() storage.Series                { return s.all[s.n-1] }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }

// sample implements chunks.Sample: a number at a time in ms.
type sample struct {
	t int64
	f float64
}

func (s sample) T() int64                      { return s.t }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.f }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

// LabelValues implements storage.Querier; evaluation does not use it.
func (series) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// LabelNames implements storage.Querier; evaluation does not use it.
func (series) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// Close implements storage.Querier.
func (series) Close() error { return nil }
