//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAProtocolEndsWithTheFirstStepThatFails(t *testing.T) {
	var said strings.Builder
	p := &protocol{Revision: "abc", Began: time.Now(), OldStore: "2.14.3", out: &said}
	if err := p.run("one", func(s *step) error { s.did("this"); s.checked("%d runs | all", 3); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := p.run("two", func(*step) error { return errors.New("two runs\nwant three") }); err == nil || !strings.Contains(err.Error(), "step 2 FAILED: two") {
		t.Fatalf("it says %v", err)
	}
	dir := t.TempDir()
	if err := p.save(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "rehearse.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`| 1 | one | this | 3 runs \| all |`, "**FAILED**: two runs want three", "it FAILED"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if p.Steps[0].OK != true || p.Steps[1].OK != false || !strings.Contains(said.String(), "FAILED   after") {
		t.Errorf("steps %+v %+v\n%s", p.Steps[0], p.Steps[1], &said)
	}
}

func TestRepliesAreComparedToTheByte(t *testing.T) {
	reference := map[string]reply{"p": {text: "abc"}}
	if err := same([]reply{{page: "p", text: "abc", blocks: "[]"}}, reference); err != nil {
		t.Error(err)
	}
	for _, r := range []reply{{page: "p", text: "abd"}, {page: "p", text: "abc "}, {page: "q", text: "abc"}} {
		if same([]reply{r}, reference) == nil {
			t.Errorf("%+v passes", r)
		}
	}
}

func TestOldRunsAreComparedWhole(t *testing.T) {
	run := func() oldRun {
		return oldRun{ID: "1", Name: "job_1", Tags: map[string]string{"a": "b"}, Artifacts: map[string]string{"f": "hash"}}
	}
	trace := oldTrace{ID: "t", State: "OK", Spans: [][]string{{"a", "CHAIN", "OK"}}}
	before := heldByOld{Runs: []oldRun{run()}, Traces: []oldTrace{trace}}
	other := run()
	other.Artifacts["f"] = "another"
	for name, after := range map[string]heldByOld{
		"a run is gone":      {Traces: before.Traces},
		"a file is another":  {Runs: []oldRun{other}, Traces: before.Traces},
		"the trace is gone":  {Runs: before.Runs},
		"its spans are gone": {Runs: before.Runs, Traces: []oldTrace{{ID: "t", State: "OK"}}},
	} {
		if before.within(after) == nil {
			t.Errorf("%s: not found", name)
		}
	}
	if err := before.within(heldByOld{Runs: []oldRun{{ID: "2"}, run()}, Traces: before.Traces}); err != nil {
		t.Error(err)
	}
}
