package reconcile

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/technoshare/commentator/internal/wire"
)

// verdict is what somebody said of a job, or took back.
type verdict struct {
	name, source string
	at           uint64 // ns since 1970
	word         string // the label, or the number as text
	number       *float64
	retracted    bool
}

// newVerdict reads an event gen_ai.evaluation.result.
func newVerdict(e *tracepb.Span_Event, by string) verdict {
	said := span{attributes: attributes(e.GetAttributes())}
	v := verdict{name: said.text(wire.AttrEvaluationName), at: e.GetTimeUnixNano(), retracted: said.text(wire.AttrEvaluationRetracted) == "true"}
	v.source = cmp.Or(said.text(wire.AttrEvaluationSourceID), by)
	v.word = cmp.Or(said.text(wire.AttrEvaluationLabel), said.text(wire.AttrEvaluationValue))
	if f, ok := said.number(wire.AttrEvaluationValue); ok {
		v.number = &f
	}
	return v
}

// judgeRun adds what all verdicts on a job come to: of those of one name and source the last
// one counts.
func (j Job) judgeRun(w *wantRun) {
	last := map[[2]string]verdict{}
	for _, s := range j.spans {
		for _, v := range s.verdicts {
			who := [2]string{v.name, v.source}
			if v.at >= last[who].at {
				last[who] = v
			}
		}
	}
	type sum struct {
		count, numbers int
		total          float64
		words          map[string]int
	}
	sums := map[string]*sum{}
	for _, v := range last {
		one := sums[v.name]
		if one == nil {
			one = &sum{words: map[string]int{}}
			sums[v.name] = one
		}
		if v.retracted {
			continue
		}
		one.count++
		one.words[v.word]++
		if v.number != nil {
			one.numbers, one.total = one.numbers+1, one.total+*v.number
		}
	}
	w.said = map[string]float64{}
	for name, one := range sums {
		w.said[wire.FeedbackCount(name)] = float64(one.count)
		if one.numbers > 0 || one.count == 0 { // words have no mean
			w.said[wire.FeedbackMean(name)] = one.total / float64(max(one.numbers, 1))
		}
		var words []string
		for _, word := range slices.Sorted(maps.Keys(one.words)) {
			if one.count > 1 {
				word += " " + strconv.Itoa(one.words[word])
			}
			words = append(words, word)
		}
		if len(words) > 0 {
			w.tags[wire.TagFeedbackPrefix+name] = strings.Join(words, ", ")
		}
	}
}

// compareVerdicts looks at the last point of each metric that verdicts make: there is one for
// each change.
func (c *judge) compareVerdicts(w wantRun, r Run) {
	item := " of run " + w.name
	for _, name := range slices.Sorted(maps.Keys(w.said)) {
		points := r.Metrics[name]
		if len(points) == 0 {
			c.lost(w.key, "metric "+name+item, "it has no point; want %v", w.said[name])
			continue
		}
		last := slices.MaxFunc(points, func(a, b Point) int {
			return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.TimestampMS, b.TimestampMS), cmp.Compare(a.Value, b.Value))
		})
		if !near(last.Value, w.said[name]) {
			c.wrong(w.key, "metric "+name+item, "%v; want %v", last.Value, w.said[name])
		}
	}
}
