package main

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

type module struct {
	GoMod  string `yaml:"gomod"`
	Import string `yaml:"import,omitempty"`
	Path   string `yaml:"path,omitempty"`
}

func (m module) path() string {
	if m.Import != "" {
		return m.Import
	}
	path, _, _ := strings.Cut(m.GoMod, " ")
	return path
}

type manifest struct {
	Dist       map[string]any `yaml:"dist"`
	Receivers  []module       `yaml:"receivers"`
	Processors []module       `yaml:"processors"`
	Exporters  []module       `yaml:"exporters"`
	Extensions []module       `yaml:"extensions"`
	Providers  []module       `yaml:"providers"`
}

func (m manifest) all() []module {
	return slices.Concat(m.Receivers, m.Processors, m.Exporters, m.Extensions, m.Providers)
}

func readManifest(t *testing.T) manifest {
	t.Helper()
	body, err := os.ReadFile("builder.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := yaml.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// The manifest for the builder lists what the hand-written main imports, in the versions
// of go.mod.
func TestManifestEqualsComponents(t *testing.T) {
	imported := map[string]bool{}
	for _, file := range []string{"components.go", "command.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			for _, kind := range []string{"/receiver/", "/processor/", "/exporter/", "/extension/", "/provider/", "/mlflowexporter"} {
				if strings.Contains(path, kind) {
					imported[path] = true
				}
			}
		}
	}
	gomod, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range readManifest(t).all() {
		listed[m.path()] = true
		if m.Path == "" && !bytes.Contains(gomod, []byte("\t"+m.GoMod)) {
			t.Errorf("go.mod does not require %q", m.GoMod)
		}
	}
	if diff := cmp.Diff(listed, imported); diff != "" {
		t.Errorf("builder.yaml and the imports differ (-manifest +imports)\n%s", diff)
	}
}

// Anybody can build a distribution with the exporter, by the Collector's own builder and
// from outside the repository. It takes minutes, so `make test` asks for it.
func TestBuilderBuildsADistribution(t *testing.T) {
	if os.Getenv("TEST_SLOW") == "" {
		t.Log("not run: set TEST_SLOW=1, as `make test` does")
		return
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m := readManifest(t)
	m.Dist["output_path"] = filepath.Join(dir, "out")
	for i := range m.Exporters {
		if m.Exporters[i].Path != "" {
			m.Exporters[i].Path = root
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
	run(nil, filepath.Join(bin, "builder"), "--config", config)

	built := filepath.Join(dir, "out", "otelcol-mlflow")
	if out := run(nil, built, "components"); !strings.Contains(out, "name: mlflow") {
		t.Errorf("the distribution has no mlflow exporter:\n%s", out)
	}
	run([]string{"OTELCOL_DATA_DIR=" + filepath.Join(dir, "data")}, built, "validate", "--config", filepath.Join(root, "cmd", "otelcol-mlflow", "default.yaml"))
}
