package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/technoshare/commentator/test/sandbox"
)

// inDir runs the test in an empty directory, with free ports and no settings of the
// machine it runs on.
func inDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{
		"MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "OTELCOL_GRPC_ENDPOINT", "OTELCOL_HTTP_ENDPOINT", "OTELCOL_DATA_DIR",
		"OTELCOL_REPLAY_ENDPOINT", "OTELCOL_HEALTH_ENDPOINT", "OTELCOL_STATUS_ENDPOINT", "OTELCOL_METRICS_PORT", "OTELCOL_PROMETHEUS_ENDPOINT", "OTLP_BACKEND",
		"OTELCOL_SAMPLING_FILE", "OTELCOL_SAMPLING_ENDPOINT",
	} {
		t.Setenv(name, "") // restored at the end; empty counts as unset
	}
	return dir
}

func freePorts(t *testing.T) {
	t.Helper()
	names := []string{"OTELCOL_GRPC_ENDPOINT", "OTELCOL_HTTP_ENDPOINT", "OTELCOL_REPLAY_ENDPOINT", "OTELCOL_HEALTH_ENDPOINT", "OTELCOL_STATUS_ENDPOINT", "OTELCOL_PROMETHEUS_ENDPOINT"}
	ports, err := sandbox.FreePorts(len(names) + 1)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		t.Setenv(name, fmt.Sprintf("127.0.0.1:%d", ports[i]))
	}
	t.Setenv("OTELCOL_METRICS_PORT", strconv.Itoa(ports[len(names)]))
}

func execute(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := newCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.Execute()
	return out.String(), err
}

func TestTheEmbeddedConfigurationIsValid(t *testing.T) {
	inDir(t)
	if out, err := execute(t, "validate"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestComponentsListsTheExporter(t *testing.T) {
	inDir(t)
	out, err := execute(t, "components")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mlflow", "otlp", "file_storage", "health_check", "memory_limiter", "filter", "transform", "probabilistic_sampler", "prometheus", "debug"} {
		if !strings.Contains(out, "name: "+name+"\n") {
			t.Errorf("%s is missing:\n%s", name, out)
		}
	}
}

// The environment wins over .env and .env over the profile, an empty variable is none, and what belongs to the
// worker stays out.
func TestDotenv(t *testing.T) {
	dir := inDir(t)
	t.Setenv("MLFLOW_EXPERIMENT_NAME", "from environment")
	for _, name := range []string{"SLACK_BOT_TOKEN", "OTEL_SERVICE_NAME"} {
		t.Setenv(name, "")
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	text := "COMMENTATOR_PROFILE=test\nMLFLOW_TRACKING_URI=http://mlflow:5000\nMLFLOW_EXPERIMENT_NAME=from file\nOTELCOL_DATA_DIR=one\nOTELCOL_DATA_DIR=two\n" +
		"OTLP_BACKEND=tempo:4317\nSLACK_BOT_TOKEN=xoxb-secret\nOTEL_SERVICE_NAME=worker\n"
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".env.test"), []byte("OTELCOL_DATA_DIR=three\nOTELCOL_HEALTH_ENDPOINT=127.0.0.1:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OTELCOL_HEALTH_ENDPOINT", "") // set from the profile, and reset behind the test
	var warnings bytes.Buffer
	if err := loadDotenv(&warnings); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"MLFLOW_TRACKING_URI": "http://mlflow:5000", "MLFLOW_EXPERIMENT_NAME": "from environment",
		"OTELCOL_DATA_DIR": "two", "SLACK_BOT_TOKEN": "", "OTEL_SERVICE_NAME": "", "OTELCOL_GRPC_ENDPOINT": "",
		"OTELCOL_HEALTH_ENDPOINT": "127.0.0.1:1", "OTLP_BACKEND": "tempo:4317",
	} {
		if got := os.Getenv(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(warnings.String(), "OTELCOL_DATA_DIR is already set in line 4") {
		t.Errorf("warnings are %q", &warnings)
	}
}

func TestAWrongDotenvIsReported(t *testing.T) {
	dir := inDir(t)
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("MLFLOW_TRACKING_URI = x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := execute(t, "validate"); err == nil || !strings.Contains(err.Error(), ".env:1") {
		t.Errorf("error is %v", err)
	}
}

// People are told what to do when a port is taken or the data directory cannot be used.
func TestStartSaysWhatIsWrong(t *testing.T) {
	t.Run("port", func(t *testing.T) {
		inDir(t)
		freePorts(t)
		l, err := net.Listen("tcp", os.Getenv("OTELCOL_GRPC_ENDPOINT"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		_, err = execute(t)
		if err == nil || !strings.Contains(err.Error(), os.Getenv("OTELCOL_GRPC_ENDPOINT")) || !strings.Contains(hintFor(err, os.Getenv), "OTELCOL_GRPC_ENDPOINT") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("data directory", func(t *testing.T) {
		dir := inDir(t)
		freePorts(t)
		file := filepath.Join(dir, "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("OTELCOL_DATA_DIR", file)
		_, err := execute(t)
		if err == nil || !strings.Contains(hintFor(err, os.Getenv), "OTELCOL_DATA_DIR") {
			t.Errorf("error is %v", err)
		}
	})
	none := func(string) string { return "" }
	for text, want := range map[string]string{
		"failed to create extension \"file_storage\": mkdir /proc/nope: no such file or directory": "OTELCOL_DATA_DIR",
		"`dead_letter_directory`: stat .otelcol-mlflow/dead-letter: not a directory":               "OTELCOL_DATA_DIR",
		"unable to read the file other.yaml: open other.yaml: no such file or directory":           "",
		"failed to start \"otlp\" receiver: listen tcp: address 25417: missing port in address":    "host:port",
		"failed to bind to address x:99999: listen tcp: address 99999: invalid port":               "host:port",
		"open db: permission denied":           "OTELCOL_DATA_DIR",
		"mkdir /x: read-only file system":      "OTELCOL_DATA_DIR",
		"storage client file_storage: timeout": "another otelcol-mlflow",
		"something else":                       "",
	} {
		if got := hintFor(errors.New(text), none); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q", text, got)
		}
	}
}
