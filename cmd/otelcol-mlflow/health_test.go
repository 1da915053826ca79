package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

// get reads what the Collector under test serves at an address; code is 0 without an answer.
func get(t *testing.T, address, path string) (code int, body string) {
	t.Helper()
	res, err := http.Get("http://" + address + path)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// health is what health_check answers.
type health struct {
	Healthy    bool              `json:"healthy"`
	Status     string            `json:"status"`
	Error      string            `json:"error"`
	Components map[string]health `json:"components"`
}

func readHealth(t *testing.T, endpoint, query string) (code int, h health) {
	t.Helper()
	code, body := get(t, os.Getenv(endpoint), "/"+query)
	if err := json.Unmarshal([]byte(body), &h); err != nil {
		t.Fatalf("%s: HTTP %d %q: %v", endpoint, code, body, err)
	}
	return code, h
}

// own is the value of one of the exporter's own metrics; empty: there is none.
func own(t *testing.T, name string) string {
	t.Helper()
	_, text := get(t, "127.0.0.1:"+os.Getenv("OTELCOL_METRICS_PORT"), "/metrics")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "otelcol_exporter_mlflow_"+name+`{exporter="mlflow"} `); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// MLflow stops answering and answers again. The gauge says so, and so do the status of the
// exporter and the code of the endpoint that is there for it; the endpoint for probes says
// that the Collector runs, all the time.
func TestHealthTellsWhetherMLflowIsThere(t *testing.T) {
	requests, _, err := fixture.Load("success")
	if err != nil {
		t.Fatal(err)
	}
	server := beside(t)
	var down atomic.Bool
	server.Fail(func(*http.Request) *mlflowtest.Fault {
		if down.Load() {
			return &mlflowtest.Fault{} // no answer
		}
		return nil
	})
	stop := startCollector(t)
	defer stop()
	becomes := func(up, status string, code int) {
		t.Helper()
		await(t, "up to be "+up, func() bool { return own(t, "up") == up })
		var got int
		var all health
		await(t, status, func() bool {
			got, all = readHealth(t, "OTELCOL_STATUS_ENDPOINT", "?verbose")
			return all.Status == status
		})
		healthy := code == http.StatusOK
		if got != code || all.Healthy != healthy {
			t.Errorf("%s: HTTP %d, %+v", status, got, all)
		}
		for _, pipeline := range []string{"pipeline:traces", "pipeline:traces/replay", "pipeline:metrics"} {
			if one := all.Components[pipeline].Components["exporter:mlflow"]; one.Status != status || (one.Error == "") != healthy {
				t.Errorf("in %s the exporter is %+v, want %s", pipeline, one, status)
			}
		}
		if code, h := readHealth(t, "OTELCOL_HEALTH_ENDPOINT", ""); code != http.StatusOK || h.Status != status {
			t.Errorf("%s: probes get HTTP %d, %+v", status, code, h)
		}
	}
	becomes("1", "StatusOK", http.StatusOK)
	down.Store(true)
	send(t, requests)
	becomes("0", "StatusRecoverableError", http.StatusInternalServerError)
	down.Store(false)
	becomes("1", "StatusOK", http.StatusOK)

	for name, want := range map[string]string{"delivery_lag_count": "1", "open_runs": "0", "ledger_records": "1", "dead_letters": "0"} {
		await(t, name, func() bool { return own(t, name) == want })
	}
	if size := own(t, "ledger_size"); size == "" || size == "0" {
		t.Errorf("the ledger has the size %q", size)
	}
}
