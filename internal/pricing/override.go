package pricing

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/technoshare/commentator/internal/strictyaml"
)

// override is an entry of a file of prices.
type override struct {
	Provider   string   `yaml:"provider"`
	Model      string   `yaml:"model"`
	From       string   `yaml:"from"` // 2026-01-31, UTC; empty: always
	Input      *float64 `yaml:"input"`
	Output     *float64 `yaml:"output"`
	CacheRead  *float64 `yaml:"cache_read"`
	CacheWrite *float64 `yaml:"cache_write"`
}

// With returns the table with the prices of a YAML file added, whose name is for errors:
//
//	prices: # USD per million tokens
//	  - {provider: openai, model: gpt-4o, from: 2026-01-31, input: 2.5, output: 10, cache_read: 1.25}
//
// An entry holds from the beginning of its day (UTC) on, in place of what the table has for
// that model, with a date behind its name or without; before that, and without an earlier entry, the table's own price holds.
// cache_read and cache_write are those of plain input unless they are given.
func (t *Table) With(name string, file []byte) (*Table, error) {
	var parsed struct {
		Prices []override `yaml:"prices"`
	}
	decoder := strictyaml.NewDecoder(bytes.NewReader(file))
	if err := decoder.Decode(&parsed); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", name, strictyaml.Explain(err, &parsed))
	}
	for {
		var more yaml.Node
		err := decoder.Decode(&more)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len(more.Content) > 0 && more.Content[0].Tag != "!!null" {
			return nil, fmt.Errorf("%s: line %d begins another YAML document, which would be ignored: remove the line --- before it and list all prices under one `prices`", name, more.Content[0].Line)
		}
	}
	out := &Table{own: maps.Clone(t.own), models: t.models}
	if out.own == nil {
		out.own = map[key][]dated{}
	}
	seen := map[key]map[string]bool{}
	var errs []error
	for i, o := range parsed.Prices {
		k := key{strings.ToLower(strings.TrimSpace(o.Provider)), strings.ToLower(strings.TrimSpace(o.Model))}
		d, err := o.price()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: prices[%d] (%s %s): %w", name, i, o.Provider, o.Model, err))
			continue
		}
		if seen[k][o.From] {
			errs = append(errs, fmt.Errorf("%s: prices[%d] (%s %s): there is another entry from the same day; remove one", name, i, o.Provider, o.Model))
			continue
		}
		if seen[k] == nil {
			seen[k] = map[string]bool{}
		}
		seen[k][o.From] = true
		out.own[k] = append(slices.Clone(out.own[k]), d)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	for k := range seen {
		list := out.own[k]
		if old := len(t.own[k]); seen[k][""] { // an entry without a date replaces the table's own
			list = slices.Clone(list[old:])
		}
		slices.SortStableFunc(list, func(a, b dated) int { return b.from.Compare(a.from) })
		out.own[k] = list
	}
	return out, nil
}

func (o override) price() (dated, error) {
	var d dated
	if strings.TrimSpace(o.Provider) == "" || strings.TrimSpace(o.Model) == "" {
		return d, errors.New("provider and model must be given")
	}
	if o.From != "" {
		var err error
		if d.from, err = time.Parse(time.DateOnly, o.From); err != nil {
			return d, fmt.Errorf("from %q is no day; write it as 2026-01-31", o.From)
		}
	}
	if o.Input == nil || o.Output == nil {
		return d, errors.New("input and output must be given, in USD per million tokens")
	}
	for what, p := range map[string]*float64{"input": o.Input, "output": o.Output, "cache_read": o.CacheRead, "cache_write": o.CacheWrite} {
		if p != nil && (*p < 0 || math.IsNaN(*p) || math.IsInf(*p, 0)) {
			return d, fmt.Errorf("%s must be 0 or more, found %v", what, *p)
		}
	}
	d.price = Price{Input: *o.Input, Output: *o.Output, CacheRead: *o.Input, CacheWrite: *o.Input}
	if o.CacheRead != nil {
		d.price.CacheRead = *o.CacheRead
	}
	if o.CacheWrite != nil {
		d.price.CacheWrite = *o.CacheWrite
	}
	return d, nil
}
