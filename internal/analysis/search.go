package analysis

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/internal/wire"
)

// toolSearch is the name of the tool, for models and in telemetry.
const toolSearch = "search"

// maxResults of one search.
const maxResults = 8

// searchArguments are what the tool is called with.
type searchArguments struct {
	Query string `json:"query"`
}

// index ranks technologies by BM25 over name, tags and description.
type index struct {
	tech    []data.Tech
	fields  []map[string]float64 // weighted term counts of each entry
	lengths []float64
	average float64
	holding map[string]float64 // number of entries that hold a term
}

// What a hit in each field counts, and BM25's usual constants.
const (
	weightName        = 3
	weightTag         = 2
	weightDescription = 1

	bm25K1 = 1.2
	bm25B  = 0.75
)

func newIndex(tech []data.Tech) *index {
	x := &index{tech: tech, holding: map[string]float64{}}
	for _, t := range tech {
		field := map[string]float64{}
		length := 0.0
		add := func(text string, weight float64) {
			for _, term := range terms(text) {
				field[term] += weight
				length += weight
			}
		}
		add(t.Name, weightName)
		for _, tag := range t.Tags {
			add(tag, weightTag)
		}
		add(t.Description, weightDescription)
		for term := range field {
			x.holding[term]++
		}
		x.fields = append(x.fields, field)
		x.lengths = append(x.lengths, length)
		x.average += length / float64(len(tech))
	}
	return x
}

// lookup returns the entries that fit a query, best first, ties in the order of the index.
// Entries that fit less than half as well as the best one are left out.
func (x *index) lookup(query string) []data.Tech {
	asked := terms(query)
	slices.Sort(asked)
	asked = slices.Compact(asked)
	type hit struct {
		entry int
		score float64
	}
	var hits []hit
	for i, field := range x.fields {
		score := 0.0
		for _, term := range asked {
			if tf := field[term]; tf > 0 {
				idf := math.Log(1 + (float64(len(x.tech))-x.holding[term]+0.5)/(x.holding[term]+0.5))
				score += idf * tf * (bm25K1 + 1) / (tf + bm25K1*(1-bm25B+bm25B*x.lengths[i]/x.average))
			}
		}
		if score > 0 {
			hits = append(hits, hit{i, round(score)})
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return 0
	})
	found := []data.Tech{}
	for _, h := range hits[:min(len(hits), maxResults)] {
		if h.score*2 >= hits[0].score {
			found = append(found, x.tech[h.entry])
		}
	}
	return found
}

// call is a lookup as a tool call: recorded as a span with its arguments and result.
func (x *index) call(ctx context.Context, query string) []data.Tech {
	ctx, span := telemetry.StartDetail(ctx, wire.SpanToolSearch, trace.SpanKindInternal)
	found := x.lookup(query)
	if span.Recording() {
		content := telemetry.CaptureContent(ctx)
		span.Describe(func(d telemetry.Description) { describeSearch(d, query, found, content) })
	}
	span.End(nil)
	return found
}

func describeSearch(span telemetry.Description, query string, found []data.Tech, content bool) {
	span.Set(
		attribute.String(wire.AttrGenAIOperation, "execute_tool"),
		attribute.String(wire.AttrGenAIToolName, toolSearch),
	)
	if content {
		span.Set(
			attribute.String(wire.AttrGenAIToolArguments, spanJSON(searchArguments{query})),
			attribute.String(wire.AttrGenAIToolResult, spanJSON(found)),
		)
	}
}

// entry returns the technology of that name.
func (x *index) entry(name string) (data.Tech, bool) {
	i := slices.IndexFunc(x.tech, func(t data.Tech) bool { return t.Name == name })
	if i < 0 {
		return data.Tech{}, false
	}
	return x.tech[i], true
}

// sourceOf names an index entry among the sources of an analysis.
func sourceOf(t data.Tech) string { return data.SimilarTechFile + "#" + t.Name }

// toJSON encodes values of this package, which always can be, for a model. <, > and & are escaped:
// recorded answers are found by what the model was asked, byte by byte.
func toJSON(v any) string { return encoded(v, json.Marshal) }

// spanJSON encodes values of this package for a span, where people read them.
func spanJSON(v any) string { return encoded(v, plainjson.Marshal) }

func encoded(v any, by func(any) ([]byte, error)) string {
	b, err := by(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return string(b)
}
