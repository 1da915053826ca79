//go:build realserver

package doctor

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// realMLflow starts an MLflow and gives a deployment that records into it.
func realMLflow(t *testing.T, cfg mlflowtest.RealConfig) (*rig, *mlflowtest.Real) {
	t.Helper()
	cfg.Python = os.Getenv("MLFLOW_TEST_PYTHON")
	s, err := mlflowtest.StartReal(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	r := newRig(t, "MLFLOW_TRACKING_URI="+s.URL, "MLFLOW_ENABLE_TRACKING=true", "MLFLOW_ENABLE_TRACING=true", "MLFLOW_EXPERIMENT_NAME=doctored")
	c, err := s.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.CreateExperiment(t.Context(), "doctored"); err != nil {
		t.Fatal(err)
	}
	return r, s
}

// patient lets the supervisor of several workers wait for one that a busy machine keeps from
// answering; else it kills it.
const patient = "--timeout-worker-healthcheck 120"

// left names what a server holds of an experiment that nobody but doctor wrote to.
func left(t *testing.T, s *mlflowtest.Real, artifacts string) (all []string) {
	t.Helper()
	c, err := s.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	e, err := c.GetExperimentByName(t.Context(), "doctored")
	if err != nil {
		t.Fatal(err)
	}
	traces, _, err := c.SearchTraces(t.Context(), mlflow.SearchTraces{ExperimentIDs: []string{e.ID, defaultExperiment}})
	if err != nil {
		t.Fatal(err)
	}
	for _, trace := range traces {
		all = append(all, trace.TraceID)
	}
	runs, _, err := c.SearchRuns(t.Context(), mlflow.SearchRuns{ExperimentIDs: []string{e.ID, defaultExperiment}, View: mlflow.ViewAll})
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range runs {
		all = append(all, run.Info.ID)
	}
	err = filepath.WalkDir(artifacts, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return all
}

// One real MLflow with three workers on SQLite, a clock that is wrong and a list of hosts; then
// its artifacts cannot be written, and a proxy stands before it.
func TestRealMLflowIsBroken(t *testing.T) {
	dir := t.TempDir()
	artifacts := filepath.Join(dir, "artifacts")
	late := "import time\n_now = time.time\ntime.time = lambda: _now() + 600\n"
	if err := os.WriteFile(filepath.Join(dir, "sitecustomize.py"), []byte(late), 0o600); err != nil {
		t.Fatal(err)
	}
	r, s := realMLflow(t, mlflowtest.RealConfig{
		Args:  []string{"--workers", "3", "--uvicorn-opts", patient, "--allowed-hosts", "mlflow.example.org,ui.example.org", "--artifacts-destination", artifacts},
		Env:   []string{"PYTHONPATH=" + dir},
		Reach: mlflow.Config{HostHeader: "mlflow.example.org"},
	})
	names(t, r.probe(t, "mlflow-reachable"), OK, "it answers on "+s.URL)
	host := strings.TrimPrefix(s.URL, "http://")
	names(t, r.probe(t, "mlflow-host"), Fail, "it refuses the Host "+host, "--allowed-hosts "+host)

	r.reach = &mlflow.Config{HostHeader: "mlflow.example.org"}
	names(t, r.probe(t, "mlflow-host"), OK, "refuses unknown names")
	r.set("MLFLOW_UI_URL=http://elsewhere.example.org")
	names(t, r.probe(t, "mlflow-host"), Warn, "refuses elsewhere.example.org, the host of MLFLOW_UI_URL", "elsewhere.example.org")
	r.set("MLFLOW_UI_URL=")
	for probe, found := range map[string]string{
		"mlflow-access": "experiment doctored has the id 1", "mlflow-version": "it is " + s.Version, "mlflow-store": "SQLite (by the words of an error)",
		"mlflow-traces": "it took a span for experiment doctored and gave its trace back", "mlflow-artifacts": "it wrote a file and gave it back",
	} {
		names(t, r.probe(t, probe), OK, found)
	}
	if stays := left(t, s, artifacts); len(stays) > 0 {
		t.Errorf("%v stay", stays)
	}
	names(t, r.probe(t, "mlflow-workers"), Warn, "3 workers on SQLite", "--workers 2")
	names(t, r.probe(t, "clock"), Fail, "ahead of this host's", "NTP")
	if got := r.probe(t, "mlflow-latency"); got.Status == OK && !strings.Contains(got.Found, "Nagle") && !raceOrSlow(got) {
		t.Errorf("the delay of MLflow's server is not seen: %s", got.Found)
	}

	// A proxy that keeps its connections and leaves acknowledgements to the system.
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 4}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Transport: transport, Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(target)
		p.Out.Host = "mlflow.example.org"
	}})
	t.Cleanup(func() { proxy.Close(); transport.CloseIdleConnections() })
	r.set("MLFLOW_TRACKING_URI=" + proxy.URL)
	names(t, r.probe(t, "mlflow-latency"), Warn, "a connection", "MLflow")
	r.set("MLFLOW_TRACKING_URI=" + s.URL)

	// Root may write into directories that are read only, so there is a file in place of it.
	removeAll(t, artifacts)
	if err := os.WriteFile(artifacts, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	names(t, r.probe(t, "mlflow-artifacts"), Fail, "it does not write a file", "--artifacts-destination")
}

