//go:build linux

package main

import (
	"path/filepath"
	"testing"
)

// Both kinds of the worker under load still compile: the functions that are watched are
// there, and the stand-in has everything that the worker calls.
func TestWorkerBuildsInEveryKind(t *testing.T) {
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	watch, err := withWatch(top, dir)
	if err != nil {
		t.Fatal(err)
	}
	none, err := withoutTelemetry(top)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]overlay{"watched": watch, "none": none} {
		if err := buildWorker(top, filepath.Join(dir, name), o); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A function that has another name is an error, not time that nobody sees.
func TestWatchedFunctionsMustBeThere(t *testing.T) {
	if _, err := insertCalls("build.go", map[string]string{"nameOf": "_ = 1", "gone": "_ = 1"}); err == nil {
		t.Error("a function that is not there is watched")
	}
}
