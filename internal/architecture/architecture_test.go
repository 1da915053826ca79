package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/technoshare/commentator"

type pkg struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

func (p pkg) short() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// list returns the packages that `go list args…` names. Imports are those of non-test files.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Standard"}, args...)...)
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, &stderr)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("decode go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) == 0 {
		t.Fatalf("go list %v names no package", args)
	}
	return pkgs
}

func under(path, dir string) bool {
	return path == module+"/"+dir || strings.HasPrefix(path, module+"/"+dir+"/")
}

// The worker's binary holds no MLflow code and no Collector.
func TestWorkerKnowsNothingOfMLflow(t *testing.T) {
	for _, p := range list(t, "-deps", "./cmd/commentator") {
		if under(p.ImportPath, "internal/mlflow") || under(p.ImportPath, "collector") ||
			strings.HasPrefix(p.ImportPath, "go.opentelemetry.io/collector") ||
			strings.HasPrefix(p.ImportPath, "github.com/open-telemetry/opentelemetry-collector-contrib") {
			t.Errorf("cmd/commentator depends on %s", p.ImportPath)
		}
	}
}

// Only internal/telemetry imports the OTel SDK, outside the Collector's half.
func TestOnlyTelemetryImportsTheSDK(t *testing.T) {
	seen := false
	for _, p := range list(t, "./...") {
		if under(p.ImportPath, "collector") || under(p.ImportPath, "cmd/otelcol-mlflow") {
			continue
		}
		for _, imp := range p.Imports {
			if imp != "go.opentelemetry.io/otel/sdk" && !strings.HasPrefix(imp, "go.opentelemetry.io/otel/sdk/") &&
				!strings.HasPrefix(imp, "go.opentelemetry.io/otel/exporters/") {
				continue
			}
			if under(p.ImportPath, "internal/telemetry") {
				seen = true
				continue
			}
			t.Errorf("%s imports %s", p.short(), imp)
		}
	}
	if !seen {
		t.Error("internal/telemetry does not import the SDK: this test looks at the wrong packages")
	}
}

// What compares with golden files declares a flag, which would be every program's.
func TestOnlyTestsImportGolden(t *testing.T) {
	for _, p := range list(t, "./...") {
		if slices.Contains(p.Imports, module+"/test/golden") {
			t.Errorf("%s imports test/golden", p.short())
		}
	}
}

// The domain, the seam and what writes numbers anywhere import the standard library only.
func TestDomainAndSeamImportTheStandardLibraryOnly(t *testing.T) {
	standard := map[string]bool{}
	for _, p := range list(t, "std") {
		standard[p.ImportPath] = true
	}
	for _, p := range list(t, "./internal/commentator", "./internal/wire", "./internal/counted", "./internal/bytesize", "./internal/decimal") {
		for _, imp := range p.Imports {
			if !standard[imp] {
				t.Errorf("%s imports %s", p.short(), imp)
			}
		}
	}
}

// Adapters do not import each other. The types of a telemetry message are the one thing
// that the job store shares with the telemetry that fills it.
func TestAdaptersDoNotImportEachOther(t *testing.T) {
	adapters := []string{"retrieval", "analysis", "gates", "render", "slack", "queue", "store"}
	for _, a := range adapters {
		for _, p := range list(t, "./internal/"+a+"/...") {
			for _, imp := range p.Imports {
				for _, b := range adapters {
					if a != b && under(imp, "internal/"+b) {
						t.Errorf("%s imports internal/%s", p.short(), b)
					}
				}
				if under(imp, "internal/pipeline") || under(imp, "internal/migrate") || under(imp, "internal/config") || under(imp, "cmd") {
					t.Errorf("%s imports %s, which wires the adapters", p.short(), imp)
				}
			}
		}
	}
}

// The pure half of the bridge has no network, no files, no clock of its own.
func TestPurePackagesDoNoInputOrOutput(t *testing.T) {
	forbidden := map[string]bool{
		"net": true, "net/http": true, "os": true, "os/exec": true, "io/fs": true, "syscall": true, "math/rand": true, "math/rand/v2": true,
	}
	for _, dir := range []string{"collector/mlflowexporter/internal/reduce", "collector/mlflowexporter/internal/selection", "collector/mlflowexporter/internal/service", "internal/pricing"} {
		for _, p := range list(t, "./"+dir) {
			for _, imp := range p.Imports {
				if imp == module+"/internal/mlflow/ui" {
					continue // makes addresses out of texts, nothing else
				}
				if forbidden[imp] || under(imp, "internal/mlflow") || under(imp, "collector/mlflowexporter/internal/apply") {
					t.Errorf("%s imports %s", p.short(), imp)
				}
			}
		}
	}
}

// The statistics of the gate are numbers in, numbers out; chance comes in as a value, of which
// they use the type alone.
func TestStatisticsDoNoInputOrOutput(t *testing.T) {
	allowed := map[string]bool{"math": true, "math/rand/v2": true, "slices": true}
	for _, p := range list(t, "./internal/evaluation/stats") {
		for _, imp := range p.Imports {
			if !allowed[imp] {
				t.Errorf("%s imports %s", p.short(), imp)
			}
		}
	}
}

// Only internal/config reads the environment (outside main packages and scripts, which
// pass it on, and the Collector, whose configuration language has its own ${env:…}).
func TestOnlyConfigReadsTheEnvironment(t *testing.T) {
	cmd := exec.Command("git", "grep", "-nE", `os\.(Getenv|LookupEnv|Environ)\(`, "--", "*.go", ":!*_test.go", ":!internal/config", ":!cmd", ":!test", ":!scripts")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("git grep: %v", err)
	}
	if len(out) > 0 {
		t.Errorf("the environment is read outside internal/config:\n%s", out)
	}
}
