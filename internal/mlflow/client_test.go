package mlflow_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
)

// serve starts a server and a client of it.
func serve(t *testing.T, cfg mlflow.Config, h http.HandlerFunc) *mlflow.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	cfg.Endpoint = s.URL + cfg.Endpoint
	c, err := mlflow.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// answering gives the error that a client makes of an answer.
func answering(t *testing.T, status int, contentType, body string) *mlflow.Error {
	t.Helper()
	c := serve(t, mlflow.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
	err := c.UpdateRun(t.Context(), mlflow.UpdateRun{RunID: "x"})
	var e *mlflow.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
	return e
}

func TestErrorsAreClassified(t *testing.T) {
	for _, c := range []struct {
		name                     string
		status                   int
		body                     string
		retryable, configuration bool
		more                     func(*mlflow.Error) bool
	}{
		{"refused value", 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"no"}`, false, false, nil},
		{"param conflict", 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"Changing param values is not allowed. …"}`, false, false, (*mlflow.Error).ParamConflict},
		{"deleted run", 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"The run x must be in the 'active' state. Current state is deleted."}`, false, false, (*mlflow.Error).Inactive},
		{"race on Postgres", 400, `{"error_code":"BAD_REQUEST","message":"(psycopg2.errors.UniqueViolation) …"}`, true, false, (*mlflow.Error).Race},
		{"race on MySQL", 400, `{"error_code":"BAD_REQUEST","message":"(1062, \"Duplicate entry …"}`, true, false, (*mlflow.Error).Race},
		{"NaN again", 400, `{"error_code":"BAD_REQUEST","message":"(sqlite3.IntegrityError) UNIQUE constraint failed: metrics.key, metrics.timestamp"}`, true, false, (*mlflow.Error).MetricExists},
		{"no credentials", 401, "You are not authenticated.", false, true, nil},
		{"host check", 403, "Invalid Host header - possible DNS rebinding attack detected", false, true, nil},
		{"no right to the experiment", 403, `{"error_code":"PERMISSION_DENIED","message":"Permission denied"}`, false, false, nil},
		{"missing", 404, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Run with id=x not found"}`, false, false, func(e *mlflow.Error) bool {
			return mlflow.IsMissing(e) && mlflow.IsCode(e, mlflow.CodeNotFound) && !e.NoRoute()
		}},
		{"no MLflow", 404, "<!doctype html>\n<title>404 Not Found</title>", false, true, func(e *mlflow.Error) bool { return e.NoRoute() && !mlflow.IsMissing(e) }},
		{"a page", 200, "<html>log in</html>", true, false, (*mlflow.Error).Strange},
		{"nothing", 200, "", true, false, (*mlflow.Error).Strange},
		{"cut", 200, `{"run_info": {"run_`, true, false, (*mlflow.Error).Strange},
		{"conflict", 409, `{"error_code":"ABORTED","message":"x"}`, true, false, nil},
		{"bad span", 422, `{"detail":"Cannot convert OpenTelemetry span to MLflow span"}`, false, false, nil},
		{"busy", 429, "", true, false, nil},
		{"internal", 500, `{"error_code":"INTERNAL_ERROR","message":"x"}`, true, false, nil},
		{"feature off", 500, `{"error_code":"FEATURE_DISABLED","message":"workspaces"}`, false, false, nil},
		{"no workspaces", 500, `{"error_code":"FEATURE_DISABLED","message":"Workspace APIs are not available: workspaces are not enabled on this server"}`, false, true, nil},
		{"unknown workspace", 404, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Workspace 'x' not found"}`, false, true, func(e *mlflow.Error) bool { return !mlflow.IsMissing(e) && !mlflow.IsCode(e, mlflow.CodeNotFound) }},
		{"archived trace", 500, `{"error_code":"INVALID_STATE","message":"x"}`, false, false, nil},
		{"NUL on Postgres", 500, `{"error_code":"INTERNAL_ERROR","message":"A string literal cannot contain NUL (0x00) characters."}`, false, false, nil},
		{"time beyond 2262", 500, `{"error_code":"INTERNAL_ERROR","message":"Python int too large to convert to SQLite INTEGER"}`, false, false, nil},
		{"usage on 3.7", 500, `{"error_code":"INTERNAL_ERROR","message":"Dependency rule on column 'trace_info.request_id' tried to blank-out primary key column"}`, false, false, nil},
		{"cost on 3.10", 500, `{"error_code":"INTERNAL_ERROR","message":"'str' object has no attribute 'items'"}`, false, false, nil},
		{"FileStore", 501, `{"error_code":"NOT_IMPLEMENTED","message":"x"}`, false, false, nil},
		{"bad gateway", 502, "<html>nginx</html>", true, false, nil},
		{"locked database", 503, `{"error_code":"TEMPORARILY_UNAVAILABLE","message":"(sqlite3.OperationalError) database is locked"}`, true, false, nil},
		{"other server of a connection", 421, "", true, false, nil},
		{"unknown to the proxy", 407, "<html>who are you</html>", false, true, nil},
		{"no artifacts here", 503, `{"detail":"Artifact serving is disabled. Run ` + "`mlflow server` with `--serve-artifacts`" + ` to enable."}`, false, false, nil},
		{"slow gateway", 504, "", true, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := answering(t, c.status, "application/json", c.body)
			if e.Retryable() != c.retryable || e.Configuration() != c.configuration {
				t.Errorf("%v: retryable %v, configuration %v", e, e.Retryable(), e.Configuration())
			}
			if c.more != nil && !c.more(e) {
				t.Errorf("%v is not recognised", e)
			}
			if e.NotSent() {
				t.Error("was sent")
			}
		})
	}
}

