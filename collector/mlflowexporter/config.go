package mlflowexporter

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/selection"
)

// The values of Ownership.
const (
	ownershipSingle = "single"
	ownershipShared = "shared"
)

const (
	// minTimeout is where a time-out is a number without its unit.
	minTimeout = time.Second
	// minRetryInterval is where pauses between attempts are none.
	minRetryInterval = time.Millisecond
	// minQueueBytes is where the size of a queue in bytes is a count: a job's message with its
	// evidence takes some 100 kB.
	minQueueBytes = 64 << 10
	// maxQueueItems is where a count is a size in bytes, such as those of the defaults.
	maxQueueItems = 10_000_000
)

// headerWorkspace names the workspace to MLflow 3.10 and newer.
const headerWorkspace = "X-MLFLOW-WORKSPACE"

// workspaceName is what MLflow takes as the name of a workspace.
var workspaceName = regexp.MustCompile(`^[a-z0-9][-a-z0-9]{0,61}[a-z0-9]$`)

// Config is the configuration of the exporter.
type Config struct {
	// Endpoint is the address of the MLflow tracking server, http or https, with the path
	// of its --static-prefix if it has one. Required.
	Endpoint string `mapstructure:"endpoint"`

	// Headers are sent with every request, for instance Authorization.
	Headers configopaque.MapList `mapstructure:"headers"`

	// HostHeader replaces the host of Endpoint in the Host header, for a server that takes
	// certain names only and is reached by another: MLflow's --allowed-hosts, or a proxy
	// that chooses by name. The certificate is still checked against the host of Endpoint,
	// or tls::server_name_override.
	HostHeader string `mapstructure:"host_header"`

	// MaxRequests bounds the requests that are on their way at one time, 1 to 32. MLflow on
	// SQLite gains nothing from more than 2.
	MaxRequests int `mapstructure:"max_requests"`

	// Auth names an extension that authenticates the requests, such as bearertokenauth.
	Auth configoptional.Optional[configauth.Config] `mapstructure:"auth"`

	// TLS is used when Endpoint is https.
	TLS configtls.ClientConfig `mapstructure:"tls"`

	// Timeout bounds one HTTP request. The delivery of a batch takes several and has no
	// limit of its own. MLflow on SQLite may block for 20 s before it says that its
	// database is locked, so less than 21s breaks calls that would have succeeded.
	Timeout time.Duration `mapstructure:"timeout"`

	// Experiment is the name of the experiment for spans whose resource has no
	// experiment.name. It is created when it does not exist.
	Experiment string `mapstructure:"experiment"`

	// ExperimentAttribute is the resource attribute that names the experiment.
	ExperimentAttribute string `mapstructure:"experiment_attribute"`

	// MaxExperiments bounds how many experiments the exporter creates on a server, as the
	// ledger counts them, at least 1. What belongs into a further one becomes a dead letter;
	// metrics leave none.
	MaxExperiments int `mapstructure:"max_experiments"`

	// Workspace is sent as X-MLFLOW-WORKSPACE with every request; empty means the server's
	// default workspace.
	Workspace string `mapstructure:"workspace"`

	// UIURL is the address of the MLflow UI as people reach it, for the links in notes.
	// The default is Endpoint.
	UIURL string `mapstructure:"ui_url"`

	// Storage names the storage extension that keeps the sending queue and the ledger,
	// which knows the run of every job. Without it both are in memory, where the ledger takes
	// about 4 KiB a job, for 20,000 jobs at most, and lost with the process, so it is required
	// unless AllowDataLoss is set.
	Storage *component.ID `mapstructure:"storage"`

	// AllowDataLoss permits settings with which data is lost: no Storage, no queue, no
	// retries, or retries that end.
	AllowDataLoss bool `mapstructure:"allow_data_loss"`

	// Ownership is "single" when this is the only Collector that writes these jobs, and
	// "shared" when there are several, each with a Storage of its own: a job's run is then
	// searched for in MLflow, and claimed before it is used.
	Ownership string `mapstructure:"ownership"`

	// StaleAfter is how long a run may stay RUNNING without news before it becomes KILLED.
	// Only time counts in which the Collector was up and wrote what came. News reopen the
	// run. 0 means never.
	StaleAfter time.Duration `mapstructure:"stale_after"`

	// DeadLetterDirectory takes what MLflow refuses for good, one file per job and message, or
	// messages that are written together. Empty means that such items are counted and logged
	// only.
	DeadLetterDirectory string `mapstructure:"dead_letter_directory"`

	// PricesFile is a YAML file with prices of models, which win over the built-in ones.
	PricesFile string `mapstructure:"prices_file"`

	// Layout is "nested", a run per job and per stage, or "flat", a run per job that holds
	// its stages under names that begin with theirs.
	Layout string `mapstructure:"layout"`

	// Artifacts says which artifacts are written; those left out are named in a tag.
	Artifacts reduce.ArtifactRules `mapstructure:"artifacts"`

	// Queue holds batches until MLflow has them; queue_size is in bytes, as sizer: bytes says.
	// Its storage is Storage.
	Queue configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`

	// Retry says when a batch that MLflow could not take is tried again. By default it is
	// retried for ever.
	Retry configretry.BackOffConfig `mapstructure:"retry_on_failure"`

	// Mapping says which spans become runs and what of them is written. The default is in
	// mapping.yaml.
	Mapping MappingConfig `mapstructure:"mapping"`

	// Service says what becomes of metrics. The default is in service.yaml.
	Service ServiceConfig `mapstructure:"service"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// MappingConfig says which spans become runs and traces, and what of them is written.
type MappingConfig struct {
	Started  ConditionConfig    `mapstructure:"started"`
	Feedback ConditionConfig    `mapstructure:"feedback"`
	Trace    TraceMappingConfig `mapstructure:"trace"`
	Job      RunMappingConfig   `mapstructure:"job"`
	Stage    RunMappingConfig   `mapstructure:"stage"`
	// OtherJob and OtherStage describe what applications that have no mapping of their own
	// ask for by attributes.
	OtherJob   RunMappingConfig `mapstructure:"other_job"`
	OtherStage RunMappingConfig `mapstructure:"other_stage"`
	// Member describes traces that belong to the run of another trace, which run.trace_id names:
	// Name is that of the trace, and of the rules those with a trace_tag count.
	Member RunMappingConfig `mapstructure:"member"`
	// prevent unkeyed literal initialization
	_ struct{}
}

// ConditionConfig selects spans.
type ConditionConfig struct {
	// Condition is an OTTL condition over a span; empty selects none.
	Condition string `mapstructure:"condition"`
	// prevent unkeyed literal initialization
	_ struct{}
}

// TraceMappingConfig says what goes into MLflow's trace store.
type TraceMappingConfig struct {
	// Condition is an OTTL condition over a span; empty selects none.
	Condition string `mapstructure:"condition"`
	// SpanTypes gives MLflow's span type by span name, merged with the default's.
	SpanTypes map[string]string `mapstructure:"span_types"`
	// prevent unkeyed literal initialization
	_ struct{}
}

// RunMappingConfig describes the runs of one kind of span.
type RunMappingConfig struct {
	// Condition is an OTTL condition over a span; empty selects none.
	Condition string `mapstructure:"condition"`
	// Name is the run's name, in which {{attribute}} stands for an attribute of the span
	// or of its resource.
	Name string `mapstructure:"name"`
	// Tags are fixed tags, merged with the default's; an empty value removes one.
	Tags map[string]string `mapstructure:"tags"`
	// Rules carry attributes over. A list replaces the default's.
	Rules []reduce.Rule `mapstructure:"rules"`
	// Costs tell where to find what the run's model calls used; without one that applies the
	// span's own gen_ai.usage.* is priced. A list replaces the default's.
	Costs []reduce.CostSource `mapstructure:"costs"`
	// Prompts tell where to find which prompts were used. A list replaces the default's.
	Prompts []reduce.PromptSource `mapstructure:"prompts"`
	// prevent unkeyed literal initialization
	_ struct{}
}

var (
	_ confmap.Validator   = (*Config)(nil)
	_ confmap.Unmarshaler = (*Config)(nil)
)

// wholeNumbers are keys with a whole number or a duration, which confmap cuts off a fraction
// without a word.
var wholeNumbers = []string{
	"max_requests", "max_experiments", "timeout", "stale_after", "artifacts::max_bytes",
	"sending_queue::queue_size", "sending_queue::num_consumers",
	"retry_on_failure::initial_interval", "retry_on_failure::max_interval", "retry_on_failure::max_elapsed_time",
	"service::interval", "service::sending_queue::queue_size", "service::sending_queue::num_consumers",
}

// Unmarshal implements confmap.Unmarshaler.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	var errs []error
	for _, key := range wholeNumbers {
		if f, ok := conf.Get(key).(float64); ok && f != math.Trunc(f) {
			errs = append(errs, fmt.Errorf("`%s` must be a whole number, or one with a unit such as 60s for a duration, found %v", key, f))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return conf.Unmarshal(c)
}

// Validate joins everything that is wrong with the configuration, each naming its key and
// what to do. Sections that Config only embeds validate themselves.
func (c *Config) Validate() error {
	return errors.Join(
		c.validateAccess(), c.validateTimes(), c.validateExperiment(), c.validateOwnership(), c.validateDelivery(), c.validateFiles(),
		c.Mapping.conditions().Validate(component.TelemetrySettings{Logger: zap.NewNop()}),
		c.Mapping.mapping().Validate(),
	)
}

func (c *Config) validateExperiment() error {
	var errs []error
	if name := strings.TrimSpace(c.Experiment); name == "" || utf8.RuneCountInString(name) > 250 {
		errs = append(errs, fmt.Errorf("`experiment` must be the name of an experiment, 1 to 250 characters, found %q", c.Experiment))
	}
	if strings.TrimSpace(c.ExperimentAttribute) == "" {
		errs = append(errs, errors.New("`experiment_attribute` must name a resource attribute: experiment.name is the default"))
	}
	if c.MaxExperiments < 1 {
		errs = append(errs, fmt.Errorf("`max_experiments` must be at least 1, found %d: it bounds how many experiments are created, 100 is the default", c.MaxExperiments))
	}
	if c.Workspace != "" && !workspaceName.MatchString(c.Workspace) {
		errs = append(errs, fmt.Errorf("`workspace` must be 2 to 63 lower-case letters, digits and inner hyphens, found %q: name a workspace of the server, or remove it", c.Workspace))
	}
	if c.Workspace != "" && c.header(headerWorkspace) {
		errs = append(errs, fmt.Errorf("`headers` must not hold %s: set `workspace` only", headerWorkspace))
	}
	return errors.Join(errs...)
}

func (c *Config) validateTimes() error {
	var errs []error
	if c.StaleAfter < 0 || (c.StaleAfter > 0 && c.StaleAfter < maintenanceInterval) {
		errs = append(errs, fmt.Errorf("`stale_after` must be 0 (runs are never ended for want of news) or at least %s, found %s: it must exceed the longest time between two messages of a job, 24h is the default", maintenanceInterval, c.StaleAfter))
	}
	if c.Timeout < minTimeout {
		errs = append(errs, fmt.Errorf("`timeout` must be at least %s, found %s: it bounds one HTTP request, 60s is the default; write the unit, a bare number is nanoseconds", minTimeout, c.Timeout))
	}
	if !c.Retry.Enabled {
		return errors.Join(errs...)
	}
	for _, interval := range []struct {
		key   string
		value time.Duration
	}{{"initial_interval", c.Retry.InitialInterval}, {"max_interval", c.Retry.MaxInterval}} {
		if interval.value < minRetryInterval {
			errs = append(errs, fmt.Errorf("`retry_on_failure::%s` must be at least %s, found %s, or a batch is sent over and over without a pause; 1s to 4s is the default; write the unit", interval.key, minRetryInterval, interval.value))
		}
	}
	if c.Retry.InitialInterval > c.Retry.MaxInterval {
		errs = append(errs, fmt.Errorf("`retry_on_failure::initial_interval` must be at most `max_interval`, found %s and %s: make it shorter, or `max_interval` longer", c.Retry.InitialInterval, c.Retry.MaxInterval))
	}
	if c.Retry.Multiplier < 1 {
		errs = append(errs, fmt.Errorf("`retry_on_failure::multiplier` must be at least 1, found %v, or the pauses shrink; 1.5 is the default", c.Retry.Multiplier))
	}
	return errors.Join(errs...)
}

func (c *Config) validateOwnership() error {
	var errs []error
	if c.Layout != reduce.LayoutNested && c.Layout != reduce.LayoutFlat {
		errs = append(errs, fmt.Errorf("`layout` must be %q or %q, found %q", reduce.LayoutNested, reduce.LayoutFlat, c.Layout))
	}
	if c.Ownership != ownershipSingle && c.Ownership != ownershipShared {
		errs = append(errs, fmt.Errorf("`ownership` must be %q or %q, found %q", ownershipSingle, ownershipShared, c.Ownership))
	}
	return errors.Join(errs...)
}

// validateDelivery refuses what loses data: exporterhelper deletes an item from the disk
// queue when its retries end, and when it has no retries at all also at each shutdown.
func (c *Config) validateDelivery() error {
	var errs []error
	if c.Queue.HasValue() {
		if id := c.Queue.Get().StorageID; id != nil && (c.Storage == nil || *id != *c.Storage) {
			errs = append(errs, errors.New("`sending_queue::storage` must not be set: set `storage`, which is used for the queue too"))
		}
	}
	for _, queue := range []struct {
		key   string
		queue configoptional.Optional[exporterhelper.QueueBatchConfig]
	}{{"sending_queue", c.Queue}, {"service::sending_queue", c.Service.Queue}} {
		if !queue.queue.HasValue() {
			continue
		}
		if c.Storage != nil && queue.queue.Get().WaitForResult {
			errs = append(errs, fmt.Errorf("`%s::wait_for_result` must not be true with `storage`: who sends is answered when the queue on disk has the data; remove it", queue.key))
		}
		errs = append(errs, validateQueueSize(queue.key, *queue.queue.Get()))
	}
	if c.AllowDataLoss {
		return errors.Join(errs...)
	}
	const remedy = ", or set `allow_data_loss: true` to accept the loss"
	if c.Storage == nil {
		errs = append(errs, errors.New("`storage` must name a storage extension such as file_storage, or queued data and the ledger are lost with the process; name one"+remedy))
	}
	if !c.Queue.HasValue() {
		errs = append(errs, errors.New("`sending_queue::enabled` must not be false, or data is refused while MLflow is down; remove it"+remedy))
	}
	if !c.Retry.Enabled {
		errs = append(errs, errors.New("`retry_on_failure::enabled` must not be false, or a batch is dropped when MLflow fails once; remove it"+remedy))
	}
	if c.Retry.MaxElapsedTime > 0 {
		errs = append(errs, fmt.Errorf("`retry_on_failure::max_elapsed_time` must be 0, found %s: after that time a batch is dropped; remove it%s", c.Retry.MaxElapsedTime, remedy))
	}
	return errors.Join(errs...)
}

// validateQueueSize refuses a size that is meant in another unit than `sizer` has: a queue of a
// thousand bytes takes no message, and one of four thousand million messages has no bound.
func validateQueueSize(key string, q exporterhelper.QueueBatchConfig) error {
	switch bytes := q.Sizer == exporterhelper.RequestSizerTypeBytes; {
	case bytes && q.QueueSize < minQueueBytes:
		return fmt.Errorf("`%s::queue_size` must be at least %d with `sizer: bytes`, found %d, or no message fits in: write bytes, or set `sizer` to requests or items", key, minQueueBytes, q.QueueSize)
	case !bytes && q.QueueSize > maxQueueItems:
		return fmt.Errorf("`%s::queue_size` must be at most %d with `sizer: %s`, found %d, which are bytes: set it to how many may wait, or remove `sizer`", key, maxQueueItems, q.Sizer.String(), q.QueueSize)
	}
	return nil
}

func (m MappingConfig) conditions() selection.Conditions {
	return selection.Conditions{
		Feedback:   m.Feedback.Condition,
		Started:    m.Started.Condition,
		Stage:      m.Stage.Condition,
		Job:        m.Job.Condition,
		OtherStage: m.OtherStage.Condition,
		OtherJob:   m.OtherJob.Condition,
		Member:     m.Member.Condition,
		Trace:      m.Trace.Condition,
	}
}

// reduceMapping is everything of the configuration that decides what becomes of spans.
func (c *Config) reduceMapping() (reduce.Mapping, error) {
	m := c.Mapping.mapping()
	m.Layout = c.Layout
	m.ExperimentAttribute = c.ExperimentAttribute
	var err error
	if m.Artifacts, err = c.Artifacts.Compile(); err != nil {
		return m, fmt.Errorf("`artifacts`: %w", err)
	}
	return m, nil
}

func (m MappingConfig) mapping() reduce.Mapping {
	return reduce.Mapping{Job: m.Job.mapping(), Stage: m.Stage.mapping(), OtherJob: m.OtherJob.mapping(), OtherStage: m.OtherStage.mapping(), Member: m.Member.mapping(), SpanTypes: m.Trace.SpanTypes}
}

func (m RunMappingConfig) mapping() reduce.RunMapping {
	return reduce.RunMapping{Name: m.Name, Rules: m.Rules, Tags: m.Tags, Costs: m.Costs, Prompts: m.Prompts}
}
