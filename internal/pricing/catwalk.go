package pricing

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"charm.land/catwalk/pkg/catwalk"
	"charm.land/catwalk/pkg/embedded"
)

// Default is the table of the catwalk module, without dates: what models cost when that
// release was made.
var Default = sync.OnceValue(func() *Table { return fromCatwalk(embedded.GetAll()) })

func fromCatwalk(all []catwalk.Provider) *Table {
	t := &Table{models: map[key][]dated{}}
	for _, p := range all {
		provider := string(p.ID)
		undated := map[string]string{} // name without date → the newest name with one
		for _, m := range slices.SortedFunc(slices.Values(p.Models), func(a, b catwalk.Model) int { return cmp.Compare(a.ID, b.ID) }) {
			price, ok := priceOf(m)
			if !ok {
				continue
			}
			names := spellings(m.ID)
			t.models[key{provider, names[0]}] = []dated{{price: price}}
			for _, short := range names[1:] {
				undated[short] = names[0]
			}
		}
		for short, long := range maps.All(undated) {
			if k := (key{provider, short}); t.models[k] == nil {
				t.models[k] = t.models[key{provider, long}]
			}
		}
	}
	return t
}

// priceOf reads catwalk's figures. The names of its two fields for cached tokens say
// nothing: depending on who entered a model, the price of a cache read stands in
// cost_per_1m_out_cached (Anthropic, most of Google) or in cost_per_1m_in_cached (later
// OpenAI models), and the other holds the price of a cache write, the price of output, or
// 0. What tells them apart is the size: a read costs less than plain input, a write as
// much or more. Without a price of its own a cached token costs what plain input does.
func priceOf(m catwalk.Model) (Price, bool) {
	if m.CostPer1MIn <= 0 && m.CostPer1MOut <= 0 {
		return Price{}, false // free or unknown: catwalk doesn't say which
	}
	p := Price{Input: m.CostPer1MIn, Output: m.CostPer1MOut, CacheRead: m.CostPer1MIn, CacheWrite: m.CostPer1MIn}
	for _, cached := range []float64{m.CostPer1MInCached, m.CostPer1MOutCached} {
		switch {
		case cached <= 0:
		case cached < p.CacheRead:
			p.CacheRead = cached
		case cached > m.CostPer1MIn && cached <= 2*m.CostPer1MIn && cached != m.CostPer1MOut:
			p.CacheWrite = cached // Anthropic's are 1.25 × the input for 5 minutes, 2 × for an hour
		}
	}
	return p, true
}
