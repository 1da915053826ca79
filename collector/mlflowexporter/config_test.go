package mlflowexporter

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/service"
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

// Everything that is wrong is told at once, by key and with a remedy.
func TestValidateNamesEveryProblem(t *testing.T) {
	id := component.MustNewID("file_storage")
	other := component.MustNewID("redis")
	for name, c := range map[string]struct {
		change func(*Config)
		want   []string
	}{
		"nothing set": {
			func(c *Config) { c.Endpoint, c.Storage = "", nil },
			[]string{"`endpoint` must be set", "`storage` must name a storage extension"},
		},
		"lossy": {
			func(c *Config) {
				c.Queue = configoptional.None[exporterhelper.QueueBatchConfig]()
				c.Retry.Enabled = false
			},
			[]string{"`sending_queue::enabled` must not be false", "`retry_on_failure::enabled` must not be false", "allow_data_loss"},
		},
		"retries end": {
			func(c *Config) { c.Retry.MaxElapsedTime = 5 * time.Minute },
			[]string{"`retry_on_failure::max_elapsed_time` must be 0, found 5m0s"},
		},
		"two storages": {
			func(c *Config) { c.Queue.Get().StorageID = &other },
			[]string{"`sending_queue::storage` must not be set: set `storage`"},
		},
		"values": {
			func(c *Config) {
				c.Endpoint, c.UIURL, c.Timeout, c.Ownership, c.Experiment, c.StaleAfter = "127.0.0.1:5000", "ui", 0, "mine", " ", time.Second
			},
			[]string{"`stale_after` must be 0", "`endpoint`: ", "`ui_url`: \"ui\" is not an address", "`timeout` must be at least 1s, found 0s", "`ownership` must be \"single\" or \"shared\"", "`experiment` must be the name"},
		},
		"experiments": {
			func(c *Config) {
				c.ExperimentAttribute, c.MaxExperiments, c.Workspace = "", 0, "Team A"
				c.Headers.Set("x-mlflow-workspace", "b")
			},
			[]string{"`experiment_attribute` must name", "`max_experiments` must be at least 1, found 0", "`workspace` must be 2 to 63", "`headers` must not hold X-MLFLOW-WORKSPACE: set `workspace` only"},
		},
		"access": {
			func(c *Config) {
				c.Endpoint, c.UIURL, c.HostHeader, c.MaxRequests = "http://user:/s3cr3t@host", "http://user:s3cr3t@host", "http://s3cr3t@host/", 33
				c.Headers.Set("host", "mlflow")
			},
			[]string{"`endpoint`: \"…@host\" is not an address", "`ui_url` must hold no credentials", "`host_header` must be a host", "`headers` must not hold Host", "`max_requests` must be 1 to 32, found 33"},
		},
		"no addresses": {
			func(c *Config) { c.Endpoint, c.UIURL = "http://host:99999", "http://:5000" },
			[]string{"`endpoint`: \"http://host:99999\" is not an address", "`ui_url`: \"http://:5000\" is not an address", "with the name of a host and a port of 1 to 65535"},
		},
		"numbers without a unit": {
			func(c *Config) { c.Timeout, c.Retry.MaxInterval, c.Retry.InitialInterval = 60, 0, 1 },
			[]string{
				"`timeout` must be at least 1s, found 60ns", "write the unit", "`retry_on_failure::max_interval` must be at least 1ms, found 0s",
				"`retry_on_failure::initial_interval` must be at least 1ms, found 1ns",
			},
		},
		"pauses that shrink": {
			func(c *Config) { c.Retry.Multiplier = 0.5 },
			[]string{"`retry_on_failure::multiplier` must be at least 1, found 0.5"},
		},
		"headers and auth": {
			func(c *Config) {
				c.Headers.Set("Bad Header", "x")
				c.Headers.Set("", "x")
				c.Headers.Set("X-Token", "s3cr3t\n")
				c.Auth = configoptional.Some(configauth.Config{})
			},
			[]string{"`headers`: \"Bad Header\" is no name of a header", "`headers`: \"\" is no name", "`headers`: the value of X-Token has a line break", "remove it", "`auth::authenticator` must name an extension"},
		},
		"headers that are not sent so": {
			func(c *Config) {
				for _, name := range []string{"user-agent", "Content-Length", "Transfer-Encoding", "Trailer", "Accept-Encoding", "content-encoding"} {
					c.Headers.Set(name, "s3cr3t")
				}
				c.Headers.Set("X-Team", "a")
				c.Headers.Set("x-team", "b")
			},
			[]string{
				"`headers` must not hold user-agent, which each request sets for itself: remove it", "must not hold Content-Length", "must not hold Transfer-Encoding", "must not hold Trailer",
				"must not hold Accept-Encoding", "must not hold content-encoding", "`headers` must not hold X-Team and x-team, which are one header: remove one",
			},
		},
		"two ways to say who asks": {
			func(c *Config) {
				c.Endpoint = "http://user:s3cr3t@127.0.0.1:5000"
				c.Headers.Set("authorization", "s3cr3t")
				c.Auth = configoptional.Some(configauth.Config{AuthenticatorID: id})
			},
			[]string{"`auth::authenticator` must not be set beside Authorization in `headers`", "`auth::authenticator` must not be set beside credentials in `endpoint`", "remove one of them"},
		},
		"TLS to http": {
			func(c *Config) { c.TLS.CAFile, c.TLS.CertFile, c.TLS.KeyFile = "a", "b", "c" },
			[]string{
				"`tls::ca_file` must not be set with an http:// `endpoint`", "`tls::cert_file` must not be set with an http:// `endpoint`", "`tls::key_file` must not be set with an http:// `endpoint`", "write https://, or remove the key",
			},
		},
		"no TLS to https": {
			func(c *Config) { c.Endpoint, c.TLS.Insecure = "https://127.0.0.1:5000", true },
			[]string{"`tls::insecure` must not be true with an https:// `endpoint`", "set `tls::insecure_skip_verify`"},
		},
		"retries that begin late": {
			func(c *Config) { c.Retry.InitialInterval = time.Minute },
			[]string{"`retry_on_failure::initial_interval` must be at most `max_interval`, found 1m0s and 4s"},
		},
		"rules of members without a tag": {
			func(c *Config) {
				c.Mapping.Member.Rules = []reduce.Rule{{Attribute: "a", Drop: true}, {Attribute: "a", Tag: "a", Param: "a"}, {Attribute: "a", TraceTag: "a", Tag: "a"}}
			},
			[]string{"`mapping::member::rules[1]`: a member has a trace and no run, so only `trace_tag` counts: set it, or remove the rule"},
		},
		"a port and no host": {
			func(c *Config) { c.HostHeader = ":80" },
			[]string{"`host_header` must be a host, or host:port with a port of 1 to 65535"},
		},
		"a host and no port": {
			func(c *Config) { c.HostHeader = "host:" },
			[]string{"`host_header` must be a host, or host:port"},
		},
		"a port that is none": {
			func(c *Config) { c.HostHeader = "host:99999" },
			[]string{"`host_header` must be a host, or host:port"},
		},
		"metrics that are chosen already": {
			func(c *Config) {
				c.Service.Metrics = []service.Rule{{Name: "process.*"}, {Name: "process.cpu.time", By: []string{"state"}}, {Name: "job.active"}, {Name: "job.active"}}
			},
			[]string{"service", "`metrics[1]`: \"process.cpu.time\" is chosen by \"process.*\" before it", "`metrics[3]`: \"job.active\" is chosen by \"job.active\" before it", "put it in front, or remove it"},
		},
		"blanks": {
			func(c *Config) { c.ExperimentAttribute, c.Service.ExperimentSuffix = " ", "  " },
			[]string{"`experiment_attribute` must name", "`experiment_suffix` must have 1 to 50 characters"},
		},
		"long names": {
			func(c *Config) {
				c.Experiment, c.Service.ExperimentSuffix = strings.Repeat("ä", 251), strings.Repeat("ä", 51)
			},
			[]string{"`experiment` must be the name of an experiment, 1 to 250 characters", "`experiment_suffix` must have 1 to 50 characters"},
		},
		"tags of the trace on stages": {
			func(c *Config) {
				c.Mapping.Stage.Rules = []reduce.Rule{{Attribute: "a", TraceTag: "a"}}
				c.Mapping.OtherStage.Rules = c.Mapping.Stage.Rules
			},
			[]string{"`mapping::stage::rules[0]`: `trace_tag` alone does nothing", "`mapping::other_stage::rules[0]`: `trace_tag` alone does nothing", "move the rule there"},
		},
		"waiting for results": {
			func(c *Config) { c.Queue.Get().WaitForResult, c.Service.Queue.Get().WaitForResult = true, true },
			[]string{"`sending_queue::wait_for_result` must not be true with `storage`", "`service::sending_queue::wait_for_result` must not be true", "remove it"},
		},
		"counts for bytes": {
			func(c *Config) { c.Queue.Get().QueueSize, c.Service.Queue.Get().QueueSize = 1000, 1 },
			[]string{
				"`sending_queue::queue_size` must be at least 65536 with `sizer: bytes`, found 1000", "`service::sending_queue::queue_size` must be at least 65536 with `sizer: bytes`, found 1",
				"set `sizer` to requests or items",
			},
		},
		"bytes for counts": {
			func(c *Config) {
				c.Queue.Get().Sizer, c.Service.Queue.Get().Sizer = exporterhelper.RequestSizerTypeRequests, exporterhelper.RequestSizerTypeItems
			},
			[]string{
				"`sending_queue::queue_size` must be at most 10000000 with `sizer: requests`, found 4294967296", "`service::sending_queue::queue_size` must be at most 10000000 with `sizer: items`, found 67108864",
				"remove `sizer`",
			},
		},
		"files that are missing": {
			func(c *Config) {
				c.PricesFile, c.TLS.CAFile, c.DeadLetterDirectory = "missing.yaml", "missing.pem", "config_test.go"
			},
			[]string{
				"`prices_file`: open missing.yaml", "name a YAML file that the Collector may read, or remove the key", "`tls::ca_file`: open missing.pem",
				"name a PEM file that the Collector may read", "`dead_letter_directory`: config_test.go is a file: name a directory",
			},
		},
		"files of another kind": {
			func(c *Config) {
				c.PricesFile, c.TLS.CAFile, c.DeadLetterDirectory = "config_test.go", "config_test.go", "config_test.go/letters"
			},
			[]string{"`prices_file`: config_test.go: ", "mend it as the exporter's README shows", "`tls::ca_file`: config_test.go holds no certificate", "`dead_letter_directory`: stat config_test.go/letters: not a directory"},
		},
		"a directory for a file": {
			func(c *Config) {
				c.PricesFile, c.TLS.CAFile, c.TLS.CertFile, c.TLS.KeyFile = ".", "", "config_test.go", "config_test.go"
			},
			[]string{"`prices_file`: read .: is a directory: name a YAML file", "`tls`: ", "name files in PEM form"},
		},
		"layout": {
			func(c *Config) { c.Layout = "tree" },
			[]string{"`layout` must be \"nested\" or \"flat\", found \"tree\""},
		},
		"artifacts": {
			func(c *Config) {
				c.Artifacts = reduce.ArtifactRules{Include: []string{"", "[a"}, Exclude: []string{"[b"}, MaxBytes: -1}
			},
			[]string{"artifacts", "`include[0]` must not be empty", "`include[1]`: \"[a\" is no pattern", "`exclude[0]`: \"[b\" is no pattern", "`max_bytes` must be positive"},
		},
		"rules": {
			func(c *Config) {
				c.Mapping.Job.Rules = []reduce.Rule{
					{Attribute: "a.*.*", Param: "*"},
					{Attribute: "a", Drop: true, Tag: "a"},
					{Attribute: "a.*", Tag: "a"},
					{Attribute: "a", Tag: "*"},
					{Attribute: "a", Tag: "a", OmitZero: true},
					{Attribute: "a.*", Metric: "%*"},
				}
				c.Mapping.OtherJob.Condition, c.Mapping.OtherStage.Name = "or", "{{}}"
			},
			[]string{
				"`mapping::job::rules[0]`: `attribute` \"a.*.*\" has more than one *: write a rule for each", "`mapping::job::rules[1]`: `drop` keeps the attribute",
				"`mapping::job::rules[2]`: \"a\" must have one *", "`mapping::job::rules[3]`: \"*\" has a * and `attribute` has none",
				"`mapping::job::rules[4]`: `omit_zero` speaks of a metric", "`mapping::job::rules[5]`: MLflow takes no name \"%*\"",
				"`mapping::other_job::condition`", "`mapping::other_stage::name`: template",
			},
		},
		"tags of identity": {
			func(c *Config) {
				c.Mapping.OtherJob.Tags = map[string]string{"otel.key": "x"}
				c.Mapping.OtherStage.Tags = map[string]string{"mlflow.parentRunId": "x"}
				c.Mapping.Member.Tags = map[string]string{"otel.key/": "x"}
				c.Mapping.Stage.Tags = map[string]string{"run.stale": "x"}
				c.Mapping.Job.Rules = []reduce.Rule{
					{Attribute: "a", Tag: "otel.key"}, {Attribute: "a", Tag: "./mlflow.runName"}, {Attribute: "a", Tag: "params.conflicting"},
					{Attribute: "a", TraceTag: "mlflow.trace.spansLocation"}, {Attribute: "a", TraceTag: "cost.unknown_model"},
				}
			},
			[]string{
				"`mapping::other_job::tags` must not hold \"otel.key\"", "`mapping::other_stage::tags` must not hold \"mlflow.parentRunId\"", "`mapping::member::tags` must not hold \"otel.key/\"",
				"`mapping::job::rules[0]`: `tag` must not be \"otel.key\"", "`mapping::job::rules[1]`: `tag` must not be \"./mlflow.runName\"", "choose another name",
				"`mapping::stage::tags` must not hold \"run.stale\"", "`mapping::job::rules[2]`: `tag` must not be \"params.conflicting\"",
				"`mapping::job::rules[3]`: `trace_tag` must not be \"mlflow.trace.spansLocation\"", "`mapping::job::rules[4]`: `trace_tag` must not be \"cost.unknown_model\"",
			},
		},
		"mapping": {
			func(c *Config) {
				c.Mapping.Job.Name = "job_{{"
				c.Mapping.Stage.Name = ""
				c.Mapping.Job.Condition = "span.atributes == 1"
				c.Mapping.Trace.Condition = "and"
				c.Mapping.Job.Rules = []reduce.Rule{{Attribute: "a"}, {Param: "p%"}}
				c.Mapping.Stage.Tags = map[string]string{"..": "x"}
			},
			[]string{
				"`mapping::job::condition`", "`mapping::trace::condition`", "`mapping::job::name`: template", "`mapping::stage::name` must not be empty",
				"`mapping::job::rules[0]`: set at least one of", "`mapping::job::rules[1]`: `attribute` must name", `"p%"`, "`mapping::stage::tags`",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			cfg.Endpoint, cfg.Storage = "http://127.0.0.1:5000", &id
			c.change(cfg)
			err := confmap.Validate(cfg)
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("error tells a password:\n%v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
		})
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
