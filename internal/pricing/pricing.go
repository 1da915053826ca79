// Package pricing turns token counts into USD. It is pure: prices come as data, the time
// as a value. A model without a price has no cost, which is not a cost of 0.
package pricing

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// Usage is how many tokens one or more calls took. OpenTelemetry's input count includes
// the tokens that were read from and written to the provider's cache.
type Usage struct {
	Input, Output         int64
	CacheRead, CacheWrite int64 // of Input
}

// None reports whether no token was used.
func (u Usage) None() bool {
	return u.Input <= 0 && u.Output <= 0 && u.CacheRead <= 0 && u.CacheWrite <= 0
}

// Cost is in USD.
type Cost struct{ Input, Output float64 }

// Total is what input and output cost together.
func (c Cost) Total() float64 { return c.Input + c.Output }

// Plus adds two costs.
func (c Cost) Plus(o Cost) Cost { return Cost{c.Input + o.Input, c.Output + o.Output} }

// Price is in USD per million tokens. Output includes reasoning.
type Price struct {
	Input, Output         float64
	CacheRead, CacheWrite float64
}

// Cost prices a usage. A server that counts cached tokens beside the input, not in it, is
// recognised when they are more than the input.
func (p Price) Cost(u Usage) Cost {
	plain := max(u.Input, 0)
	read, write := max(u.CacheRead, 0), max(u.CacheWrite, 0)
	if read <= plain && write <= plain-read {
		plain -= read + write
	}
	const million = 1e6
	return Cost{
		Input:  (float64(plain)*p.Input + float64(read)*p.CacheRead + float64(write)*p.CacheWrite) / million,
		Output: float64(max(u.Output, 0)) * p.Output / million,
	}
}

// Table holds the prices of models. It is never changed once it is made.
type Table struct {
	own    map[key][]dated // of a file of prices; the latest first
	models map[key][]dated
}

type key struct{ provider, model string }

type dated struct {
	from  time.Time // zero: always
	price Price
}

// Price finds the price of a model at a time. The provider is OpenTelemetry's
// gen_ai.provider.name; without one the makers of models are asked. A model whose name
// ends in a date has the price of the name without it, unless the table has both. A price of
// a file counts before those of the table, under whichever of these names.
func (t *Table) Price(provider, model string, at time.Time) (Price, bool) {
	if t == nil || model == "" {
		return Price{}, false
	}
	for _, models := range []map[key][]dated{t.own, t.models} {
		for _, p := range providers(provider) {
			for _, m := range spellings(model) {
				for _, d := range models[key{p, m}] {
					if !at.Before(d.from) {
						return d.price, true
					}
				}
			}
		}
	}
	return Price{}, false
}

// makers are asked, in this order, when a span does not name its provider.
var makers = []string{"openai", "anthropic", "gemini", "xai", "deepseek"}

// aliases gives the names that the table has for OpenTelemetry's gen_ai.provider.name and
// for what older instrumentations write as gen_ai.system.
var aliases = map[string][]string{
	"gcp.gemini":         {"gemini"},
	"google":             {"gemini"},
	"gcp.gen_ai":         {"gemini", "vertexai"},
	"gcp.vertex_ai":      {"vertexai", "gemini"},
	"vertex_ai":          {"vertexai", "gemini"},
	"aws.bedrock":        {"bedrock", "bedrock-europe"},
	"aws_bedrock":        {"bedrock", "bedrock-europe"},
	"azure.ai.openai":    {"azure", "openai"},
	"azure.ai.inference": {"azure", "openai"},
	"az.ai.openai":       {"azure", "openai"},
	"az.ai.inference":    {"azure", "openai"},
	"x_ai":               {"xai"},
	"moonshot_ai":        {"moonshot"},
}

func providers(name string) []string {
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" {
		return makers
	}
	// The name itself comes first, for prices that a user set under it.
	return append([]string{name}, aliases[name]...)
}

// vertexDate matches the date behind a model's name as Vertex writes it: claude-sonnet-4-5@20250929.
var vertexDate = regexp.MustCompile(`@(\d{8})$`)

// datedName matches the dates and revisions behind a model's name: gpt-4o-2024-08-06,
// claude-sonnet-4-5-20250929, …-v1:0.
var datedName = regexp.MustCompile(`^(.+?)(-\d{4}-\d{2}-\d{2}|-\d{8})?(-v\d+(:\d+)?)?$`)

// spellings are the names under which a model may be known, the most exact first.
func spellings(model string) []string {
	model = strings.ToLower(strings.TrimSpace(model))
	names := []string{model}
	if _, last, ok := strings.Cut(model, "models/"); ok { // Gemini's and Vertex's resource names
		names = append(names, last)
	}
	for _, n := range slices.Clone(names) {
		if dashed := vertexDate.ReplaceAllString(n, "-$1"); dashed != n {
			names = append(names, dashed)
		}
	}
	for _, n := range slices.Clone(names) {
		if m := datedName.FindStringSubmatch(n); m != nil && m[1] != n {
			names = append(names, m[1])
		}
	}
	return names
}
