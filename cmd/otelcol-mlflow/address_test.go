package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An address that is none is traced to its variable, by validate and by the hint at the start; the
// component names its value only.
func TestAWrongAddressNamesItsVariable(t *testing.T) {
	addresses := []string{"25417", "http://127.0.0.1:25417", "127.0.0.1:99999", "127.0.0.1:nothing"}
	for _, name := range addressVariables {
		values := addresses
		if name == portVariable {
			values = []string{"99999", "-1", "abc", "http", "127.0.0.1:8888", "88.5"}
		}
		for _, value := range values {
			t.Run(name+"="+value, func(t *testing.T) {
				inDir(t)
				t.Setenv(name, value)
				_, err := execute(t, "validate")
				if err == nil || !strings.Contains(err.Error(), name+" must be ") || !strings.Contains(err.Error(), value) {
					t.Errorf("validate: %v", err)
				}
			})
		}
	}
	t.Run("at the start", func(t *testing.T) {
		for _, c := range [][2]string{
			{"OTELCOL_GRPC_ENDPOINT", "25417"}, {"OTELCOL_HTTP_ENDPOINT", "http://127.0.0.1:25417"}, {"OTELCOL_HEALTH_ENDPOINT", "127.0.0.1:nothing"}, {portVariable, "99999"}, {portVariable, "abc"},
		} {
			name, value := c[0], c[1]
			inDir(t)
			freePorts(t)
			t.Setenv(name, value)
			_, err := execute(t)
			if err == nil || !strings.Contains(hintFor(err, os.Getenv), name+" must be ") {
				t.Errorf("%s=%s: %v, hint %q", name, value, err, hintFor(err, os.Getenv))
			}
		}
	})
}

// The files of otel-config have variables of their own.
func TestAWrongVariableOfAFileBesideTheEmbeddedConfigurationIsNamed(t *testing.T) {
	folder, err := filepath.Abs("../../otel-config")
	if err != nil {
		t.Fatal(err)
	}
	strategies := filepath.Join(folder, "sampling-strategies.json")
	for _, c := range []struct{ config, name, value, want string }{
		{"remote-sampling.yaml", "OTELCOL_SAMPLING_FILE", "", "OTELCOL_SAMPLING_FILE names the file"},
		{"remote-sampling.yaml", "OTELCOL_SAMPLING_FILE", "gone.json", "OTELCOL_SAMPLING_FILE names the file"},
		{"remote-sampling.yaml", "OTELCOL_SAMPLING_ENDPOINT", "5778", "OTELCOL_SAMPLING_ENDPOINT must be host:port"},
		{"remote-sampling.yaml", "OTELCOL_SAMPLING_ENDPOINT", "http://127.0.0.1:5778", "OTELCOL_SAMPLING_ENDPOINT must be host:port"},
		{"head-sampling.yaml", "OTLP_BACKEND", "127.0.0.1", "OTLP_BACKEND must be host:port"},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			inDir(t)
			freePorts(t)
			if c.name != "OTELCOL_SAMPLING_FILE" {
				t.Setenv("OTELCOL_SAMPLING_FILE", strategies)
			}
			t.Setenv(c.name, c.value)
			_, err := execute(t, "--config", filepath.Join(folder, c.config))
			if err == nil || !strings.HasPrefix(hintFor(err, os.Getenv), "hint: "+c.want) {
				t.Errorf("%v, hint %q", err, hintFor(err, os.Getenv))
			}
		})
	}
}

// The exporter names its own key, people set a variable.
func TestAWrongValueOfTheExporterNamesItsVariable(t *testing.T) {
	for _, c := range [][2]string{
		{"MLFLOW_EXPERIMENT_NAME", " "},
		{"MLFLOW_EXPERIMENT_NAME", strings.Repeat("x", 251)},
		{"MLFLOW_UI_URL", "mlflow.example.org"},
		{"MLFLOW_UI_URL", "https://u:p@mlflow.example.org"},
		{"MLFLOW_TRACKING_URI", "mlflow:5000"},
	} {
		t.Run(c[0], func(t *testing.T) {
			inDir(t)
			freePorts(t)
			t.Setenv(c[0], c[1])
			for _, args := range [][]string{{"validate"}, nil} {
				_, err := execute(t, args...)
				if err == nil || !strings.HasPrefix(hintFor(err, os.Getenv), "hint: "+c[0]+" has this value") {
					t.Errorf("%v: %v, hint %q", args, err, hintFor(err, os.Getenv))
				}
			}
		})
	}
	if got := hintFor(errors.New("`experiment` must be the name of an experiment, found \"\""), func(string) string { return "team" }); got != "" {
		t.Errorf("another configuration's is hinted at: %s", got)
	}
}

// What can be listened at passes, and a variable that the configuration does not use is left alone.
func TestAddressesThatAreRight(t *testing.T) {
	for _, c := range []struct {
		name, value string
		args        []string
	}{
		{"OTELCOL_GRPC_ENDPOINT", ":4317", nil},
		{"OTELCOL_GRPC_ENDPOINT", "[::1]:4317", nil},
		{"OTELCOL_GRPC_ENDPOINT", "localhost:0", nil},
		{portVariable, "8889", nil},
		{"OTELCOL_GRPC_ENDPOINT", "/run/otlp.sock", []string{"--set", "receivers.otlp.protocols.grpc.transport=unix"}},
		{"OTELCOL_GRPC_ENDPOINT", "25417", []string{"--set", "receivers.otlp.protocols.grpc.endpoint=127.0.0.1:4317"}},
	} {
		inDir(t)
		t.Setenv(c.name, c.value)
		if out, err := execute(t, append([]string{"validate", "--config", "yaml:" + defaultConfig}, c.args...)...); err != nil {
			t.Errorf("%s=%s: %v\n%s", c.name, c.value, err, out)
		}
	}
}

// A data directory below a file cannot be made either.
func TestADataDirectoryBelowAFileGetsAHint(t *testing.T) {
	dir := inDir(t)
	freePorts(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OTELCOL_DATA_DIR", filepath.Join(file, "data"))
	_, err := execute(t)
	if err == nil || !strings.Contains(hintFor(err, os.Getenv), "OTELCOL_DATA_DIR") {
		t.Errorf("error is %v", err)
	}
}

// A configuration of one's own may use the variables for something else, and a letter that is gone has
// nothing to do with the data directory.
func TestConfigurationsOfOnesOwnAreLeftAlone(t *testing.T) {
	inDir(t)
	t.Setenv("OTELCOL_GRPC_ENDPOINT", "otel.sock")
	args := []string{"validate", "--config", "yaml:" + defaultConfig, "--set", "receivers.otlp.protocols.grpc.transport=unix"}
	if out, err := execute(t, args...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	_, err := execute(t, "replay", ".otelcol-mlflow/dead-letter/gone.json", "--to", "127.0.0.1:1")
	if err == nil || hintFor(err, os.Getenv) != "" {
		t.Errorf("%v, hint %q", err, hintFor(err, os.Getenv))
	}
}
