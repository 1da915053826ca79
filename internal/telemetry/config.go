package telemetry

import (
	"context"
	"log/slog"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/redact"
)

// Config says what a Provider emits and where it goes. Nothing is read from the
// environment.
type Config struct {
	// Mode decides everything else: with ModeOff or "" New returns nil, unless Prometheus is
	// set.
	Mode Mode

	// Endpoint of the Collector's OTLP/gRPC receiver: "http://host:port", "https://host:port"
	// or "host:port", which is TLS too. The port defaults to 4317. Default: http://127.0.0.1:4317.
	Endpoint string
	// Headers are sent with every request.
	Headers map[string]string

	// Ratio is the share of jobs, 0 to 1, that are recorded in full in ModeTracing. A job's
	// trace id decides, so that every process comes to the same answer.
	Ratio float64
	// Remote says at run time which jobs are recorded in full, in place of Ratio; nil: Ratio
	// does.
	Remote *Remote
	// SamplingFile is the path of a file that says at run time how much of jobs is recorded,
	// see Sampling; it need not exist. Empty: the settings above decide.
	SamplingFile string
	// Adapter names the adapter that will read a job's page, for rules that ask for one; may
	// be nil.
	Adapter func(commentator.Job) string
	// Decided returns how many jobs a rule of the sampling file has decided so far, for rules
	// that end after a number of jobs; may be nil.
	Decided func(rule string) (int64, error)
	// NoteRemote keeps whether Remote answers, for people who ask; may be nil.
	NoteRemote func(context.Context, RemoteState) error
	// CaptureContent lets text of pages, models and comments into spans and artifacts.
	// Without it artifacts carry structure, counts and hashes only.
	CaptureContent bool
	// Redactor masks every text before it is recorded. Default: the built-in rules.
	Redactor *redact.Redactor
	// PseudonymKey is the secret under which Slack's ids of people become pseudonyms, in texts
	// and as user.id. It is never emitted. Empty: they are masked like everything else, and
	// there is no user.id.
	PseudonymKey string
	// Unredacted leaves texts as they are. Redactor has no effect then.
	Unredacted bool

	// ServiceName is service.name. Default: "technoshare-commentator".
	ServiceName string
	// InstanceID is service.instance.id. Default: that of ResourceAttributes, else StoreID, because
	// one worker has one store; several workers of one store need one each.
	InstanceID string
	// NoMetrics keeps measurements from the Collector: those of a process that works beside another
	// one with the same identity.
	NoMetrics bool
	// Experiment is experiment.name, the MLflow experiment that the Collector writes to;
	// empty leaves the choice to the Collector.
	Experiment string
	// Environment is deployment.environment.name; may be empty.
	Environment string
	// Version is service.version, Revision is vcs.ref.head.revision; may be empty.
	Version, Revision string
	// Owner is process.owner, Executable is process.executable.name; may be empty.
	Owner, Executable string
	// ResourceAttributes are further attributes of the resource, as OTEL_RESOURCE_ATTRIBUTES
	// has them. The fields above win.
	ResourceAttributes map[string]string

	// StoreID is the UUID of the job database.
	StoreID string
	// Gates are the limits of the quality gates, which become params of the job's run.
	Gates commentator.GateLimits
	// Render lays out the comment of a job that was not posted, as text; may be nil.
	Render func(commentator.Comment) string
	// SlackURL is the address of the Slack workspace ("https://team.slack.com"), from which
	// links to threads are made. Empty: no links.
	SlackURL string

	// MetricInterval is the time between two exports of metrics. Default: 1 minute.
	MetricInterval time.Duration
	// Relay tunes the relay. Its endpoint, headers and logger are taken from this Config.
	Relay RelayConfig

	// Evaluation says that this process makes evaluations, not jobs: it records them in full in
	// every mode but off, and exports no metrics.
	Evaluation bool

	// Finishing says that telemetry was switched off while jobs were open that are recorded: they
	// are recorded to their end, no other job is, and no metrics are exported.
	Finishing bool

	// Prometheus lets a Prometheus server read the metrics too, see Provider.MetricsHandler.
	// With it there is a Provider in ModeOff too, which measures and records nothing.
	Prometheus bool

	// Logger receives warnings. Default: discard.
	Logger *slog.Logger
	// Now is the clock of the relay and of metrics. Default: time.Now.
	Now func() time.Time

	// metricReader takes the place of the exporter in tests.
	metricReader sdkmetric.Reader
}
