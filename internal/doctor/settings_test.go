package doctor

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/config"
)

// echo tells what it was asked with.
func echo(w http.ResponseWriter, r *http.Request) {
	http.Error(w, "you said "+r.Header.Get("Authorization"), http.StatusForbidden)
}

func TestMistakesInDotenvAreNamed(t *testing.T) {
	for _, c := range []struct {
		name, dotenv, found string
		environ             []string
		status              Status
	}{
		{"nothing wrong", "MLFLOW_ENABLE_TRACKING=true\n", "none is wrong", nil, OK},
		{"repeated key", "DB_PATH=a.sqlite\nDB_PATH=b.sqlite\n", ".env:2: DB_PATH is already set in line 1", nil, Warn},
		{"misspelt key", "MLFLOW_ENABLE_TRACKNG=true\n", "did you mean MLFLOW_ENABLE_TRACKING?", nil, Warn},
		{"misspelt key of the Collector", "OTELCOL_GRPC_ENDPONT=127.0.0.1:1\n", "did you mean OTELCOL_GRPC_ENDPOINT?", nil, Warn},
		{"misspelt key in the environment", "", "did you mean OTEL_TRACES_SAMPLER?", []string{"OTEL_TRACE_SAMPLER=always_on"}, Warn},
		{"tracing without tracking", "MLFLOW_ENABLE_TRACING=true\n", "has no effect without MLFLOW_ENABLE_TRACKING=true", nil, Warn},
		{"SDK off", "MLFLOW_ENABLE_TRACKING=true\nOTEL_SDK_DISABLED=true\n", "OTEL_SDK_DISABLED=true switches off", nil, Warn},
		{"exporter none", "MLFLOW_ENABLE_TRACKING=true\nOTEL_TRACES_EXPORTER=none\n", "OTEL_TRACES_EXPORTER=none switches off", nil, Warn},
		{"half a quote", "LOG_LEVEL=INFO\"\n", "ends with a quote that belongs to the value", nil, Fail},
		{"typographic quotes", "LOG_FORMAT=“json”\n", "typographic quotes", nil, Fail},
		{"not expanded", "DATA_DIR=${HOME}/data\n", "nothing is expanded here", nil, Warn},
		{"no sign of equality", "MLFLOW_ENABLE_TRACKING true\n", "this line has no =", nil, Fail},
		{"wrong value", "MAX_LINKS_PER_MESSAGE=many\n", `"many" is not a whole number`, nil, Fail},
		{"no address", "MLFLOW_TRACKING_URI=localhost:5000\n", "write http://localhost:5000", nil, Fail},
		{"wrong port of the Collector", "OTELCOL_METRICS_PORT=none\n", `OTELCOL_METRICS_PORT: "none" is no port`, nil, Fail},
		{"address of the UI without a scheme", "MLFLOW_UI_URL=mlflow.example.org\n", `MLFLOW_UI_URL: "mlflow.example.org" is not an address`, nil, Fail},
		{"blank experiment", "MLFLOW_EXPERIMENT_NAME=' '\n", `MLFLOW_EXPERIMENT_NAME: " " is no name of an experiment`, nil, Fail},
		{"user for Python only", "MLFLOW_TRACKING_USERNAME=admin\n", "MLFLOW_TRACKING_USERNAME is read by MLflow's Python client only", nil, Warn},
		{"OTLP over HTTP", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n", "the worker speaks OTLP/gRPC only", nil, Warn},
		{"comment behind a value", "", "environment: DB_PATH has what looks like a comment in its value", []string{"DB_PATH=a.sqlite # old"}, Warn},
		{"overruled", "DB_PATH=a.sqlite\n", "DB_PATH is overruled by the environment", []string{"DB_PATH=b.sqlite"}, Warn},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &rig{dir: t.TempDir(), lines: c.environ}
			r.write(t, ".env", c.dotenv)
			names(t, r.probe(t, "settings"), c.status, c.found)
		})
	}
}

