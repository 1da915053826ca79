package doctor

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/test/sandbox"
)

// rig is a deployment in a folder of its own, as its settings describe it.
type rig struct {
	dir    string
	lines  []string
	limits Limits
	now    func() time.Time
	reach  *mlflow.Config // nil: MLFLOW_TRACKING_URI alone
}

// newRig is a deployment whose programs do not run: nobody listens at its addresses.
func newRig(t *testing.T, lines ...string) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir()}
	for _, name := range []string{"GRPC", "HTTP", "REPLAY", "HEALTH", "STATUS", "PROMETHEUS"} {
		r.set("OTELCOL_" + name + "_ENDPOINT=" + closed(t))
	}
	_, port, err := net.SplitHostPort(closed(t))
	if err != nil {
		t.Fatal(err)
	}
	r.set("OTELCOL_METRICS_PORT="+port, "MLFLOW_TRACKING_URI=http://"+closed(t), "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+closed(t))
	r.set(lines...)
	return r
}

// set sets settings of the environment; the last one of a name holds.
func (r *rig) set(lines ...string) *rig {
	r.lines = append(r.lines, lines...)
	return r
}

func (r *rig) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) patient(t *testing.T) *Patient {
	t.Helper()
	p := Patient{Options: config.Options{Environ: r.lines, Dir: r.dir}, Limits: r.limits, Now: r.now}
	p.Config, p.Warnings, p.Problem = config.Load(p.Options)
	p.Collector, p.CollectorProblem = config.LoadCollector(p.Options)
	reach := mlflow.Config{}
	if r.reach != nil {
		reach = *r.reach
	}
	reach.Endpoint = p.Config.TrackingURI
	client, err := mlflow.New(reach)
	if err == nil {
		t.Cleanup(client.Close)
		p.MLflow = client
	}
	return New(p)
}

// probe makes one probe, and those that it needs.
func (r *rig) probe(t *testing.T, id string) Result {
	t.Helper()
	report := r.report(t, id)
	return report.Probes[len(report.Probes)-1]
}

func (r *rig) report(t *testing.T, ids ...string) Report {
	t.Helper()
	probes, err := Find(ids)
	if err != nil {
		t.Fatal(err)
	}
	return Run(t.Context(), probes, r.patient(t), func(one Result) { t.Logf("%+v", one) })
}

// names is a finding that has to be named: its status, and words of what was found and of how to
// mend it.
func names(t *testing.T, r Result, status Status, found string, fix ...string) {
	t.Helper()
	if r.Status != status || !strings.Contains(r.Found, found) {
		t.Errorf("%s: %s, want %s with %q:\n%s", r.ID, r.Status, status, found, r.Found)
	}
	for _, text := range fix {
		if !strings.Contains(r.Fix, text) {
			t.Errorf("%s: how to mend it lacks %q:\n%s", r.ID, text, r.Fix)
		}
	}
	if told := r.Means != "" && r.Fix != ""; (status == Warn || status == Fail) && !told {
		t.Errorf("%s: it does not say what %q means and how to mend it", r.ID, r.Found)
	}
	if (status == OK || status == Skip) && (r.Fix != "" || r.Means != "") {
		t.Errorf("%s: it mends what is not broken: %s %s", r.ID, r.Means, r.Fix)
	}
}

// closed is an address that nobody listens on.
func closed(t *testing.T) string {
	t.Helper()
	address, err := sandbox.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// fakeMLflow is a server in memory with the experiment of the Collector.
func fakeMLflow(t *testing.T, r *rig) *mlflowtest.Server {
	t.Helper()
	s := mlflowtest.Start()
	t.Cleanup(s.Close)
	r.set("MLFLOW_TRACKING_URI="+s.URL, "MLFLOW_ENABLE_TRACKING=true", "MLFLOW_ENABLE_TRACING=true")
	c, err := mlflow.New(mlflow.Config{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.CreateExperiment(t.Context(), "technoshare_commentator"); err != nil {
		t.Fatal(err)
	}
	return s
}

// serve is an HTTP server that answers one way.
func serve(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s.URL
}

// database makes a job database and lets a test change it.
func (r *rig) database(t *testing.T, change func(ctx context.Context, s *store.Store)) string {
	t.Helper()
	path := filepath.Join(r.dir, "db.sqlite")
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(t.Context(), s)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
