package docrun

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/config"
)

// switches are forms of the lines that switch recording on. The programs read all of them.
var switches = map[string]string{
	"plain":               "MLFLOW_ENABLE_TRACKING=true\nMLFLOW_ENABLE_TRACING=true\n",
	"export":              "export MLFLOW_ENABLE_TRACKING=true\nexport \tMLFLOW_ENABLE_TRACING=true\n",
	"indented":            "  MLFLOW_ENABLE_TRACKING=true\n\t export MLFLOW_ENABLE_TRACING=true\n",
	"in capitals":         "MLFLOW_ENABLE_TRACKING=True\nMLFLOW_ENABLE_TRACING=TRUE\n",
	"in quotes":           "MLFLOW_ENABLE_TRACKING=\"true\"\nMLFLOW_ENABLE_TRACING='True' # note\n",
	"a figure":            "MLFLOW_ENABLE_TRACKING=1\nMLFLOW_ENABLE_TRACING=t\n",
	"line ends of DOS":    "MLFLOW_ENABLE_TRACKING=true\r\nexport MLFLOW_ENABLE_TRACING=true\r\n",
	"without a line end":  "MLFLOW_ENABLE_TRACING=true\nMLFLOW_ENABLE_TRACKING=true",
	"with spaces at ends": "MLFLOW_ENABLE_TRACKING=true \nMLFLOW_ENABLE_TRACING=true\t# note\n",
}

// What MIGRATION.md tells people to do to .env does it however the lines are written.
func TestMigrationEditsEveryFormOfTheSwitches(t *testing.T) {
	page, err := Read(filepath.Join("..", "..", "docs", "MIGRATION.md"))
	if err != nil {
		t.Fatal(err)
	}
	for form, lines := range switches {
		t.Run(form, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, ".env")
			write := func(text string) {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			load := func() config.Config {
				t.Helper()
				c, warnings, err := config.Load(config.Options{Dir: dir})
				if err != nil || len(warnings) > 0 {
					t.Fatalf("%v, %v", warnings, err)
				}
				return c
			}

			write("MODEL_STAGE_A=kept\n# MLFLOW_ENABLE_TRACKING=true\n  export DB_PATH=./old.sqlite\nexport MLFLOW_TRACKING_URI=http://h:5000\n" + lines)
			edit(t, page, dir, "Take over the settings")
			if c := load(); c.EnableTracking || c.EnableTracing || c.IsSet("DB_PATH") || c.IsSet("MLFLOW_TRACKING_URI") || c.ModelA != "kept" {
				t.Errorf("settings that were taken over: %+v", c.Settings)
			}

			write("MODEL_STAGE_A=kept\n" + lines)
			if c := load(); !c.EnableTracking || !c.EnableTracing {
				t.Fatalf("the lines don't switch recording on: %+v", c.Settings)
			}
			edit(t, page, dir, "Quick rollback: by the settings")
			if c := load(); c.EnableTracking || c.EnableTracing || c.ModelA != "kept" {
				t.Errorf("after the rollback: %+v", c.Settings)
			}
			edit(t, page, dir, "Forward again")
			if c := load(); !c.EnableTracking || !c.EnableTracing || c.ModelA != "kept" {
				t.Errorf("forward again: %+v", c.Settings)
			}
		})
	}
}

// systemd reads no export before a name.
func TestMigrationWritesSettingsThatSystemdReads(t *testing.T) {
	page, err := Read(filepath.Join("..", "..", "docs", "MIGRATION.md"))
	if err != nil {
		t.Fatal(err)
	}
	const target = "/etc/technoshare-commentator/env"
	var command string
	for _, b := range page.Section("As a service") {
		for line := range strings.Lines(b.Text) {
			if strings.Contains(line, ".env > "+target) {
				command = strings.Replace(line, target, "service", 1)
			}
		}
	}
	if command == "" {
		t.Fatalf("nothing writes %s", target)
	}
	dir := t.TempDir()
	text := "# note\nexport DB_PATH=./x\n  LOG_FILE=x\nDATA_DIR=x\n export\tMODEL_STAGE_A=\"a b\"\nMETRICS_ADDR=x\n  DB_PATH_NOT=1\nexporter=1\n"
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(dir, "service"))
	if want := "# note\nMODEL_STAGE_A=\"a b\"\nDB_PATH_NOT=1\nexporter=1\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
}

// edit runs the lines of a section that change .env in place.
func edit(t *testing.T, page *Page, dir, section string) {
	t.Helper()
	ran := 0
	for _, b := range page.Section(section) {
		for line := range strings.Lines(b.Text) {
			if !strings.HasPrefix(line, "sed ") {
				continue
			}
			cmd := exec.Command("sh", "-c", line)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", b, err, out)
			}
			ran++
		}
	}
	if ran != 1 {
		t.Fatalf("section %q has %d lines that change .env", section, ran)
	}
}