func TestSecretsThatOthersMayReadAreNamed(t *testing.T) {
	r := &rig{dir: t.TempDir()}
	r.write(t, ".env", "SLACK_SIGNING_SECRET=abcdef0123456789\n")
	if err := os.Chmod(filepath.Join(r.dir, ".env"), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(r.dir, ".env")
	got := r.probe(t, "settings")
	names(t, got, Warn, file+" holds secrets, and others on this host may read it")
	// Nothing is wrong in a line.
	if strings.Contains(got.Found, "abcdef") || !strings.Contains(got.Means, "can read the tokens") || strings.Contains(got.Means, "than it seems") ||
		!strings.Contains(got.Fix, "chmod 600 "+file) || strings.Contains(got.Fix, "Correct the lines") {
		t.Errorf("%+v", got)
	}
	// Beside what is wrong there, both are said.
	r.write(t, ".env", "SLACK_SIGNING_SECRET=abcdef0123456789\nMLFLOW_ENABLE_TRACKNG=true\n")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	got = r.probe(t, "settings")
	names(t, got, Warn, "did you mean", "chmod 600")
	if !strings.Contains(got.Means, "than it seems") || !strings.Contains(got.Means, "can read the tokens") || !strings.Contains(got.Fix, "Correct the lines") {
		t.Errorf("%+v", got)
	}
	r.write(t, ".env", "SLACK_SIGNING_SECRET=abcdef0123456789\n")
	if err := os.Chmod(filepath.Join(r.dir, ".env"), 0o600); err != nil {
		t.Fatal(err)
	}
	names(t, r.probe(t, "settings"), OK, "1 setting is set, none is wrong")
}

func TestRulesOfTheSamplingFileAreNamed(t *testing.T) {
	const rules, rule = "db.sqlite.sampling.yaml", "off, domain arxiv.org"
	r := newRig(t, "MLFLOW_ENABLE_TRACKING=true")
	names(t, r.probe(t, "sampling"), OK, "the settings say what is recorded")
	r.write(t, rules, "rules: [{id: a, detail: off, domain: arxiv.org}, {id: b, detail: full, until: 2020-01-01T00:00:00Z}]")
	got := r.probe(t, "sampling")
	names(t, got, Warn, rule, "commentator tracing reset")
	if strings.Contains(got.Found, "2020") {
		t.Errorf("a rule that is over is named: %s", got.Found)
	}
	r.write(t, rules, "rules: [")
	names(t, r.probe(t, "sampling"), Fail, filepath.Join(r.dir, rules)+": yaml: line 1", "commentator tracing reset")
	r.write(t, rules+".last", "rules: [{id: a, detail: off, domain: arxiv.org}]")
	if got := r.probe(t, "sampling"); !strings.Contains(got.Means, rules+".last keeps of it hold: "+rule) {
		t.Errorf("what holds meanwhile: %s", got.Means)
	}
	r.write(t, rules, "rules: [{id: a, detail: off, domain: arxiv.org}, {id: b, detail: full, domain: 'https://x.org'}]")
	got = r.probe(t, "sampling")
	names(t, got, Warn, `rule b fits no job: domain "https://x.org" is no host`, "Correct its domain")
	if !strings.Contains(got.Found, "\n"+rule) || strings.Contains(got.Found, "full, domain") || !strings.Contains(got.Means, "the others hold") {
		t.Errorf("a rule that fits no job: %+v", got)
	}
	r.write(t, rules, "rules: [")
	r.set("MLFLOW_ENABLE_TRACKING=false")
	names(t, r.probe(t, "sampling"), Warn, "yaml: line 1")
	r.write(t, rules, "rules: [{id: a, detail: off}]")
	names(t, r.probe(t, "sampling"), OK, "has no effect")
	r.set("SAMPLING_FILE=/dev/zero")
	got = r.probe(t, "sampling")
	names(t, got, Warn, "it is a device", "let SAMPLING_FILE name one")
	if strings.Contains(got.Fix, "reset") {
		t.Errorf("tracing reset is advised, which refuses: %s", got.Fix)
	}
}

func TestAddressesThatCollideAreNamed(t *testing.T) {
	// The worker at the Collector's default for Prometheus.
	r := &rig{dir: t.TempDir(), lines: []string{"METRICS_ADDR=127.0.0.1:9464"}}
	names(t, r.probe(t, "ports"), Fail, "OTELCOL_PROMETHEUS_ENDPOINT (Collector) and METRICS_ADDR (worker) are both 127.0.0.1:9464")
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:1", "127.0.0.1:1", true},
		{"localhost:1", "127.0.0.1:1", true},
		{"0.0.0.0:1", "127.0.0.1:1", true},
		{":1", "10.0.0.1:1", true},
		{"[::]:1", "127.0.0.1:1", true},
		{"127.0.0.1:1", "127.0.0.1:2", false},
		{"127.0.0.1:0", "127.0.0.1:0", false},
		{"10.0.0.1:1", "127.0.0.1:1", false},
	} {
		if got := collide(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}

func TestAnAddressThatAnotherProgramHasIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := l.Addr().String()
	r := newRig(t, "OTELCOL_GRPC_ENDPOINT="+address)
	got := r.probe(t, "ports")
	names(t, got, Fail, "listens on "+address+", which OTELCOL_GRPC_ENDPOINT gives to the Collector")
	if holder("1") != "" || findServer("1") != nil {
		t.Error("somebody is said to listen on port 1")
	}
	names(t, newRig(t).probe(t, "ports"), OK, "nobody else has them")
}

func TestAWorkerThatSendsElsewhereIsNamed(t *testing.T) {
	health := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"healthy":true,"status":"StatusOK"}`))
	})
	r := newRig(t, "OTELCOL_HEALTH_ENDPOINT="+strings.TrimPrefix(health, "http://"), "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTELCOL_GRPC_ENDPOINT=127.0.0.1:2")
	names(t, r.probe(t, "ports"), Warn, "OTEL_EXPORTER_OTLP_ENDPOINT is http://127.0.0.1:1, and the Collector here takes OTLP/gRPC on 127.0.0.1:2")
	r.set("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:2")
	names(t, r.probe(t, "ports"), OK, "")
}

// A probe is skipped for an address that it needs, not for another one.
func TestAWrongAddressSkipsOnlyWhatNeedsIt(t *testing.T) {
	health := strings.TrimPrefix(serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"healthy":true,"status":"StatusOK"}`))
	}), "http://")
	metrics := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("otelcol_exporter_queue_capacity{exporter=\"mlflow\"} 10\notelcol_exporter_queue_size{exporter=\"mlflow\"} 0\n"))
	})
	_, port, err := net.SplitHostPort(strings.TrimPrefix(metrics, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		wrong   string
		skipped string
	}{
		{"MLFLOW_UI_URL=mlflow:5000", ""},
		{"OTELCOL_REPLAY_ENDPOINT=4319", "ports"},
		{"OTELCOL_STATUS_ENDPOINT=x", "ports collector-up"},
		{"OTELCOL_METRICS_PORT=many", "ports collector-queue"},
	} {
		r := newRig(t, "OTELCOL_HEALTH_ENDPOINT="+health, "OTELCOL_METRICS_PORT="+port, c.wrong)
		names(t, r.probe(t, "settings"), Fail, strings.Split(c.wrong, "=")[0])
		for _, probe := range []string{"ports", "collector-up", "collector-queue"} {
			skipped := strings.Contains(c.skipped, probe)
			if got := r.probe(t, probe); (got.Status == Skip) != skipped || got.Status == Fail {
				t.Errorf("%s: %s is %s, skipped should be %v: %s", c.wrong, probe, got.Status, skipped, got.Found)
			}
		}
	}
}

func TestSecretsAreKnown(t *testing.T) {
	for name, want := range map[string]bool{
		"SLACK_BOT_TOKEN": true, "DATABASE_URL": true, "OTEL_EXPORTER_OTLP_HEADERS": true, "DB_PATH": false, "MY_PASSWORD": true, "MODEL_MAX_TOKENS": false,
	} {
		if config.IsSecret(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}
