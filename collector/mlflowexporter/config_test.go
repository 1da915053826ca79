package mlflowexporter

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/wire"
)

func loadConfig(t *testing.T, id string) *Config {
	t.Helper()
	all, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	sub, err := all.Sub(id)
	if err != nil {
		t.Fatal(err)
	}
	return unmarshal(t, sub)
}

func unmarshal(t *testing.T, conf *confmap.Conf) *Config {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	if err := conf.Unmarshal(cfg); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestDefaultsKeepData(t *testing.T) {
	cfg := loadConfig(t, "mlflow")
	if err := confmap.Validate(cfg); err != nil {
		t.Fatal(err)
	}
	kept := onStorage(cfg.Queue, cfg.Storage)
	queue := kept.Get()
	if queue.StorageID == nil || queue.StorageID.String() != "file_storage" {
		t.Errorf("queue is kept by %v", queue.StorageID)
	}
	if cfg.Queue.Get().StorageID != nil {
		t.Error("the configuration was changed")
	}
	if queue.Sizer != exporterhelper.RequestSizerTypeBytes || queue.Batch.HasValue() || queue.NumConsumers != 8 {
		t.Errorf("queue is %+v", queue)
	}
	if !cfg.Retry.Enabled || cfg.Retry.MaxElapsedTime != 0 {
		t.Errorf("retries are %+v", cfg.Retry)
	}
}

func TestEveryKeyIsRead(t *testing.T) {
	cfg := loadConfig(t, "mlflow/all")
	if cfg.TLS.CAFile == "" || cfg.PricesFile == "" || cfg.DeadLetterDirectory == "" {
		t.Errorf("config is %+v", cfg)
	}
	cfg.TLS.CAFile, cfg.PricesFile, cfg.DeadLetterDirectory = certificateFile(t), "", "" // those of the file are not on this machine
	if err := confmap.Validate(cfg); err != nil {
		t.Fatal(err)
	}
	if got, _ := cfg.Headers.Get("X-Team"); got != configopaque.String("search") {
		t.Errorf("header is %q", string(got))
	}
	if !cfg.Auth.HasValue() || cfg.UIURL == "" || cfg.HostHeader == "" {
		t.Errorf("config is %+v", cfg)
	}
	// What the file spells out as defaults are the defaults.
	want := createDefaultConfig().(*Config)
	if diff := cmp.Diff(want.Mapping.mapping(), cfg.Mapping.mapping()); diff != "" {
		t.Error(diff)
	}
	if got := cfg.Service; len(got.Metrics) != 3 || got.Metrics[0].By[0] != wire.AttrJobOutcome || got.Interval != want.Service.Interval ||
		got.ExperimentSuffix != want.Service.ExperimentSuffix || got.Queue.Get().QueueSize != want.Service.Queue.Get().QueueSize {
		t.Errorf("service is %+v", got)
	}
	if cfg.Timeout != want.Timeout || cfg.MaxRequests != want.MaxRequests || cfg.Retry != want.Retry || cfg.Queue.Get().QueueSize != want.Queue.Get().QueueSize || cfg.StaleAfter != want.StaleAfter ||
		cfg.ExperimentAttribute != want.ExperimentAttribute || cfg.MaxExperiments != want.MaxExperiments || cfg.Layout != want.Layout || cfg.Workspace != "team-a" || cfg.Artifacts.MaxBytes != 0 {
		t.Errorf("config is %+v", cfg)
	}
}

// certificateFile is a file with the certificate of an authority.
func certificateFile(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A fraction where a whole number belongs is refused, not cut off.
func TestFractionsAreRefused(t *testing.T) {
	for _, key := range wholeNumbers {
		conf := confmap.NewFromStringMap(nested(key, 1.5))
		if err := conf.Unmarshal(createDefaultConfig()); err == nil || !strings.Contains(err.Error(), "`"+key+"` must be a whole number") || !strings.Contains(err.Error(), "found 1.5") {
			t.Errorf("%s: %v", key, err)
		}
		if err := confmap.NewFromStringMap(nested(key, 2.0)).Unmarshal(createDefaultConfig()); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// nested is a configuration with one key.
func nested(key string, value any) map[string]any {
	if first, rest, deeper := strings.Cut(key, confmap.KeyDelimiter); deeper {
		return map[string]any{first: nested(rest, value)}
	}
	return map[string]any{key: value}
}

// A directory for dead letters that takes none is found at the start.
func TestDeadLetterDirectoryIsTried(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "letters")
	if err := openDeadLetters(dir); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind %v, %v", left, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig("http://127.0.0.1:5000")
	for _, cfg.DeadLetterDirectory = range []string{file, filepath.Join(file, "below")} {
		e, err := createTraces(t.Context(), exportertest.NewNopSettings(metadata.Type), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Start(t.Context(), host{storageID: &memory{data: map[string][]byte{}}}); err == nil || !strings.Contains(err.Error(), "`dead_letter_directory`: ") || !strings.Contains(err.Error(), "name a directory that the Collector may write to") {
			t.Errorf("error is %v", err)
		}
		stop(t, e)
	}
}

// One that nobody can make is found before the start; nothing is left behind where it can be made.
func TestDeadLetterDirectoryThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	if err := checkDeadLetterPath(filepath.Join(dir, "deep", "letters")); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind %v, %v", left, err)
	}
	const nowhere = "/proc/letters/deep"
	if _, err := os.Stat("/proc/self"); err != nil || os.Geteuid() != 0 {
		t.Skip("others than root may not even try in /proc")
	}
	if err := checkDeadLetterPath(nowhere); err == nil || !strings.Contains(err.Error(), "`dead_letter_directory`: ") || !strings.Contains(err.Error(), deadLetterRemedy) {
		t.Errorf("error is %v", err)
	}
}

// A mapping of one's own replaces lists and merges maps.
func TestMappingOfAnotherApplication(t *testing.T) {
	cfg := loadConfig(t, "mlflow/etl")
	if err := confmap.Validate(cfg); err != nil {
		t.Fatal(err)
	}
	want := reduce.RunMapping{
		Name: "{{etl.job}} {{etl.date}}",
		Tags: map[string]string{"component": ""},
		Rules: []reduce.Rule{
			{Attribute: "etl.date", Param: "date", Tag: "date"},
			{Attribute: "etl.rows", Metric: "rows"},
			{Attribute: "etl.count.*", Metric: "count/*"},
			{Attribute: "etl.count.internal", Drop: true},
		},
		Costs:   defaultMapping().Job.Costs,
		Prompts: defaultMapping().Job.Prompts,
	}
	if diff := cmp.Diff(want, cfg.Mapping.mapping().Job); diff != "" {
		t.Error(diff)
	}
	if n := len(cfg.Mapping.Stage.Rules); n != 0 {
		t.Errorf("stage has %d rules left of the default", n)
	}
}

func TestLossCanBeAccepted(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Endpoint, cfg.AllowDataLoss, cfg.Retry.Enabled = "http://127.0.0.1:5000", true, false
	cfg.Queue = configoptional.None[exporterhelper.QueueBatchConfig]()
	if err := confmap.Validate(cfg); err != nil {
		t.Error(err)
	}
}

// The default mapping writes the names of the catalog and no others.
func TestDefaultMappingIsTheCatalog(t *testing.T) {
	written := map[wire.Kind]map[string]bool{wire.KindParam: {}, wire.KindTag: {}, wire.KindRunValue: {"latency_seconds": true}}
	mapping := defaultMapping().mapping()
	for _, m := range []reduce.RunMapping{mapping.Job, mapping.Stage} {
		for key := range m.Tags {
			written[wire.KindTag][key] = true
		}
		for _, r := range m.Rules {
			for kind, name := range map[wire.Kind]string{wire.KindParam: r.Param, wire.KindTag: r.Tag, wire.KindRunValue: r.Metric} {
				if name == "" {
					continue
				}
				written[kind][name] = true
				entry, ok := wire.Find(kind, name)
				if !ok || entry.Later {
					t.Errorf("%s %s is not in the catalog", kind, name)
				} else if entry.From != r.Attribute {
					t.Errorf("%s %s comes from %s, in the catalog from %s", kind, name, r.Attribute, entry.From)
				}
			}
		}
	}
	for _, entry := range wire.Catalog() {
		names, ours := written[entry.Kind]
		own := strings.HasPrefix(entry.Name, "mlflow.") || strings.HasPrefix(entry.Name, "otel.") || strings.HasPrefix(entry.Name, "artifacts.") || strings.HasPrefix(entry.Name, "feedback") ||
			entry.From == "collector/mlflowexporter" || entry.Type == string(wire.OnService) || entry.Type == string(wire.OnEvaluation)
		if ours && !own && !entry.Later && !names[entry.Name] {
			t.Errorf("no rule writes the %s %s", entry.Kind, entry.Name)
		}
	}
}

// Lengths are those that MLflow counts, in characters.
func TestNamesAreMeasuredInCharacters(t *testing.T) {
	cfg := testConfig("http://127.0.0.1:1")
	cfg.Experiment, cfg.Service.ExperimentSuffix = strings.Repeat("ä", 250), strings.Repeat("ä", 50)
	if err := confmap.Validate(cfg); err != nil {
		t.Error(err)
	}
}
