package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// themed is a dataset of one example with a theme, or none, beside an MLflow.
type themed struct {
	*testing.T
	server *mlflowtest.Server
	client *mlflow.Client
	dir    string
	id     string
}

func newThemed(t *testing.T) *themed {
	t.Helper()
	s := startMLflow(t)
	return &themed{T: t, server: s, client: clientOf(t, s), dir: t.TempDir()}
}

// try syncs and returns the exit code.
func (d *themed) try(theme, notes string) (code int, got synced, stderr string) {
	d.Helper()
	if err := os.MkdirAll(filepath.Join(d.dir, "eval", "evidence"), 0o755); err != nil {
		d.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.dir, "eval", "evidence", "one.json"), []byte(`{"coverage": "full"}`), 0o600); err != nil {
		d.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"name": "set", "description": "", "version": "3", "examples": []map[string]any{{
		"id": "one", "url": "https://example.org/one", "slack_text": "look", "expected_theme": theme, "tags": []string{"a"}, "notes": notes,
	}}})
	if err != nil {
		d.Fatal(err)
	}
	path := filepath.Join(d.dir, "set.json")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		d.Fatal(err)
	}
	code, stdout, stderr := mlflowctl(d.T, "--tracking-uri", d.server.URL, "dataset", "sync", "--json", "--dataset", path)
	if code == 0 {
		if err := json.Unmarshal([]byte(stdout), &got); err != nil {
			d.Fatal(err)
		}
		d.id = got.DatasetID
	}
	return code, got, stderr
}

func (d *themed) sync(theme, notes string) synced {
	d.Helper()
	code, got, stderr := d.try(theme, notes)
	if code != 0 {
		d.Fatalf("exit %d: %s", code, stderr)
	}
	return got
}

func (d *themed) add(r mlflow.DatasetRecord) {
	d.Helper()
	if _, _, err := d.client.UpsertDatasetRecords(d.Context(), d.id, []mlflow.DatasetRecord{r}); err != nil {
		d.Fatal(err)
	}
}

// addPeoples adds to the record of the example what people may.
func (d *themed) addPeoples() {
	d.Helper()
	d.add(mlflow.DatasetRecord{
		Inputs:       map[string]any{"url": "https://example.org/one", "slack_text": "look"},
		Outputs:      map[string]any{"comment": "good"},
		Expectations: map[string]any{"length": 3.0}, Tags: map[string]any{"reviewed": true},
	})
}

func (d *themed) record() mlflow.DatasetRecord {
	d.Helper()
	held, err := d.client.DatasetRecords(d.Context(), d.id)
	if err != nil || len(held) != 1 {
		d.Fatalf("%d records (%+v), %v; want one", len(held), held, err)
	}
	return held[0]
}

func (d *themed) checkPeoples(theme bool) {
	d.Helper()
	r := d.record()
	want := map[string]any{"length": 3.0}
	if theme {
		want["expected_theme"] = "Agentic Workflows"
	}
	if !maps.Equal(r.Expectations, want) || r.Tags["reviewed"] != true || r.Tags["example"] != "one" || r.Tags["tags"] != "a" ||
		!reflect.DeepEqual(r.Outputs, map[string]any{"comment": "good"}) || len(r.Inputs) != 2 || r.Source == nil {
		d.Errorf("record %+v, source %+v; want expectations %v", r, r.Source, want)
	}
}

func TestDatasetSyncTakesOutAnExpectationThatTheFileDropped(t *testing.T) {
	d := newThemed(t)
	d.sync("Agentic Workflows", "")
	d.addPeoples()
	if got := d.sync("", ""); got.Updated != 1 || got.Added+got.Removed+got.Foreign != 0 {
		t.Errorf("dropped: %+v", got)
	}
	d.checkPeoples(false)
	if got := d.sync("", ""); got.Updated+got.Added+got.Removed+got.Foreign != 0 {
		t.Errorf("again: %+v", got)
	}
	if got := d.sync("Agentic Workflows", ""); got.Updated != 1 {
		t.Errorf("back: %+v", got)
	}
	d.checkPeoples(true)
}

func TestDatasetSyncThatIsEndedWhileItMakesARecordAnewLosesNothingOfPeople(t *testing.T) {
	for ended := 1; ; ended++ { // at which of its writes
		d := newThemed(t)
		d.sync("Agentic Workflows", "")
		d.addPeoples()
		writes := 0
		d.server.Fail(func(r *http.Request) *mlflowtest.Fault {
			if !strings.HasSuffix(r.URL.Path, "/records") || r.Method == http.MethodGet {
				return nil
			}
			if writes++; writes < ended {
				return nil
			}
			return &mlflowtest.Fault{Status: http.StatusBadRequest, Body: `{"error_code": "INVALID_PARAMETER_VALUE", "message": "ended here"}`}
		})
		code, _, stderr := d.try("", "")
		d.server.Fail(nil)
		if code == 0 {
			if ended != 5 {
				t.Errorf("it writes records %d times, want 4", ended-1)
			}
			return
		}
		if !strings.Contains(stderr, "ended here") {
			t.Fatal(stderr)
		}
		d.sync("", "")
		d.checkPeoples(false)
	}
}

// The hash says that the records are those of the file.
func TestDatasetSyncTagsTheHashWhenTheRecordsAreThere(t *testing.T) {
	d := newThemed(t)
	first := d.sync("Agentic Workflows", "")
	d.server.Fail(func(r *http.Request) *mlflowtest.Fault {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/records") {
			return &mlflowtest.Fault{Status: http.StatusBadRequest, Body: `{"error_code": "INVALID_PARAMETER_VALUE", "message": "no"}`}
		}
		return nil
	})
	if code, _, _ := d.try("Agentic Workflows", "changed"); code == 0 {
		t.Fatal("it succeeded")
	}
	exp, err := d.client.GetExperimentByName(t.Context(), "technoshare_eval")
	if err != nil {
		t.Fatal(err)
	}
	sets, err := d.client.SearchDatasets(t.Context(), exp.ID, "set")
	if err != nil || len(sets) != 1 || !strings.Contains(sets[0].Tags, first.Hash) {
		t.Errorf("datasets %+v, %v; want the hash of the records, %s", sets, err, first.Hash)
	}
}

func TestDatasetSyncCountsWhatChanged(t *testing.T) {
	d := newThemed(t)
	d.sync("Agentic Workflows", "")
	if got := d.sync("Agentic Workflows", ""); got.Updated != 0 {
		t.Errorf("unchanged: %+v", got)
	}
	if got := d.sync("Agentic Workflows", "see the table"); got.Updated != 1 || d.record().Tags["notes"] != "see the table" {
		t.Errorf("changed: %+v, record %+v", got, d.record())
	}
}
