//go:build realserver

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Anybody can build a distribution with the exporter, by the Collector's own builder and
// from outside the repository.
func TestRealBuilderBuildsADistribution(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m := readManifest(t, "builder.yaml")
	m.Dist["output_path"] = filepath.Join(dir, "out")
	for _, modules := range [][]module{m.Exporters, m.Extensions} {
		for i := range modules {
			if modules[i].Path != "" {
				modules[i].Path = root
			}
		}
	}
	body, err := yaml.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "builder.yaml")
	if err := os.WriteFile(config, body, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(env []string, name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	bin := filepath.Join(dir, "bin")
	run([]string{"GOBIN=" + bin}, "go", "install", "go.opentelemetry.io/collector/cmd/builder@v0.161.0")
	// The builder compiles with -trimpath, which shares nothing with the build cache of
	// this repository; compiling what it generated without that takes seconds instead.
	run(nil, filepath.Join(bin, "builder"), "--config", config, "--skip-compilation")
	built := filepath.Join(dir, "out", "otelcol-mlflow")
	run(nil, "go", "build", "-C", filepath.Join(dir, "out"), "-o", built, ".")

	if out := run(nil, built, "components"); !strings.Contains(out, "name: mlflow") {
		t.Errorf("the distribution has no mlflow exporter:\n%s", out)
	}
	run([]string{"OTELCOL_DATA_DIR=" + filepath.Join(dir, "data")}, built, "validate", "--feature-gates="+componentStatus,
		"--config", filepath.Join(root, "cmd", "otelcol-mlflow", "default.yaml"))
}