func TestRefusedConnectionWasNotSent(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	c, err := mlflow.New(mlflow.Config{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.CreateRun(t.Context(), mlflow.CreateRun{ExperimentID: "1"})
	var e *mlflow.Error
	if !errors.As(err, &e) || !e.NotSent() || !e.Retryable() {
		t.Errorf("got %v", err)
	}
}

func TestBrokenConnectionMayHaveBeenSent(t *testing.T) {
	c := serve(t, mlflow.Config{}, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := c.CreateRun(t.Context(), mlflow.CreateRun{ExperimentID: "1"})
	var e *mlflow.Error
	if !errors.As(err, &e) || e.NotSent() || !e.Retryable() {
		t.Errorf("got %v", err)
	}
}

// What an error answer says decides what becomes of an item: one that is cut, by a proxy or by the
// end of the server, says nothing.
func TestErrorAnswerThatIsCut(t *testing.T) {
	for _, length := range []string{"80", ""} { // the second is how proxies of HTTP/1.0 cut
		for _, status := range []int{400, 403, 404, 422, 500} {
			c := serve(t, mlflow.Config{}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"error_code":"RESOURCE_DOES`)
			})
			_, err := c.GetTraceInfo(t.Context(), "tr-0")
			var e *mlflow.Error
			if !errors.As(err, &e) || !e.Retryable() || e.NoRoute() || e.NotSent() {
				t.Errorf("%d, length %q: got %v", status, length, err)
			}
		}
	}
}

func TestCallEndsAfterItsTimeout(t *testing.T) {
	done := make(chan struct{})
	c := serve(t, mlflow.Config{Timeout: 50 * time.Millisecond}, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-done:
		}
	})
	defer close(done)
	_, err := c.Version(t.Context())
	var e *mlflow.Error
	if !errors.As(err, &e) || !e.Retryable() {
		t.Errorf("got %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"7":                             7 * time.Second,
		"Fri, 27 Nov 2026 12:00:09 GMT": 9 * time.Second,
		"Fri, 27 Nov 2026 11:59:59 GMT": 0,
		"-7":                            0,
		"soon":                          0,
	} {
		c := serve(t, mlflow.Config{}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", "Fri, 27 Nov 2026 12:00:00 GMT")
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		var e *mlflow.Error
		if _, err := c.Version(t.Context()); !errors.As(err, &e) || e.RetryAfter != want {
			t.Errorf("%s: got %v, %v", value, e.RetryAfter, err)
		}
	}
}

// What answers every call with success need not be MLflow.
func TestAnswersThatMLflowDoesNotGive(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		call func(*mlflow.Client) error
		none bool // there is no MLflow at the address
	}{
		"a page for an experiment": {"<html>log in</html>", func(c *mlflow.Client) error { _, err := c.GetExperimentByName(t.Context(), "x"); return err }, true},
		"no experiment":            {"{}", func(c *mlflow.Client) error { _, err := c.GetExperimentByName(t.Context(), "x"); return err }, true},
		"a list for an experiment": {"[]", func(c *mlflow.Client) error { _, err := c.GetExperimentByName(t.Context(), "x"); return err }, true},
		"no run":                   {"{}", func(c *mlflow.Client) error { _, err := c.GetRun(t.Context(), "x"); return err }, false},
		"no new run":               {"{}", func(c *mlflow.Client) error { _, err := c.CreateRun(t.Context(), mlflow.CreateRun{}); return err }, false},
		"a page for a batch":       {" <!DOCTYPE html>", func(c *mlflow.Client) error { return c.LogBatch(t.Context(), mlflow.Batch{}) }, false},
		"a page for spans":         {"<html>", func(c *mlflow.Client) error { return c.ExportTraces(t.Context(), "1", "", nil) }, false},
		"a page for a file":        {"<html>", func(c *mlflow.Client) error { return c.PutArtifact(t.Context(), "/x", "a.txt", nil) }, false},
		"a page for an upload":     {"<html>", func(c *mlflow.Client) error { return c.UploadArtifact(t.Context(), "x", "a.txt", nil) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			client := serve(t, mlflow.Config{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.body) })
			var e *mlflow.Error
			if err := c.call(client); !errors.As(err, &e) || !e.Strange() || !e.Retryable() || e.Configuration() != c.none {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	c := serve(t, mlflow.Config{Headers: map[string]string{"Authorization": "secret"}}, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	err := c.UpdateRun(t.Context(), mlflow.UpdateRun{RunID: "x"})
	var e *mlflow.Error
	if !errors.As(err, &e) || !e.Configuration() || !strings.Contains(err.Error(), other.URL) || reached {
		t.Errorf("got %v, reached %v", err, reached)
	}
}

func TestEndpointPrefixHeadersAndHost(t *testing.T) {
	var got *http.Request
	c := serve(t, mlflow.Config{Endpoint: "/ml/", Headers: map[string]string{"X-Mlflow-Workspace": "w"}, HostHeader: "localhost:5000", UserAgent: "test/1"},
		func(_ http.ResponseWriter, r *http.Request) { got = r })
	if _, err := c.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got.URL.Path != "/ml/version" || got.Host != "localhost:5000" || got.Header.Get("X-Mlflow-Workspace") != "w" || got.UserAgent() != "test/1" {
		t.Errorf("got %s %s %v", got.Host, got.URL, got.Header)
	}
}

func TestCredentialsOfTheEndpointBecomeBasicAuth(t *testing.T) {
	var user, password string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { user, password, _ = r.BasicAuth() }))
	defer s.Close()
	c, err := mlflow.New(mlflow.Config{Endpoint: strings.Replace(s.URL, "://", "://me:secret@", 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Version(t.Context()); err != nil || user != "me" || password != "secret" || strings.Contains(c.Endpoint(), "secret") {
		t.Errorf("got %s:%s, %v, %s", user, password, err, c.Endpoint())
	}
}

func TestCredentialsStayWithTheirHost(t *testing.T) {
	var got http.Header
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer other.Close()
	c := serve(t, mlflow.Config{Headers: map[string]string{"Authorization": "secret"}}, nil)
	dir, ok := c.ArtifactURL("mlflow-artifacts://" + strings.TrimPrefix(other.URL, "http://") + "/1/x/artifacts")
	if !ok {
		t.Fatal("not served")
	}
	if err := c.PutArtifact(t.Context(), dir, "a.txt", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if got == nil || got.Get("Authorization") != "" {
		t.Errorf("got %v", got)
	}
}

func TestArtifactURL(t *testing.T) {
	c, err := mlflow.New(mlflow.Config{Endpoint: "https://host:1/ml"})
	if err != nil {
		t.Fatal(err)
	}
	for uri, want := range map[string]string{
		"mlflow-artifacts:/1/abc/artifacts":               "/api/2.0/mlflow-artifacts/artifacts/1/abc/artifacts",
		"mlflow-artifacts://host:1/1/abc":                 "/api/2.0/mlflow-artifacts/artifacts/1/abc",
		"mlflow-artifacts://other:2/1/abc":                "https://other:2/api/2.0/mlflow-artifacts/artifacts/1/abc",
		"mlflow-artifacts:/workspaces/w/1/abc":            "/api/2.0/mlflow-artifacts/artifacts/workspaces/w/1/abc",
		"http://h/api/2.0/mlflow-artifacts/artifacts/1/x": "http://h/api/2.0/mlflow-artifacts/artifacts/1/x",
	} {
		if got, ok := c.ArtifactURL(uri); got != want || !ok {
			t.Errorf("%s: got %q %v, want %q", uri, got, ok, want)
		}
	}
	for _, uri := range []string{"s3://bucket/1", "/data/mlartifacts/1", "file:///data", "mlartifacts/1"} {
		if got, ok := c.ArtifactURL(uri); ok {
			t.Errorf("%s: got %q, want none", uri, got)
		}
	}
}

func TestMetricsOnTheWire(t *testing.T) {
	var body string
	c := serve(t, mlflow.Config{}, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body = string(b)
		_, _ = io.WriteString(w, "{}")
	})
	err := c.LogBatch(t.Context(), mlflow.Batch{RunID: "x", Metrics: []mlflow.Metric{{Key: "zero"}, {Key: "nan", Value: mlflow.Number(math.NaN())}, {Key: "inf", Value: mlflow.Number(math.Inf(-1))}}})
	want := `{"run_id":"x","metrics":[{"key":"zero","value":0,"timestamp":0,"step":0},{"key":"nan","value":"NaN","timestamp":0,"step":0},{"key":"inf","value":"-Infinity","timestamp":0,"step":0}]}`
	if err != nil || body != want {
		t.Errorf("got %s, %v", body, err)
	}
	var back mlflow.Batch
	if err := json.Unmarshal([]byte(body), &back); err != nil || !math.IsNaN(float64(back.Metrics[1].Value)) || !math.IsInf(float64(back.Metrics[2].Value), -1) {
		t.Errorf("read back %+v, %v", back, err)
	}
}

func TestSpansNeedAnExperiment(t *testing.T) {
	c := serve(t, mlflow.Config{}, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	if err := c.ExportTraces(context.Background(), "", "", []byte("x")); err == nil {
		t.Error("no error, although MLflow would drop the spans without one")
	}
}

func TestBadEndpoints(t *testing.T) {
	for _, endpoint := range []string{"", "localhost:5000", "ftp://x", "http://", "sqlite:///mlflow.db", "http://a b"} {
		if _, err := mlflow.New(mlflow.Config{Endpoint: endpoint}); err == nil {
			t.Errorf("%q was taken", endpoint)
		}
	}
}
