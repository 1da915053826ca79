package reduce

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/technoshare/commentator/internal/decimal"
	"github.com/technoshare/commentator/internal/pricing"
	"github.com/technoshare/commentator/internal/wire"
)

const metricCost = "cost_usd"

// CostSource names attributes of a span that tell what model calls below it used.
type CostSource struct {
	Model    string `mapstructure:"model"`    // attribute with the model's name
	Provider string `mapstructure:"provider"` // attribute with the provider's name
	// Usage begins the names of the token counts: gen_ai.usage stands for
	// gen_ai.usage.input_tokens, .output_tokens, .cache_read.input_tokens and
	// .cache_creation.input_tokens.
	Usage string `mapstructure:"usage"`
}

// spend is what a span's calls cost.
type spend struct {
	cost    pricing.Cost
	known   bool     // tokens were used, and all of them have a price
	unknown []string // models without a price
}

// spend prices what the sources tell, or else the usage that the span itself carries by
// the GenAI conventions. Usage of one model without a price makes the whole unknown.
func (s Span) spend(sources []CostSource, prices *pricing.Table) spend {
	var out spend
	found := false
	add := func(provider string, byOlderName bool, model string, u pricing.Usage) {
		if u.None() {
			return
		}
		found = true
		at := s.Span.StartTimestamp().AsTime()
		price, ok := prices.Price(provider, model, at)
		if !ok && byOlderName {
			price, ok = prices.Price("", model, at)
		}
		if !ok {
			out.unknown = append(out.unknown, cmp.Or(model, "(no name)"))
			return
		}
		out.cost = out.cost.Plus(price.Cost(u))
	}
	for _, src := range sources {
		add(s.text(src.Provider), false, s.text(src.Model), s.usageAt(src.Usage))
	}
	if !found {
		// Libraries have written their own name, or that of an API, as gen_ai.system.
		add(s.provider(), s.text(wire.AttrGenAIProvider) == "", s.model(), s.usageAt(wire.UsageOfCalls))
	}
	slices.Sort(out.unknown)
	out.unknown = slices.Compact(out.unknown)
	out.known = found && len(out.unknown) == 0
	return out
}

// model is the model that answered, or else the one that was asked.
func (s Span) model() string {
	return cmp.Or(s.text(wire.AttrGenAIResponseModel), s.text(wire.AttrGenAIRequestModel))
}

// provider is that of the model, by its name in the conventions or by the one that it had before.
func (s Span) provider() string {
	return cmp.Or(s.text(wire.AttrGenAIProvider), s.text(attrSystem))
}

func (s Span) usageAt(prefix string) pricing.Usage {
	var u pricing.Usage
	u.Input, _ = s.integer(prefix + wire.UsageInput)
	u.Output, _ = s.integer(prefix + wire.UsageOutput)
	u.CacheRead, _ = s.integer(prefix + wire.UsageCacheRead)
	u.CacheWrite, _ = s.integer(prefix + wire.UsageCacheCreation)
	return u
}

// cost sets what the run's calls cost, or names the models for which nobody knows it:
// unknown is not zero. What a rule sets stays.
func (b *builder) cost(m RunMapping, prices *pricing.Table, plan *Plan) {
	if _, told := b.metrics[metricCost]; told {
		return
	}
	spent := b.raw.spend(m.Costs, prices)
	if spent.known {
		b.metric(metricCost, decimal.Round(spent.cost.Total()))
	}
	b.tagIf(wire.TagUnknownModel, strings.Join(spent.unknown, ", "))
	for _, model := range spent.unknown {
		plan.Unpriced = append(plan.Unpriced, Unpriced{TraceID: b.span.Span.TraceID().String(), Model: model})
	}
}

// costJSON is MLflow's form of a cost; it needs all three figures.
func costJSON(c pricing.Cost) string {
	body, _ := json.Marshal(map[string]float64{ // finite numbers: cannot fail
		"input_cost": decimal.Round(c.Input), "output_cost": decimal.Round(c.Output), "total_cost": decimal.Round(c.Total()),
	})
	return string(body)
}
