package deploy

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/technoshare/commentator/internal/config"
)

func compose(t *testing.T, environment ...string) *types.Project {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return composeIn(t, root, environment...)
}

func composeIn(t *testing.T, root string, environment ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithWorkingDirectory(root), cli.WithEnv(environment))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatalf("load docker-compose.yml: %v", err)
	}
	return project
}

// The compose file loads with the library that Docker Compose itself uses, and what it
// names exists: Dockerfiles, programs, services that others wait for.
func TestComposeFileIsValid(t *testing.T) {
	project := compose(t)
	for _, name := range []string{"mlflow", "collector", "worker"} {
		service, err := project.GetService(name)
		if err != nil {
			t.Fatalf("service %s: %v", name, err)
		}
		if service.Build == nil {
			t.Fatalf("service %s is not built from this tree", name)
		}
		if _, err := os.Stat(filepath.Join("..", service.Build.Dockerfile)); err != nil {
			t.Errorf("service %s: %v", name, err)
		}
		if program := service.Build.Args["PROGRAM"]; program != nil {
			if _, err := os.Stat(filepath.Join("..", "cmd", *program, "main.go")); err != nil {
				t.Errorf("service %s builds a program that is not there: %v", name, err)
			}
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("service %s publishes port %s to the network", name, port.Published)
			}
		}
	}
}

// Worker and Collector have the settings of .env and, behind them, of the profile, which they do
// not look for in the container; where things are within it no file can change.
func TestSettingsAndProfileReachTheContainers(t *testing.T) {
	root := profiled(t)
	for profile, experiment := range map[string]string{"": "", "staging": "staging"} {
		for name, value := range composeIn(t, root, "COMMENTATOR_PROFILE="+profile).Services["collector"].Environment {
			if value != nil && *value == "hush" {
				t.Errorf("profile %q: the Collector has %s of .env", profile, name)
			}
		}
		// Docker Compose takes what it puts in from .env; the library is told it here.
		project := composeIn(t, root, "COMMENTATOR_PROFILE="+profile)
		for service, own := range map[string][2]string{
			"worker":    {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"},
			"collector": {"MLFLOW_TRACKING_URI", "http://mlflow:5000"},
		} {
			for name, want := range map[string]string{"COMMENTATOR_PROFILE": "", "LOG_LEVEL": "DEBUG", "MLFLOW_EXPERIMENT_NAME": experiment, own[0]: own[1]} {
				got := ""
				if value := project.Services[service].Environment[name]; value != nil {
					got = *value
				}
				if got != want {
					t.Errorf("profile %q: %s has %s=%q, want %q", profile, service, name, got, want)
				}
			}
		}
	}
}

// profiled is a folder with the compose file and settings of a profile.
func profiled(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	text, err := os.ReadFile(filepath.Join("..", "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"docker-compose.yml": string(text),
		".env":               "COMMENTATOR_PROFILE=staging\nLOG_LEVEL=DEBUG\n" + strings.Join(ofTheWorker, "=hush\n") + "=hush\n",
		".env.staging":       "LOG_LEVEL=ERROR\nMLFLOW_EXPERIMENT_NAME=staging\nMLFLOW_TRACKING_URI=http://elsewhere:5000\nOTEL_EXPORTER_OTLP_ENDPOINT=http://elsewhere:4317\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// The worker does not read the profile in the container, and has its name for telemetry all the same.
func TestTheProfileIsTheEnvironmentOfTheWorkersTelemetry(t *testing.T) {
	for _, c := range []struct {
		profile, attributes, want string
		left                      int // other attributes
	}{
		{"", "", "", 0},
		{"staging", "", "staging", 0},
		{"staging", "team=links", "staging", 1},
		{"staging", "team=links,deployment.environment.name=blue", "blue", 1},
		{"", "team=links", "", 1},
	} {
		worker := composeIn(t, profiled(t), "COMMENTATOR_PROFILE="+c.profile, "OTEL_RESOURCE_ATTRIBUTES="+c.attributes).Services["worker"]
		var environ []string
		for _, name := range []string{"COMMENTATOR_PROFILE", "OTEL_RESOURCE_ATTRIBUTES"} {
			if value := worker.Environment[name]; value != nil {
				environ = append(environ, name+"="+*value)
			}
		}
		cfg, _, err := config.Load(config.Options{Environ: environ})
		if err != nil {
			t.Fatal(err)
		}
		got, set := cfg.ResourceAttributes["deployment.environment.name"]
		if got != c.want || set != (c.want != "") || len(cfg.ResourceAttributes) != c.left+min(1, len(c.want)) {
			t.Errorf("%+v: the worker has %v", c, cfg.ResourceAttributes)
		}
	}
}

// ofTheWorker are secrets of the worker, and what would steer the Collector's own telemetry.
var ofTheWorker = []string{
	"DATABASE_URL", "GITHUB_TOKEN", "OPENAI_API_KEY", "SLACK_APP_TOKEN", "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET",
	"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG",
}

// At whatever port of the host MLflow is published, its Host check takes the addresses under
// which the Collector and people reach it, the latter by default where it is.
func TestHostCheckTakesThePublishedPort(t *testing.T) {
	text, err := os.ReadFile("docker/mlflow.Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`"--allowed-hosts", "([^"]+)"`).FindSubmatch(text)
	if m == nil {
		t.Fatal("mlflow.Dockerfile has no --allowed-hosts")
	}
	taken := func(host string) bool { // as mlflow.server.security_utils.is_allowed_host_header
		return slices.ContainsFunc(strings.Split(string(m[1]), ","), func(pattern string) bool {
			ok, err := path.Match(pattern, host)
			return ok && err == nil
		})
	}
	for _, want := range []string{"5000", "5001"} {
		project := compose(t, "MLFLOW_PORT="+want)
		port := project.Services["mlflow"].Ports[0].Published
		if port != want {
			t.Errorf("MLFLOW_PORT=%s publishes %s", want, port)
		}
		environment := project.Services["collector"].Environment
		if got := *environment["MLFLOW_UI_URL"]; got != "http://127.0.0.1:"+port {
			t.Errorf("MLflow is published at %s, and links lead to %s", port, got)
		}
		inside, found := strings.CutPrefix(*environment["MLFLOW_TRACKING_URI"], "http://")
		for _, host := range []string{"localhost:" + port, "127.0.0.1:" + port, inside} {
			if !found || !taken(host) {
				t.Errorf("MLflow refuses the Host %s", host)
			}
		}
		if name := "example.org:" + port; taken(name) {
			t.Errorf("MLflow takes the Host %s", name)
		}
	}
}

// Each file that a Dockerfile copies from the tree exists.
func TestDockerfilesCopyWhatExists(t *testing.T) {
	files, err := filepath.Glob("docker/*.Dockerfile")
	if err != nil || len(files) == 0 {
		t.Fatalf("no Dockerfile found: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		copied := 0
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 3 || fields[0] != "COPY" || strings.HasPrefix(fields[1], "--from") {
				continue
			}
			copied++
			for _, source := range fields[1 : len(fields)-1] {
				if _, err := os.Stat(filepath.Join("..", source)); err != nil {
					t.Errorf("%s copies %s: %v", file, source, err)
				}
			}
		}
		if copied == 0 {
			t.Errorf("%s copies nothing from the tree", file)
		}
	}
}
