package doctor

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// What is ill with an MLflow in memory; TestReal… break a real one.
func TestFailuresOfMLflowAreNamed(t *testing.T) {
	answer := func(when func(*http.Request) bool, status int, body string) func(*http.Request) *mlflowtest.Fault {
		return func(r *http.Request) *mlflowtest.Fault {
			if when(r) {
				return &mlflowtest.Fault{Status: status, Body: body}
			}
			return nil
		}
	}
	path := func(part string) func(*http.Request) bool {
		return func(r *http.Request) bool { return strings.Contains(r.URL.Path, part) }
	}
	api := path("/api/")
	for _, c := range []struct {
		name, probe string
		fault       func(*http.Request) *mlflowtest.Fault
		status      Status
		found, fix  string
	}{
		{"well", "mlflow-reachable", nil, OK, "it answers", ""},
		{"another server", "mlflow-reachable", answer(path("/health"), 404, "nothing here"), Fail, "404", "--static-prefix"},
		{"a page of another server", "mlflow-reachable", answer(path("/health"), 200, "<!doctype html><title>Sign in</title>"), Fail, "not what MLflow sends: <!doctype html>", "--static-prefix"},
		{"Host", "mlflow-host", answer(api, 403, "Invalid Host header - possible DNS rebinding attack detected"), Fail, "it refuses the Host 127.0.0.1:", "--allowed-hosts 127.0.0.1:"},
		{"no check of the Host", "mlflow-host", nil, OK, "any other name", ""},
		{"password", "mlflow-access", answer(api, 401, "You are not authenticated."), Fail, "it refuses the credentials", "user and password into MLFLOW_TRACKING_URI"},
		{"permission", "mlflow-access", answer(api, 403, `{"error_code":"PERMISSION_DENIED","message":"Permission denied"}`), Fail, "Permission denied", "permission EDIT"},
		{"prefix", "mlflow-access", answer(api, 404, "<!doctype html>"), Fail, "has no API of MLflow", "--static-prefix"},
		{"database away", "mlflow-access", answer(api, 503, `{"error_code":"TEMPORARILY_UNAVAILABLE","message":"(sqlite3.OperationalError) database is locked"}`), Fail, "database is locked", "MLflow's own log"},
		{"version", "mlflow-version", answer(path("/version"), 200, "2.22.5"), Fail, "it is 2.22.5, which takes no traces", "Upgrade MLflow to 3.7"},
		{"new version", "mlflow-version", answer(path("/version"), 200, "4.0.0"), Warn, "the newest that was tried is 3.17", "make compat"},
		{"page as version", "mlflow-version", answer(path("/version"), 200, "<html>"), Warn, `its version is "<html>"`, "a proxy"},
		{"known version", "mlflow-version", nil, OK, "it is 3.17.2", ""},
		{"files", "mlflow-store", answer(path("/experiments/get"), 404, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Could not find experiment with ID 99999999999999999999"}`), Fail, "a file store", "migrate-filestore"},
		{"PostgreSQL", "mlflow-store", func(r *http.Request) *mlflowtest.Fault {
			if r.URL.Query().Get("experiment_name") == "\x00" {
				return &mlflowtest.Fault{Status: 500, Body: `{"error_code":"INTERNAL_ERROR","message":"A string literal cannot contain NUL (0x00) characters."}`}
			}
			return answer(path("/experiments/get"), 404, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"No Experiment with id=99999999999999999999 exists"}`)(r)
		}, OK, "PostgreSQL", ""},
		{"another database", "mlflow-store", answer(path("/experiments/get"), 404, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"No Experiment with id=99999999999999999999 exists"}`), OK, "another SQL database", ""},
		{"no traces", "mlflow-traces", answer(path("/v1/traces"), 404, "<!doctype html>"), Fail, "it refuses a span", "--gunicorn-opts"},
		{"traces forbidden", "mlflow-traces", answer(path("/v1/traces"), 403, "Permission denied"), Fail, "403", "permission EDIT"},
		{"traces lost", "mlflow-traces", answer(path("/v1/traces"), 200, ""), Fail, "has no such trace", "keeps them elsewhere"},
		{"traces stay", "mlflow-traces", answer(path("delete-traces"), 403, "Permission denied"), Warn, "did not remove one", "MANAGE"},
		{"artifacts full", "mlflow-artifacts", answer(func(r *http.Request) bool { return r.Method == http.MethodPut }, 500, "[Errno 28] No space left on device"), Fail, "No space left", "--artifacts-destination"},
		{"artifacts not served", "mlflow-artifacts", answer(path("mlflow-artifacts"), 503, "MLflow was started with --no-serve-artifacts"), Fail, "serve-artifacts", "--serve-artifacts"},
		{"other content", "mlflow-artifacts", answer(func(r *http.Request) bool { return r.Method == http.MethodGet && path("mlflow-artifacts")(r) }, 200, "x"), Fail, "1 bytes came back", ""},
		{"artifact stays", "mlflow-artifacts", answer(func(r *http.Request) bool { return r.Method == http.MethodDelete }, 403, "Permission denied"), Warn, "did not remove one", "MANAGE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			s := fakeMLflow(t, r)
			s.Fail(func(req *http.Request) *mlflowtest.Fault {
				// The experiment is there, unless the fault is about that.
				if c.fault == nil || strings.HasPrefix(c.name, "files") && strings.Contains(req.URL.Path, "get-by-name") || c.probe == "mlflow-store" && req.URL.Query().Get("experiment_name") == "technoshare_commentator" {
					return nil
				}
				return c.fault(req)
			})
			names(t, r.probe(t, c.probe), c.status, c.found, strings.Fields(c.fix)...)
		})
	}
}

// A server that takes connections and never answers is waited for once, not by each probe that could ask it.
func TestAnMLflowThatHangsIsAskedOnce(t *testing.T) {
	var asked atomic.Int32
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-r.Context().Done()
	}))
	defer hangs.Close()
	r := newRig(t, "MLFLOW_TRACKING_URI="+hangs.URL, "MLFLOW_ENABLE_TRACKING=true")
	r.limits.Answer = 50 * time.Millisecond
	report := r.report(t, "mlflow-reachable", "clock", "disk", "mlflow-traces")
	names(t, report.Probes[0], Fail, "has not answered for 50ms", "restart it")
	got := map[string]Status{}
	for _, one := range report.Probes {
		got[one.ID] = one.Status
	}
	want := map[string]Status{"mlflow-reachable": Fail, "clock": Skip, "disk": OK, "mlflow-traces": Skip}
	if !maps.Equal(got, want) || asked.Load() != 1 {
		t.Errorf("%v, want %v; it was asked %d times", got, want, asked.Load())
	}
}

