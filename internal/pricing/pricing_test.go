package pricing

import (
	"math"
	"strings"
	"testing"
	"time"

	"charm.land/catwalk/pkg/catwalk"
	"pgregory.net/rapid"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Max(1, math.Abs(b)) }

// Invoices worked out by hand from the vendors' price lists: Anthropic's reads cost a tenth
// of the input and its writes 1.25 times as much, OpenAI's reads half (gpt-4o) or a quarter
// (gpt-4.1) of it, and its writes nothing extra.
func TestInvoices(t *testing.T) {
	for _, tc := range []struct {
		provider, model string
		usage           Usage
		input, output   float64
	}{
		{"openai", "gpt-4o", Usage{Input: 1000, Output: 500}, 0.0025, 0.005},
		{"openai", "gpt-4o-2024-08-06", Usage{Input: 10_000, Output: 100, CacheRead: 8_000}, 2000*2.5e-6 + 8000*1.25e-6, 0.001},
		{"openai", "gpt-4o-mini", Usage{Input: 1_000_000, Output: 1_000_000}, 0.15, 0.6},
		{"azure.ai.openai", "gpt-4.1", Usage{Input: 4000, CacheRead: 3000, Output: 10}, 1000*2e-6 + 3000*0.5e-6, 10 * 8e-6},
		{"anthropic", "claude-sonnet-4-5-20250929", Usage{Input: 10_000, Output: 1000, CacheRead: 6000, CacheWrite: 3000}, 1000*3e-6 + 6000*0.3e-6 + 3000*3.75e-6, 0.015},
		{"anthropic", "claude-sonnet-4-5", Usage{Input: 1000}, 0.003, 0},
		{"anthropic", "claude-opus-4-6", Usage{Input: 1000, CacheRead: 50_000, Output: 1}, 1000*5e-6 + 50_000*0.5e-6, 25e-6},
		{"aws.bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0", Usage{Input: 2000, CacheWrite: 1000, Output: 100}, 1000*1e-6 + 1000*1.25e-6, 500e-6},
		{"gcp.gemini", "models/gemini-2.5-pro", Usage{Input: 2000, CacheRead: 1000, Output: 100}, 1000*1.25e-6 + 1000*0.125e-6, 1000e-6},
		{"", "gpt-4o", Usage{Output: 1}, 0, 10e-6},
	} {
		p, ok := Default().Price(tc.provider, tc.model, now)
		if !ok {
			t.Errorf("%s %s has no price", tc.provider, tc.model)
			continue
		}
		if c := p.Cost(tc.usage); !near(c.Input, tc.input) || !near(c.Output, tc.output) || !near(c.Total(), tc.input+tc.output) {
			t.Errorf("%s %s %+v costs %+v, want %v and %v", tc.provider, tc.model, tc.usage, c, tc.input, tc.output)
		}
	}
}

func TestUnknownIsNotFree(t *testing.T) {
	for _, tc := range [][2]string{{"openai", "gpt-99"}, {"offline", "offline-extractive"}, {"openai", ""}, {"anthropic", "gpt-4o"}, {"nobody", "gpt-4o"}} {
		if p, ok := Default().Price(tc[0], tc[1], now); ok {
			t.Errorf("%s %s has price %+v", tc[0], tc[1], p)
		}
	}
	if _, ok := (*Table)(nil).Price("openai", "gpt-4o", now); ok {
		t.Error("no table has a price")
	}
}

// Whoever entered a model in catwalk, a read is not dearer than plain input and a write not
// cheaper, and neither is the price of output.
func TestCatwalksFieldsForCachedTokens(t *testing.T) {
	for _, tc := range []struct {
		name                         string
		in, out, inCached, outCached float64
		read, write                  float64
	}{
		{"anthropic", 3, 15, 3.75, 0.3, 0.3, 3.75},
		{"openai, later", 5, 30, 0.5, 0, 0.5, 5},
		{"openai, 5.6", 5, 30, 6.25, 0.5, 0.5, 6.25},
		{"gpt-4.1", 2, 8, 0, 0.5, 0.5, 2},
		{"gemini with the output's price", 0.75, 3.75, 0.075, 3.75, 0.075, 0.75},
		{"none", 30, 180, 0, 0, 30, 30},
	} {
		p, ok := priceOf(catwalk.Model{CostPer1MIn: tc.in, CostPer1MOut: tc.out, CostPer1MInCached: tc.inCached, CostPer1MOutCached: tc.outCached})
		if !ok || p.CacheRead != tc.read || p.CacheWrite != tc.write {
			t.Errorf("%s: %+v, want read %v and write %v", tc.name, p, tc.read, tc.write)
		}
	}
	if _, ok := priceOf(catwalk.Model{ID: "free-or-unknown"}); ok {
		t.Error("a model without figures has a price")
	}
}

