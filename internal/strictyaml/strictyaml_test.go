package strictyaml

import (
	"errors"
	"strings"
	"testing"
)

type more struct {
	Deep bool `yaml:"deep"`
}

type item struct {
	Name   string   `yaml:"name"`
	Number int64    `yaml:"number,omitempty"`
	Share  *float64 `yaml:"share"`
	Plain  string
	Hidden string `yaml:"-"`
	More   more   `yaml:"more"`
}

func TestErrorsNameLineAndKeysAndNoTypes(t *testing.T) {
	for text, want := range map[string]string{
		"items:\n  - {nam: x}":                   "line 2: nam is not a known key; use one of name, number, share, plain, more",
		"item: []":                               "line 1: item is not a known key; use one of items, by",
		"- a":                                    "line 1: want the keys items, by, found a list",
		"items:\n  - a":                          "line 2: want the keys name, number, share, plain, more, found a",
		"items: {a: b}":                          "line 1: want a list, found keys with values",
		"items:\n  - {number: many}":             "line 2: want a whole number, found many",
		"items:\n  - {share: [1]}":               "line 2: want a number, found a list",
		"items:\n  - {name: {a: b}}":             "line 2: want a text, found keys with values",
		"items:\n  - more: {deep: 3}":            "line 2: want true or false, found 3",
		"by: 7":                                  "line 1: want keys with values, found 7",
		"by:\n  a: {deeep: true}\n  b: {dep: 1}": "line 2: deeep is not a known key; use one of deep\nline 3: dep is not a known key; use one of deep",
		"items: []\nitems: []":                   `line 2: mapping key "items" already defined at line 1`,
	} {
		var v struct {
			Items []item          `yaml:"items"`
			By    map[string]more `yaml:"by"`
		}
		err := NewDecoder(strings.NewReader(text)).Decode(&v)
		if err == nil || Explain(err, &v).Error() != want {
			t.Errorf("%q: %v, want %q", text, Explain(err, &v), want)
		}
	}
	other := errors.New("other")
	if err := Explain(other, nil); !errors.Is(err, other) {
		t.Error(err)
	}
}