// raceOrSlow: on a machine that is busy the delay is lost in the noise.
func raceOrSlow(r Result) bool { return strings.Contains(r.Found, "no delayed") }

// MLflow's own log-in: a wrong password, none, and a user who may only read.
func TestRealLogInIsBroken(t *testing.T) {
	const password = "cor/rect horse#1"
	cfg, err := mlflowtest.BasicAuth(t.TempDir(), password, "READ")
	if err != nil {
		t.Fatal(err)
	}
	r, s := realMLflow(t, cfg)
	as := func(user, password string) *rig {
		u, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			u.User = url.UserPassword(user, password)
		}
		return r.set("MLFLOW_TRACKING_URI=" + u.String())
	}
	names(t, as("", "").probe(t, "mlflow-access"), Fail, "it refuses the credentials", "Write user and password into MLFLOW_TRACKING_URI")
	got := as("admin", "wr/ong horse#2").probe(t, "mlflow-access")
	names(t, got, Fail, "401", "Correct user and password")
	for _, probe := range []string{"mlflow-access", "mlflow-version", "mlflow-store", "mlflow-traces", "mlflow-artifacts"} {
		names(t, as("admin", password).probe(t, probe), OK, "")
	}
	addReader(t, s.URL, cfg.Reach.Headers["Authorization"])
	reader := as("reader", "reader's password")
	names(t, reader.probe(t, "mlflow-access"), OK, "doctored")
	names(t, reader.probe(t, "mlflow-traces"), Fail, "403", "permission EDIT")
	names(t, reader.probe(t, "mlflow-artifacts"), Fail, "403", "permission EDIT")
}

func addReader(t *testing.T, address, authorization string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"username": "reader", "password": "reader's password"})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/api/2.0/mlflow/users/create", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("make a user: HTTP %d", resp.StatusCode)
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
}

// A file store takes runs and no traces.
func TestRealFileStoreIsNamed(t *testing.T) {
	r, _ := realMLflow(t, mlflowtest.RealConfig{
		Store: filepath.Join(t.TempDir(), "mlruns"), Env: []string{"MLFLOW_ALLOW_FILE_STORE=true"},
	})
	names(t, r.probe(t, "mlflow-store"), Fail, "a file store (by the words of an error)", "migrate-filestore")
	names(t, r.probe(t, "mlflow-traces"), Fail, "")
	names(t, r.probe(t, "mlflow-artifacts"), OK, "gave it back")
	r.set("MLFLOW_ENABLE_TRACING=false")
	names(t, r.probe(t, "mlflow-store"), Warn, "a file store")
}

// `make contract-postgres` has a PostgreSQL for MLflow.
func TestRealPostgreSQLIsRecognised(t *testing.T) {
	store := os.Getenv("MLFLOW_TEST_STORE")
	if store == "" {
		t.Skip("MLFLOW_TEST_STORE names no PostgreSQL for MLflow")
	}
	r, _ := realMLflow(t, mlflowtest.RealConfig{Store: store, Args: []string{"--workers", "3", "--uvicorn-opts", patient}})
	names(t, r.probe(t, "mlflow-store"), OK, "PostgreSQL (by the words of an error)")
	names(t, r.probe(t, "mlflow-workers"), OK, "PostgreSQL takes several writers")
	names(t, r.probe(t, "mlflow-traces"), OK, "gave its trace back")
}
