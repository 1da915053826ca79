//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestMutationsFitTheSource: a patch that does not apply any more would be found only by the
// long run.
func TestMutationsFitTheSource(t *testing.T) {
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	mutations, err := mutationsIn(filepath.Join("testdata", "mutations"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			if m.path, err = filepath.Abs(m.path); err != nil {
				t.Fatal(err)
			}
			if m.text == "" {
				t.Error("it does not say what it breaks")
			}
			dir := t.TempDir()
			overlay, err := m.overlay(t.Context(), top, dir)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(overlay); err != nil {
				t.Error(err)
			}
			patch, err := os.ReadFile(m.path)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range patched.FindAllSubmatch(patch, -1) {
				before, err := os.ReadFile(filepath.Join(top, string(match[1])))
				if err != nil {
					t.Fatal(err)
				}
				after, err := os.ReadFile(filepath.Join(dir, string(match[1])))
				if err != nil {
					t.Fatal(err)
				}
				if string(before) == string(after) {
					t.Errorf("%s is as before", match[1])
				}
			}
		})
	}
}

// TestWhatCountsAsFound: with a fault in the programs only what the comparison finds, and
// without one nothing at all.
func TestWhatCountsAsFound(t *testing.T) {
	for name, c := range map[string]struct {
		round
		want bool
	}{
		"nothing wrong":                  {round{Passed: true}, true},
		"something wrong":                {round{result: result{Wrong: 1}}, false},
		"a program ended":                {round{result: result{Trouble: []string{"ended"}}}, false},
		"a fault is found":               {round{Mutation: "x", result: result{Lost: 1}}, true},
		"a fault is not found":           {round{Mutation: "x", Passed: true}, false},
		"a fault makes a program end":    {round{Mutation: "x", result: result{Trouble: []string{"ended"}}}, false},
		"a fault doubles and takes time": {round{Mutation: "x", result: result{Doubled: 2, Trouble: []string{"late"}, Relieved: true}}, true},
		"a fault only holds jobs up":     {round{Mutation: "x", result: result{Trouble: []string{"ended"}, Relieved: true}}, false},
		"nobody knows what still comes":  {round{Mutation: "x", result: result{Lost: 6, Wrong: 1, Trouble: []string{"ended"}}}, false},
	} {
		if got := c.asItShould(); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}

// TestProgramsAsTheyAreAreBuiltOnce: the round without a mutation takes those that finish what others
// leave.
func TestProgramsAsTheyAreAreBuiltOnce(t *testing.T) {
	dir := t.TempDir()
	o, err := mutation{}.programs(t.Context(), options{top: filepath.Join(dir, "no-source"), relief: "as-they-are"}, dir)
	if err != nil || o.bin != "as-they-are" || o.relief != "" {
		t.Errorf("the programs are in %q, what is left is finished by those in %q: %v", o.bin, o.relief, err)
	}
}