func TestFileOfPrices(t *testing.T) {
	table, err := Default().With("prices.yaml", []byte(`
prices:
  - {provider: openai, model: gpt-4o, from: 2027-01-01, input: 2, output: 8}
  - {provider: openai, model: gpt-4o, from: 2027-06-01, input: 1, output: 4, cache_read: 0.1, cache_write: 2}
  - {provider: Example, model: Tiny-1, input: 0, output: 0}
  - {provider: anthropic, model: claude-opus-4-6, input: 4, output: 20}
  - {provider: anthropic, model: claude-sonnet-4-5, input: 100, output: 200}
  - {provider: openai, model: gpt-4o-mini-2024-07-18, input: 7, output: 8}
`))
	if err != nil {
		t.Fatal(err)
	}
	at := func(provider, model, day string) Price {
		when, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		p, ok := table.Price(provider, model, when)
		if !ok {
			t.Errorf("%s %s has no price on %s", provider, model, day)
		}
		return p
	}
	for _, tc := range []struct {
		provider, model, day string
		want                 Price
	}{
		{"openai", "gpt-4o", "2026-12-31", Price{2.5, 10, 1.25, 2.5}},
		{"openai", "gpt-4o", "2027-01-01", Price{2, 8, 2, 2}},
		{"openai", "gpt-4o-2024-08-06", "2027-05-31", Price{2, 8, 2, 2}},
		{"openai", "gpt-4o", "2028-01-01", Price{1, 4, 0.1, 2}},
		{"example", "tiny-1", "2000-01-01", Price{}},
		{"anthropic", "claude-opus-4-6", "2020-01-01", Price{4, 20, 4, 4}},
		{"anthropic", "claude-sonnet-4-5", "2026-01-01", Price{100, 200, 100, 100}},
		{"anthropic", "claude-sonnet-4-5-20250929", "2026-01-01", Price{100, 200, 100, 100}},
		{"openai", "gpt-4o-mini-2024-07-18", "2026-01-01", Price{7, 8, 7, 7}},
		{"openai", "gpt-4o-mini", "2026-01-01", Price{0.15, 0.6, 0.075, 0.15}},
	} {
		if got := at(tc.provider, tc.model, tc.day); got != tc.want {
			t.Errorf("%s %s on %s: %+v, want %+v", tc.provider, tc.model, tc.day, got, tc.want)
		}
	}
	if p, _ := Default().Price("anthropic", "claude-opus-4-6", now); p.Input != 5 {
		t.Errorf("the default table was changed: %+v", p)
	}
	for _, file := range []string{"", "---\n", "prices: []\n---\n", "---\nprices: []\n...\n"} {
		if _, err := Default().With("prices.yaml", []byte(file)); err != nil {
			t.Errorf("%q: %v", file, err)
		}
	}
}

func TestFileOfPricesSaysWhatIsWrong(t *testing.T) {
	for file, says := range map[string]string{
		"prices: [{provider: a, model: b, input: 1}]":                                                          "prices[0] (a b): input and output must be given",
		"prices: [{model: b, input: 1, output: 1}]":                                                            "provider and model must be given",
		"prices: [{provider: a, model: b, from: 1.2.27, input: 1, output: 1}]":                                 `from "1.2.27" is no day; write it as 2026-01-31`,
		"prices: [{provider: a, model: b, input: -1, output: 1}]":                                              "input must be 0 or more, found -1",
		"prices: [{provider: a, model: b, input: 1, output: .inf}]":                                            "output must be 0 or more",
		"prices: [{provider: a, model: b, input: 1, output: 1}, {provider: A, model: B, input: 1, output: 1}]": "prices[1] (A B): there is another entry from the same day",
		"prices: [{provider: a, modell: b}]":                                                                   "line 1: modell is not a known key; use one of provider, model, from, input, output, cache_read, cache_write",
		"- a":                                                                                                  "line 1: want the keys prices, found a list",
		"prices: []\n---\nprices: [{provider: a, model: b, input: 1, output: 1}]":                              "line 3 begins another YAML document, which would be ignored: remove the line ---",
		"prices: []\n---\na: [":                                                                                "did not find",
	} {
		_, err := Default().With("my.yaml", []byte(file))
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "my.yaml") {
			t.Errorf("%s: %v does not say %q", file, err, says)
		}
	}
}

