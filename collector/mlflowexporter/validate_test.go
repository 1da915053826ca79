package mlflowexporter

import (
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/service"
)

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
		"layout and ownership": {
			func(c *Config) { c.Layout, c.Ownership = "round", "mine" },
			[]string{"`layout` must be \"nested\" or \"flat\", found \"round\"", "`ownership` must be \"single\" or \"shared\", found \"mine\""},
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
				c.Auth = configoptional.Some(configauth.Config{AuthenticatorID: component.MustNewID("bearertokenauth")})
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
			[]string{"`mapping::member::rules[1]`: a member has a trace and no run, so only `trace_tag`, a `tag` of mlflow.source.git.commit, mlflow.source.name, mlflow.source.type, mlflow.user, and the `metric` cost_usd count: set one, or remove the rule"},
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
				"`mapping::job::rules[4]`: `omit_zero` speaks of a metric", "`mapping::job::rules[5]`: name \"%*\" would be changed",
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
					{Attribute: "a", Tag: "otel.key"},
					{Attribute: "a", Tag: "./mlflow.runName"},
					{Attribute: "a", Tag: "params.conflicting"},
					{Attribute: "a", TraceTag: "mlflow.trace.spansLocation"},
					{Attribute: "a", TraceTag: "cost.unknown_model"},
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

// What looks like one of these and has an effect is valid.
func TestValidateLeavesWhatHasAnEffect(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"an authenticator that sets other headers": func(c *Config) {
			c.Headers.Set("Authorization", "Bearer s3cr3t")
			c.Auth = configoptional.Some(configauth.Config{AuthenticatorID: component.MustNewID("headers_setter")})
		},
		"rules of members that the trace shows": func(c *Config) {
			c.Mapping.Member.Rules = []reduce.Rule{{Attribute: "enduser.id", Tag: "mlflow.user"}, {Attribute: "app.cost", Metric: "cost_usd"}}
		},
		"patterns that leave something to another": func(c *Config) {
			c.Service.Metrics = []service.Rule{{Name: "[^p]*"}, {Name: "process.cpu.?"}, {Name: "process.cpu.*"}, {Name: "*", By: []string{"state"}}}
		},
	} {
		c := testConfig("http://127.0.0.1:5000")
		set(c)
		if err := confmap.Validate(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
