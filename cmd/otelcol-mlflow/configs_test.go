package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/technoshare/commentator/test/sandbox"
)

// Every configuration that is shipped is valid.
func TestShippedConfigurationsAreValid(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "otel-config", "*.yaml"))
	if err != nil || len(files) < 3 {
		t.Fatalf("found %v, %v", files, err)
	}
	for i := range files {
		if files[i], err = filepath.Abs(files[i]); err != nil {
			t.Fatal(err)
		}
	}
	inDir(t)
	for _, file := range files {
		if out, err := execute(t, "validate", "--config", file); err != nil {
			t.Errorf("%s: %v\n%s", filepath.Base(file), err, out)
		}
	}
}

// Those of full are started by another program, which has to be told what this one sets by itself.
func TestConfigurationsOfFullSayHowTheyAreStarted(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "otel-config", "full", "*.yaml"))
	if err != nil || len(files) < 3 {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"#     dist/otelcol-mlflow-full/otelcol-mlflow-full \\\n",
			"#     --feature-gates=" + componentStatus + " --config otel-config/full/" + filepath.Base(file) + "\n",
		} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s does not say %q", filepath.Base(file), want)
			}
		}
	}
}

// What remote-sampling.yaml says at its top lets workers ask for the strategies beside it.
func TestRemoteSamplingServesItsStrategies(t *testing.T) {
	folder, err := filepath.Abs(filepath.Join("..", "..", "otel-config"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "remote-sampling.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile(`(?m)^#   OTELCOL_SAMPLING_FILE=otel-config/(\S+) \\$`).FindSubmatch(text)
	if said == nil {
		t.Fatal("it does not say which file has the strategies")
	}
	inDir(t)
	freePorts(t)
	address, err := sandbox.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("OTELCOL_SAMPLING_FILE", filepath.Join(folder, string(said[1])))
	t.Setenv("OTELCOL_SAMPLING_ENDPOINT", address)
	if err := loadDotenv(os.Stderr); err != nil { // unsets what inDir emptied
		t.Fatal(err)
	}
	set := settings()
	set.ConfigProviderSettings.ResolverSettings.URIs = []string{"file:" + file}
	defer startSettings(t, set)()
	resp, err := http.Get("http://" + address + "/sampling?service=technoshare-commentator")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(body), `"samplingRate":0.1`) {
		t.Errorf("%v\n%s", err, body)
	}
}

func TestMLflowYAMLIsTheEmbeddedConfiguration(t *testing.T) {
	body, err := os.ReadFile(filepath.Join("..", "..", "otel-config", "mlflow.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if string(body) != defaultConfig {
		t.Error("otel-config/mlflow.yaml and cmd/otelcol-mlflow/default.yaml differ: copy the one over the other")
	}
}