// More tokens never cost less, two calls cost what both cost, and cached reads save.
func TestCostAddsUp(t *testing.T) {
	p, _ := Default().Price("anthropic", "claude-sonnet-4-6", now)
	usage := rapid.Custom(func(t *rapid.T) Usage {
		u := Usage{Output: rapid.Int64Range(0, 1e6).Draw(t, "output"), CacheRead: rapid.Int64Range(0, 1e6).Draw(t, "read"), CacheWrite: rapid.Int64Range(0, 1e6).Draw(t, "write")}
		u.Input = u.CacheRead + u.CacheWrite + rapid.Int64Range(0, 1e6).Draw(t, "plain")
		return u
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := usage.Draw(t, "a"), usage.Draw(t, "b")
		both := Usage{a.Input + b.Input, a.Output + b.Output, a.CacheRead + b.CacheRead, a.CacheWrite + b.CacheWrite}
		sum, whole := p.Cost(a).Plus(p.Cost(b)), p.Cost(both)
		if !near(sum.Input, whole.Input) || !near(sum.Output, whole.Output) {
			t.Fatalf("%+v and %+v cost %+v, together %+v", a, b, sum, whole)
		}
		if whole.Total()+1e-12 < p.Cost(a).Total() {
			t.Fatalf("more tokens cost less: %+v", both)
		}
		cached := a
		cached.CacheRead, cached.CacheWrite = a.Input-a.CacheWrite, a.CacheWrite
		if p.Cost(cached).Input > p.Cost(a).Input+1e-12 {
			t.Fatalf("reading %+v from the cache costs more", a)
		}
	})
}

// A server that counts cached tokens beside the input is not charged less than nothing.
func TestCachedTokensBesideTheInput(t *testing.T) {
	p := Price{Input: 10, Output: 1, CacheRead: 1, CacheWrite: 12}
	if c := p.Cost(Usage{Input: 5, CacheRead: 100, CacheWrite: -7}); !near(c.Input, (5*10+100)/1e6) {
		t.Errorf("%+v", c)
	}
	// Reads alone, or writes alone, would be within the input.
	if c := p.Cost(Usage{Input: 100, CacheRead: 80, CacheWrite: 90}); !near(c.Input, (100*10+80+90*12)/1e6) {
		t.Errorf("%+v", c)
	}
	if c := p.Cost(Usage{Input: -5, Output: -1}); c != (Cost{}) {
		t.Errorf("negative counts cost %+v", c)
	}
}

// Vertex writes the date of a model behind @. What a model of Bedrock costs depends on where it is asked:
// the table knows the profiles us. and eu., and nothing is guessed for the others.
func TestNamesOfModelsInClouds(t *testing.T) {
	for _, tc := range []struct {
		provider, model string
		input           float64 // 0: no price
	}{
		{"gcp.vertex_ai", "claude-sonnet-4-5@20250929", 3},
		{"gcp.vertex_ai", "claude-sonnet-4-5@20300101", 3},
		{"gcp.vertex_ai", "publishers/anthropic/models/claude-sonnet-4-5@20250929", 3},
		{"gcp.vertex_ai", "claude-sonnet-4-5@latest", 0},
		{"aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", 3},
		{"aws.bedrock", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", 3.3},
		{"aws.bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", 0},
		{"aws.bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", 0},
	} {
		if p, ok := Default().Price(tc.provider, tc.model, now); ok != (tc.input > 0) || p.Input != tc.input {
			t.Errorf("%s %s: %+v, %v, want %v", tc.provider, tc.model, p, ok, tc.input)
		}
	}
}
