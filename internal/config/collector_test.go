package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What a Collector without settings does is said in its configuration; here it is said again
// for those who look for it.
func TestCollectorIsWhereItsConfigurationPutsIt(t *testing.T) {
	text, err := os.ReadFile("../../cmd/otelcol-mlflow/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := LoadCollector(Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"OTELCOL_DATA_DIR": c.DataDir, "MLFLOW_EXPERIMENT_NAME": c.Experiment, "MLFLOW_UI_URL": c.UIURL}
	for _, a := range c.Addresses() {
		want[a.Name] = a.Address
	}
	want["OTELCOL_METRICS_PORT"] = "8888"
	for _, m := range regexp.MustCompile(`\$\{env:([A-Z_]+):-([^}]*)\}`).FindAllStringSubmatch(string(text), -1) {
		if m[1] == "MLFLOW_TRACKING_URI" {
			continue // Config has it
		}
		if got, known := want[m[1]]; !known || got != m[2] {
			t.Errorf("default.yaml has %s=%q, here it is %q", m[1], m[2], got)
		}
		if !slices.Contains(elsewhere, m[1]) && !slices.Contains(Names(), m[1]) {
			t.Errorf("%s in .env is called a stranger", m[1])
		}
	}
}

// otelcol-mlflow takes what begins with OTELCOL_ and MLFLOW_ from .env for each configuration.
func TestVariablesOfTheCollectorsConfigurationsAreNoStrangers(t *testing.T) {
	files, err := filepath.Glob("../../otel-config/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\$\{env:((?:OTELCOL|MLFLOW)_[A-Z_]+)`).FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains(elsewhere, m[1]) && !slices.Contains(Names(), m[1]) {
				t.Errorf("%s in .env is called a stranger, and %s uses it", m[1], file)
			}
		}
	}
}

func TestCollectorReadsWhatTheCollectorReads(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "OTELCOL_GRPC_ENDPOINT=0.0.0.0:5317\nOTELCOL_METRICS_PORT=9999\nMLFLOW_EXPERIMENT_NAME=team\n")
	c, err := LoadCollector(Options{Dir: dir, Environ: []string{"OTELCOL_METRICS_PORT=9998", "OTELCOL_HEALTH_ENDPOINT="}})
	if err != nil {
		t.Fatal(err)
	}
	if c.GRPC != "0.0.0.0:5317" || c.MetricsPort != 9998 || c.Experiment != "team" || c.Health != "127.0.0.1:13133" {
		t.Errorf("%+v", c)
	}
	for _, wrong := range []string{"OTELCOL_METRICS_PORT=many", "OTELCOL_GRPC_ENDPOINT=4317", "MLFLOW_UI_URL=mlflow.example.org", "MLFLOW_UI_URL=https://u:p@mlflow.example.org"} {
		c, err := LoadCollector(Options{Environ: []string{wrong, "OTELCOL_REPLAY_ENDPOINT=127.0.0.1:5319"}})
		if err == nil {
			t.Errorf("%s is taken", wrong)
		}
		if c.Replay != "127.0.0.1:5319" || c.DataDir != "./.otelcol-mlflow" {
			t.Errorf("with %s the others are %+v", wrong, c)
		}
		dir := t.TempDir()
		write(t, dir, "# the Collector\n"+wrong+"\n")
		if _, err := LoadCollector(Options{Dir: dir}); err == nil || !strings.HasPrefix(err.Error(), filepath.Join(dir, ".env:2: "+strings.Split(wrong, "=")[0])) {
			t.Errorf("%s: the error is %v", wrong, err)
		}
	}
}

// Each is told in one go, with an example that is its own.
func TestWrongAddressesOfTheCollectorAreJoined(t *testing.T) {
	_, err := LoadCollector(Options{Environ: []string{"OTELCOL_HTTP_ENDPOINT=4318", "OTELCOL_METRICS_PORT=many", "OTELCOL_STATUS_ENDPOINT=x", "MLFLOW_UI_URL=mlflow:5000"}})
	checkLines(t, err, []string{
		`OTELCOL_METRICS_PORT: "many" is no port; write for instance 8888`,
		`OTELCOL_HTTP_ENDPOINT: "4318" is not host:port; write for instance 127.0.0.1:4318`,
		`OTELCOL_STATUS_ENDPOINT: "x" is not host:port; write for instance 127.0.0.1:13134`,
		`MLFLOW_UI_URL: "mlflow:5000" is not an address: want http://host[:port][/prefix] or https://…`,
	})
}

func TestWhatTheEnvironmentOverrulesIsNamedWithoutItsValue(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "SLACK_BOT_TOKEN=xoxb-file\nDB_PATH=a.sqlite\nLOG_LEVEL=INFO\nPATH=x\n")
	got := Shadowed(Options{Dir: dir, Environ: []string{"SLACK_BOT_TOKEN=xoxb-other", "DB_PATH=a.sqlite", "PATH=y"}})
	want := filepath.Join(dir, ".env:1: SLACK_BOT_TOKEN is overruled by the environment, which has another value; unset it there, or change it there")
	if len(got) != 1 || got[0].Message != want {
		t.Errorf("%v", got)
	}
}

// Lines that a person reads in another way than the program does.
func TestDotenvWarnsOfWhatLooksLikeAMistake(t *testing.T) {
	_, _, warnings, err := parseDotenv(".env", "A=“b”\nB=b\"\nC=${HOME}/x\nD='${HOME}'\nE=\"it's\"\nF=costs 5$\nG=$HOME/y\nH=p$w0rd\nI=“b\nJ=„b\nK=b”\nL=\"p$w0rd\"\nM='p$w0rd'\nN=p$$w\nO=${a:-b}\nP=$5 and $\nQ=\"$(x)\"\n")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, w := range warnings {
		keys = append(keys, w.Key)
	}
	if want := []string{"A", "B", "C", "G", "H", "I", "J", "K", "L", "N", "O"}; !slices.Equal(keys, want) {
		t.Errorf("warned of %v, want %v: %v", keys, want, warnings)
	}
}

// Single quotes end at a ' inside.
func TestAQuoteBesideADollarIsNotSentIntoSingleQuotes(t *testing.T) {
	_, _, warnings, err := parseDotenv(".env", "A=\"it's$xy\"\nB=\"it's ${HOME}\"\n")
	if err != nil || len(warnings) != 2 {
		t.Fatalf("%v, %v", warnings, err)
	}
	for i, want := range []string{"choose a value without $ or without '", "nothing is expanded here; write the value itself"} {
		if got := warnings[i].Message; !strings.HasSuffix(got, want) {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

func TestWhatIsWrongWithOneSettingIsToldApart(t *testing.T) {
	_, err := LoadCollector(Options{Environ: []string{"OTELCOL_HTTP_ENDPOINT=4318", "MLFLOW_UI_URL=mlflow:5000"}})
	if got := WrongAmong(err, "OTELCOL_GRPC_ENDPOINT", "OTELCOL_METRICS_PORT"); got != nil {
		t.Error(got)
	}
	checkLines(t, WrongAmong(err, "OTELCOL_HTTP_ENDPOINT"), []string{`OTELCOL_HTTP_ENDPOINT: "4318" is not host:port; write for instance 127.0.0.1:4318`})
	if got := WrongAmong(nil, "OTELCOL_HTTP_ENDPOINT"); got != nil {
		t.Error(got)
	}
}

func write(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
