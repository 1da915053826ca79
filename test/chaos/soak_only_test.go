//go:build linux

package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSoakRefusesAPartThatItDoesNotHave: a slip of the pen must not pass for a soak.
func TestSoakRefusesAPartThatItDoesNotHave(t *testing.T) {
	err := runSoak([]string{"-only", "x", "-out", t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "hour, mlflow, outage") {
		t.Errorf("-only x: %v", err)
	}
}

// TestSoakKeepsThePartsThatWereNotRun, each with the time and the revision of its own.
func TestSoakKeepsThePartsThatWereNotRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "soak.json")
	at := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	for i, r := range []soaked{
		{Revision: "first", Hour: &hourResult{}, MLflow: &mlflowResult{Jobs: 1}, Outage: &outageResult{}},
		{Revision: "second", Hour: &hourResult{}},
		{Revision: "third", MLflow: &mlflowResult{Jobs: 3}},
	} {
		r.Time = at.AddDate(0, 0, i)
		kept, err := r.keep(path)
		if err == nil {
			err = kept.save(path)
		}
		if err != nil {
			t.Fatal(err)
		}
		if i < 2 {
			continue
		}
		hour, outage := kept.Earlier["hour"], kept.Earlier["outage"]
		if len(kept.Earlier) != 2 || hour.Revision != "second" || !hour.Time.Equal(at.AddDate(0, 0, 1)) || outage.Revision != "first" || !outage.Time.Equal(at) {
			t.Errorf("earlier parts %+v", kept.Earlier)
		}
		if kept.Hour == nil || kept.Outage == nil || kept.MLflow.Jobs != 3 || kept.Revision != "third" {
			t.Errorf("kept %+v", kept)
		}
	}
}
