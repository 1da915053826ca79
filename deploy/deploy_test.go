package deploy

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
)

// The compose file loads with the library that Docker Compose itself uses, and what it
// names exists: Dockerfiles, programs, services that others wait for.
func TestComposeFileIsValid(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithWorkingDirectory(root))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatalf("load docker-compose.yml: %v", err)
	}
	for _, name := range []string{"mlflow", "collector", "worker"} {
		service, err := project.GetService(name)
		if err != nil {
			t.Fatalf("service %s: %v", name, err)
		}
		if service.Build == nil {
			t.Fatalf("service %s is not built from this tree", name)
		}
		if _, err := os.Stat(filepath.Join(root, service.Build.Dockerfile)); err != nil {
			t.Errorf("service %s: %v", name, err)
		}
		if program := service.Build.Args["PROGRAM"]; program != nil {
			if _, err := os.Stat(filepath.Join(root, "cmd", *program, "main.go")); err != nil {
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