func TestWhatIsTriedIsRemovedAndNamed(t *testing.T) {
	r := newRig(t)
	s := fakeMLflow(t, r)
	for _, probe := range []string{"mlflow-traces", "mlflow-artifacts"} {
		got := r.probe(t, probe)
		names(t, got, OK, "gave")
		if !strings.Contains(got.Wrote, "removed again") {
			t.Errorf("%s does not say what it wrote: %q", probe, got.Wrote)
		}
	}
	c, err := mlflow.New(mlflow.Config{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	traces, _, err := c.SearchTraces(t.Context(), mlflow.SearchTraces{ExperimentIDs: []string{"1"}})
	if err != nil {
		t.Fatal(err)
	}
	if files := s.Files(); len(files)+len(traces) > 0 {
		t.Errorf("%v and %v stay", files, traces)
	}
	for _, call := range []string{"POST /v1/traces", "PUT /api/2.0/mlflow-artifacts/artifacts/…"} {
		if !slices.Contains(s.Calls(), call) {
			t.Errorf("there was no %s: %v", call, s.Calls())
		}
	}
}

func TestOfALostTraceNothingIsLeft(t *testing.T) {
	r := newRig(t)
	fakeMLflow(t, r).Fail(func(req *http.Request) *mlflowtest.Fault {
		if strings.Contains(req.URL.Path, "/v1/traces") {
			return &mlflowtest.Fault{Status: 200}
		}
		return nil
	})
	if got := r.probe(t, "mlflow-traces"); got.Status != Fail || !strings.HasSuffix(got.Wrote, ": MLflow had none to remove") {
		t.Errorf("%s, wrote %q", got.Status, got.Wrote)
	}
}

func TestADeletedExperimentIsNamed(t *testing.T) {
	r := newRig(t)
	s := fakeMLflow(t, r)
	c, err := mlflow.New(mlflow.Config{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	e, err := c.GetExperimentByName(t.Context(), "technoshare_commentator")
	if err == nil {
		err = c.DeleteExperiment(t.Context(), e.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	names(t, r.probe(t, "mlflow-access"), Fail, "is deleted", "restore")
}

// Experiments that the old start script made have a directory for their artifacts.
func TestADirectoryForArtifactsIsTried(t *testing.T) {
	r := newRig(t, "MLFLOW_EXPERIMENT_NAME=old")
	s := fakeMLflow(t, r)
	s.ArtifactRoot = r.dir
	c, err := mlflow.New(mlflow.Config{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.CreateExperiment(t.Context(), "old"); err != nil {
		t.Fatal(err)
	}
	got := r.probe(t, "mlflow-artifacts")
	names(t, got, Warn, "which is not there on this host")
	e, err := c.GetExperimentByName(t.Context(), "old")
	if err != nil {
		t.Fatal(err)
	}
	dir, _ := localDir(e.ArtifactLocation)
	mkdir(t, dir)
	names(t, r.probe(t, "mlflow-artifacts"), OK, "took a file and gave it back")
	if files := list(t, dir); len(files) > 0 {
		t.Errorf("%v stay", files)
	}
	// A file where the run's directory is to be made: as with a directory that is read only, but
	// root is refused too.
	removeAll(t, dir)
	r.write(t, strings.TrimPrefix(dir, r.dir+"/"), "")
	names(t, r.probe(t, "mlflow-artifacts"), Fail, "does not take a file", "writable")
}

func TestASlowServerAndOneBehindDelaysAreToldApart(t *testing.T) {
	slow := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(50 * time.Millisecond)
		_, _ = io.WriteString(w, "OK")
	})
	r := newRig(t, "MLFLOW_TRACKING_URI="+slow)
	r.limits.Slow = 40 * time.Millisecond
	names(t, r.probe(t, "mlflow-latency"), Warn, "a connection") // which of the two a busy host decides

	for _, tt := range []struct {
		quick, plain, way int // in milliseconds
		status            Status
		found             string
		fix               []string
	}{
		{1, 2, 0, OK, "no delayed acknowledgements", nil},
		{1, 45, 0, OK, "Nagle's algorithm", nil},
		{50, 50, 1, Warn, "although a connection takes", []string{"name MLflow itself", "--workers 1"}},
		{50, 50, 20, Warn, "20.0 ms a connection", []string{"load"}},
		{170, 170, 1, Warn, "1.0 ms a connection", []string{"load"}},
	} {
		took := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
		f := judgeLatency(took(tt.quick), took(tt.plain), took(tt.way), took(40))
		names(t, Result{ID: "judgeLatency", Status: f.Status, Found: f.Found, Means: f.Means, Fix: f.Fix}, tt.status, tt.found, tt.fix...)
	}
}

func TestAClockThatIsWrongIsNamed(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, err := time.ParseDuration(strings.TrimPrefix(r.URL.Path, "/"))
		if err != nil {
			at, _ = time.ParseDuration(strings.Split(r.URL.Path, "/")[1])
		}
		w.Header().Set("Date", time.Now().Add(at).UTC().Format(http.TimeFormat))
		_, _ = io.WriteString(w, "OK")
	}))
	defer s.Close()
	for skew, want := range map[string]Status{"0s": OK, "-1s": OK, "30s": Warn, "-30s": Warn, "10m": Fail, "-10m": Fail} {
		got := newRig(t, "MLFLOW_TRACKING_URI="+s.URL+"/"+skew).probe(t, "clock")
		found := map[byte]string{'0': "MLflow's clock is this host's", '-': "behind this host's", '3': "s ahead", '1': "s ahead"}[skew[0]]
		if want == OK {
			found = "this host's"
		}
		names(t, got, want, found)
	}
}

func TestServersAreReadFromTheirCommandLines(t *testing.T) {
	words := strings.Fields
	for _, c := range []struct {
		name     string
		commands [][]string
		want     *localServer
	}{
		{"uvicorn and its parent", [][]string{
			words("python -c from-multiprocessing-spawn"), words("python -m uvicorn --host 127.0.0.1 --workers 4 mlflow.server.fastapi_app:app"),
			words("python -m mlflow server --backend-store-uri sqlite:////var/lib/mlflow.db --workers 4"),
		}, &localServer{Workers: 4, Store: mlflow.StoreSQLite, Where: "/var/lib/mlflow.db"}},
		{"gunicorn", [][]string{words("gunicorn -w 2 mlflow.server:app"), words("mlflow server --backend-store-uri=postgresql://u:p@h/d")}, &localServer{Workers: 2, Store: mlflow.StorePostgreSQL}},
		{"twice", [][]string{words("python -m mlflow server --workers 1 --workers 3")}, &localServer{Workers: 3}},
		{"files", [][]string{words("mlflow server --backend-store-uri ./mlruns")}, &localServer{Store: mlflow.StoreFiles}},
		{"another program", [][]string{words("nginx -g daemon off"), words("--workers 9")}, nil},
	} {
		if diff := cmp.Diff(c.want, readServer(c.commands)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
