// Package config is the only reader of the environment. A setting comes from the
// environment, else from the file .env, else from that of the profile, else from its default; what is misspelt,
// malformed or out of range is said with its name and the remedy.
//
// It resolves nothing that another package decides: the mode of telemetry, for
// instance, is a table in package telemetry, which gets the values from here. It asks that package
// only whether it can read a value.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"path/filepath"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/technoshare/commentator/internal/telemetry"
)

// Config holds every setting of the worker. An empty value in the environment or in
// .env counts as unset.
type Config struct {
	// Profile names a file .env.<profile> beside .env: development, staging, production or one
	// of your own. What the environment and .env say wins over it. Its name is the environment
	// in telemetry unless OTEL_RESOURCE_ATTRIBUTES names one. Default: none.
	Profile string `env:"COMMENTATOR_PROFILE"`

	// DBPath is the SQLite file of jobs, queue and outbox. It is created when it does not
	// exist. A copy that lives beside the original must get a new store id. Default
	// ./db.sqlite, relative to the working directory.
	DBPath string `env:"DB_PATH" envDefault:"./db.sqlite"`
	// DatabaseURL is a PostgreSQL database that takes the place of DB_PATH, such as
	// postgres://user:password@host:5432/commentator. Workers of several hosts may share it;
	// its tables are made when they are not there. A secret. Default: none, DB_PATH holds.
	DatabaseURL string `env:"DATABASE_URL" secret:"true"`
	// DataDir may hold project_context.yaml, similar_tech.yaml, domain_rules.yaml and prompts/;
	// what is absent is taken from the copies built into the program. Prompts are read again before
	// the next job when their files have changed; the rest when the worker starts. Default ./data.
	DataDir string `env:"DATA_DIR" envDefault:"./data"`
	// LogLevel is DEBUG, INFO, WARN or ERROR. Default INFO. Logs go to standard error, but
	// those of serve go to LogFile if it is set.
	LogLevel Level `env:"LOG_LEVEL" envDefault:"INFO"`
	// LogFormat is text, json, or auto: coloured text on a terminal, else JSON for serve and text
	// for the other commands. Default auto.
	LogFormat string `env:"LOG_FORMAT" envDefault:"auto"`
	// LogFile is the file that serve appends its log to. It is opened anew on SIGHUP. Its
	// directory must exist. Default: none, standard error.
	LogFile string `env:"LOG_FILE"`
	// HistoryKeep is how long jobs that ended are kept, with their stages and reactions. A Go
	// duration of 48h or more; 0 keeps all. Default 2160h (90 days).
	HistoryKeep time.Duration `env:"HISTORY_KEEP" envDefault:"2160h"`
	// MetricsAddr is the host:port on which serve answers /healthz, /readyz and /metrics (for
	// Prometheus), such as 127.0.0.1:9465. There is no password. It works whether telemetry is
	// on or off. Default: none, nothing listens.
	MetricsAddr string `env:"METRICS_ADDR"`

	// MaxLinks is the number of links of one message that become jobs; further ones are
	// ignored. At least 1, default 3.
	MaxLinks int `env:"MAX_LINKS_PER_MESSAGE" envDefault:"3"`
	// SlackBotToken posts comments to Slack. Without it they are printed (replay) or kept
	// in the database (serve). Starts with "xoxb-". A secret.
	SlackBotToken string `env:"SLACK_BOT_TOKEN" secret:"true"`
	// SlackURL is the workspace, such as https://team.slack.com; with it runs and traces link
	// to the thread. Default: none, no links.
	SlackURL string `env:"SLACK_WORKSPACE_URL"`
	// SlackAppToken receives events from Slack over Socket Mode; serve needs no address of its own
	// then. Starts with "xapp-". A secret.
	SlackAppToken string `env:"SLACK_APP_TOKEN" secret:"true"`
	// SlackSigningSecret receives events over HTTP: serve takes POST /slack/events at
	// SLACK_EVENTS_ADDR and refuses what is not signed with it. A secret.
	SlackSigningSecret string `env:"SLACK_SIGNING_SECRET" secret:"true"`
	// SlackEventsAddr is the host:port where events are taken over HTTP. Without
	// SLACK_SIGNING_SECRET it has no effect. Default 127.0.0.1:3000.
	SlackEventsAddr string `env:"SLACK_EVENTS_ADDR" envDefault:"127.0.0.1:3000"`
	// SlackAPIURL is the address of Slack's Web API, for tests and proxies; it ends in a slash
	// and has no query.
	// Default https://slack.com/api/.
	SlackAPIURL string `env:"SLACK_API_URL" envDefault:"https://slack.com/api/"`
	// Channels are the ids of the Slack channels that are watched, separated by commas. Empty:
	// events of any channel are accepted.
	Channels List `env:"TECHNOSHARE_CHANNEL_ID"`
	// LinkPolicy says which links of a message become jobs: each, up to MAX_LINKS_PER_MESSAGE, or
	// only the first, as in the old deployment. Default each.
	LinkPolicy string `env:"LINK_POLICY" envDefault:"each"`
	// LinkCooldown is for how long a page is not commented on again in the same channel, at most
	// HISTORY_KEEP. A Go duration; 0: always commented on. Default 24h.
	LinkCooldown time.Duration `env:"LINK_COOLDOWN" envDefault:"24h"`
	// TrackNoURLs makes a job, with the outcome no_urls, of each message without a link, as in
	// the old deployment. Default false: such messages are not stored.
	TrackNoURLs bool `env:"TRACK_NO_URLS" envDefault:"false"`
	// ThreadReplies comments on links in replies within threads too. Replies that are also sent
	// to the channel are commented on in any case. Default false.
	ThreadReplies bool `env:"COMMENT_THREAD_REPLIES" envDefault:"false"`
	// BackfillMaxAge bounds how old messages may be that were missed, while no worker ran or
	// Slack could not deliver, and are fetched. Needs SLACK_BOT_TOKEN. A Go duration; 0: none are
	// fetched. Default 24h.
	BackfillMaxAge time.Duration `env:"BACKFILL_MAX_AGE" envDefault:"24h"`

	// FeedbackUp and FeedbackDown are the names of the reactions to a reply, without colons and
	// skin tones, that say that it helped, and that it did not. Separated by commas. Default
	// +1,thumbsup and -1,thumbsdown.
	FeedbackUp   []string `env:"FEEDBACK_UP" envDefault:"+1,thumbsup"`
	FeedbackDown []string `env:"FEEDBACK_DOWN" envDefault:"-1,thumbsdown"`

	// FailureNotice says how people in Slack learn that a link gets no comment, because the page
	// could not be used or what came out did not pass the gates: off, reaction (an emoji on their
	// message) or reply (a line in the thread). Without effect without SLACK_BOT_TOKEN. Default off.
	FailureNotice string `env:"FAILURE_NOTICE" envDefault:"off"`
	// FailureReaction is the name of that emoji, without colons; an emoji of the workspace's own
	// will do. Default warning.
	FailureReaction string `env:"FAILURE_REACTION" envDefault:"warning"`

	// OpenAIKey switches from the offline analyser to an OpenAI-compatible server. A secret.
	OpenAIKey string `env:"OPENAI_API_KEY" secret:"true"`
	// OpenAIBaseURL is the address of that server with its path, such as
	// http://127.0.0.1:8080/v1. Empty: OpenAI's own. Without OPENAI_API_KEY it has no effect.
	OpenAIBaseURL string `env:"OPENAI_BASE_URL"`
	// ModelA extracts the facts, ModelB composes the comment. Default gpt-4o. Without
	// OPENAI_API_KEY they have no effect.
	ModelA string `env:"MODEL_STAGE_A" envDefault:"gpt-4o"`
	ModelB string `env:"MODEL_STAGE_B" envDefault:"gpt-4o"`
	// ModelTemperature and ModelMaxTokens are sent with each model call: a number from 0 to
	// 2, and the most tokens that an answer may have, at least 1. Unset: the model's own defaults.
	ModelTemperature *float64 `env:"MODEL_TEMPERATURE"`
	ModelMaxTokens   int      `env:"MODEL_MAX_TOKENS"`

	// RetrievalAllow lists hosts that may be fetched although the guard against private
	// addresses forbids them: "loopback", an address block such as 10.1.0.0/16, a host, or
	// host:port. Separated by commas. Default: none.
	RetrievalAllow []string `env:"RETRIEVAL_ALLOW_HOSTS"`
	// RetrievalMaxBytes is the largest page that is read, in bytes after decompression. At
	// least 1024, default 5242880 (5 MiB).
	RetrievalMaxBytes int64 `env:"RETRIEVAL_MAX_BYTES" envDefault:"5242880"`
	// RetrievalTimeout bounds the whole fetch of a page, redirects included; a page that is read
	// because the API of its site did not answer gets as long again. A third of it, of the longest
	// one that is set for any domain, but at least 5 s, may go by until a site has accepted the
	// connection, and as much for TLS. A Go duration, above 0, default 15s. A timeout in
	// domain_rules.yaml wins for its domain.
	RetrievalTimeout time.Duration `env:"RETRIEVAL_TIMEOUT" envDefault:"15s"`
	// PDFCache is the folder where the compiled code of the PDF reader is kept, about 20 MB. It
	// is created with the first PDF; nobody else may write to it. Default:
	// technoshare-commentator/pdf in the user's folder for caches (XDG_CACHE_HOME, else .cache
	// in HOME), and DB_PATH with .pdf behind it where there is none.
	PDFCache string `env:"RETRIEVAL_PDF_CACHE"`
	// GithubToken goes with requests to GitHub's API: 5,000 an hour instead of 60. It needs no
	// permission. Default: none. A secret.
	GithubToken string `env:"GITHUB_TOKEN" secret:"true"`

	// EvalDBPath is the SQLite file of evaluations: what they paid for, their results, verdicts of
	// judges, and telemetry that waits. Default ./eval.sqlite.
	EvalDBPath string `env:"EVAL_DB_PATH" envDefault:"./eval.sqlite"`
	// EvalExperiment is the MLflow experiment of evaluations, 1 to 250 characters. Default technoshare_eval.
	EvalExperiment string `env:"EVAL_EXPERIMENT_NAME" envDefault:"technoshare_eval"`

	// EnableTracking records each job: an MLflow run by way of the Collector. Default false.
	EnableTracking bool `env:"MLFLOW_ENABLE_TRACKING" envDefault:"false"`
	// EnableTracing also records what happened inside the job: an MLflow trace. It has no
	// effect without MLFLOW_ENABLE_TRACKING. Default false.
	EnableTracing bool `env:"MLFLOW_ENABLE_TRACING" envDefault:"false"`
	// Experiment is the MLflow experiment that the worker asks the Collector to write to, 1 to 250
	// characters. Empty: the Collector's own setting decides.
	Experiment string `env:"MLFLOW_EXPERIMENT_NAME"`
	// TrackingURI is MLflow's address. The worker never talks to MLflow; otelcol-mlflow
	// reads it from the same .env. Default http://127.0.0.1:5000.
	TrackingURI string `env:"MLFLOW_TRACKING_URI" envDefault:"http://127.0.0.1:5000"`
	// BackendStore is the database of an MLflow on this host, as its --backend-store-uri names it;
	// scripts/start_mlflow.sh starts MLflow with it and `mlflowctl retention` removes from it.
	// Default sqlite:///mlflow.db, relative to the working directory.
	BackendStore string `env:"MLFLOW_BACKEND_STORE" envDefault:"sqlite:///mlflow.db"`
	// ArtifactRoot is the directory in which that MLflow keeps the artifacts that it serves, its
	// --artifacts-destination. Default ./mlartifacts, relative to the working directory.
	ArtifactRoot string `env:"MLFLOW_ARTIFACT_ROOT" envDefault:"./mlartifacts"`

	// SDKDisabled switches telemetry off whatever else is set, and leaves unsent messages
	// on disk. Default false.
	SDKDisabled bool `env:"OTEL_SDK_DISABLED" envDefault:"false"`
	// TracesExporter is "otlp" or "none"; none switches telemetry off. Default otlp.
	TracesExporter string `env:"OTEL_TRACES_EXPORTER" envDefault:"otlp"`
	// TracesSampler and TracesSamplerArg say which jobs are traced when tracing is on:
	// always_on, always_off, traceidratio (with a ratio from 0 to 1 as the argument), or one
	// of these with the prefix parentbased_; or jaeger_remote, which asks an address for it, with
	// endpoint=http://127.0.0.1:5778/sampling,pollingIntervalMs=500,initialSamplingRate=0 as the
	// argument, each of which may be left out. Runs are recorded for all jobs. Default always_on.
	TracesSampler    string `env:"OTEL_TRACES_SAMPLER"`
	TracesSamplerArg string `env:"OTEL_TRACES_SAMPLER_ARG"`
	// SamplingFile says at run time how much of the jobs that start is recorded;
	// `commentator tracing` writes it. It need not exist. Default: DB_PATH with
	// .sampling.yaml behind it, also with DATABASE_URL: each host has its own.
	SamplingFile string `env:"SAMPLING_FILE"`
	// OTLPEndpoint is the Collector's OTLP/gRPC address. http is plain text, https is TLS, for which
	// the certificate's authority has to be one of the system's or in SSL_CERT_FILE of the
	// environment. It has no path; OTLP/HTTP, port 4318, is not spoken. On its own it switches
	// nothing on. Default http://127.0.0.1:4317.
	OTLPEndpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT" envDefault:"http://127.0.0.1:4317"`
	// OTLPHeaders go with each request to the Collector: key=value, separated by commas,
	// values percent-encoded. A secret.
	OTLPHeaders Pairs `env:"OTEL_EXPORTER_OTLP_HEADERS" secret:"true"`
	// OutboxMaxBytes bounds what waits for the Collector in the job database, and what was sent
	// and is kept: when it is full, sent messages go first, then those that were set aside, then
	// the oldest that wait, which is counted. At least 16777216, twice what a message may have;
	// default 1073741824 (1 GiB).
	OutboxMaxBytes int64 `env:"OUTBOX_MAX_BYTES" envDefault:"1073741824"`
	// OutboxMaxAge is after how long a message that nobody took is given up, which is counted.
	// A Go duration, above 0, default 720h (30 days).
	OutboxMaxAge time.Duration `env:"OUTBOX_MAX_AGE" envDefault:"720h"`
	// OutboxKeepSent is how long messages are kept after they were sent, to compare them with
	// what MLflow holds. A Go duration; 0 keeps none. Default 72h.
	OutboxKeepSent time.Duration `env:"OUTBOX_KEEP_SENT" envDefault:"72h"`
	// ServiceName names the worker in telemetry. Default technoshare-commentator.
	ServiceName string `env:"OTEL_SERVICE_NAME" envDefault:"technoshare-commentator"`
	// ResourceAttributes describe the worker in all that is recorded, such as deployment.environment.name;
	// a value whose name says that it is a secret is masked. Written as the headers are.
	ResourceAttributes Pairs `env:"OTEL_RESOURCE_ATTRIBUTES"`
	// CaptureContent: NO_CONTENT or false keeps texts out of telemetry, so that structure,
	// counts and hashes remain; SPAN_ONLY, EVENT_ONLY, SPAN_AND_EVENT or true let them in.
	// Default SPAN_ONLY.
	CaptureContent string `env:"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT" envDefault:"SPAN_ONLY"`

	// Redaction masks secrets, e-mail addresses and Slack's ids of people before anything is
	// recorded or logged: on or off. Comments are posted as they are. Default on.
	Redaction string `env:"REDACTION" envDefault:"on"`
	// RedactionFile holds rules of one's own and what is never masked, as YAML; `commentator
	// redact FILE` shows what it does. Default: none, the built-in rules hold. Without effect
	// when REDACTION is off.
	RedactionFile string `env:"REDACTION_FILE"`

	// Settings lists where each value came from, in the order of this struct.
	Settings []Setting `env:"-"`

	userCache string            `env:"-"` // the user's folder for caches, empty: none
	places    map[string]string `env:"-"` // file and line of each value that is from a file
}

// Database is what holds the jobs: DATABASE_URL or, when it is not set, DB_PATH.
func (c Config) Database() string { return cmp.Or(c.DatabaseURL, c.DBPath) }

// DatabaseName is Database as people may see it.
func (c Config) DatabaseName() string {
	if u, err := url.Parse(c.DatabaseURL); err == nil && c.DatabaseURL != "" {
		return "postgres://" + u.Host + u.Path
	}
	return c.DBPath
}

// At is the name of a setting as errors begin with it: with file and line before it, ".env:3: NAME",
// when its value is from a file.
func (c Config) At(name string) string { return at(c.places, name) }

// SamplingPath is where the sampling file is.
func (c Config) SamplingPath() string {
	return cmp.Or(c.SamplingFile, c.DBPath+".sampling.yaml")
}

// BaselinePath is where `mlflowctl validate` keeps how long jobs take without telemetry.
func (c Config) BaselinePath() string { return c.DBPath + ".baseline.json" }

// Values of FailureNotice.
const (
	NoticeOff      = "off"
	NoticeReaction = "reaction"
	NoticeReply    = "reply"
)

// PDFCachePath is where the compiled code of the PDF reader is kept.
func (c Config) PDFCachePath() string {
	if c.PDFCache == "" && c.userCache != "" {
		return filepath.Join(c.userCache, "technoshare-commentator", "pdf")
	}
	return cmp.Or(c.PDFCache, c.DBPath+".pdf")
}

// userCache is where programs of the user keep what they can make anew (XDG Base Directory
// Specification), empty without a home.
func userCache(environ map[string]string) string {
	if dir := environ["XDG_CACHE_HOME"]; filepath.IsAbs(dir) {
		return dir
	}
	if home := environ["HOME"]; filepath.IsAbs(home) {
		return filepath.Join(home, ".cache")
	}
	return ""
}

// Options say what to read.
type Options struct {
	// Environ holds "KEY=value" lines, as os.Environ returns them.
	Environ []string
	// Dir is the folder whose file .env is read; it need not exist. Empty: no file is read.
	Dir string
}

// Load reads the settings. The error joins every problem found, and the settings are what could be
// read in spite of them; the warnings are about lines that were understood but look like mistakes.
func Load(o Options) (Config, []Warning, error) {
	var cfg Config
	environ := nonEmpty(env.ToMap(o.Environ))
	var file files
	var warnings []Warning
	var unreadable error
	if o.Dir != "" {
		file, warnings, unreadable = readFiles(o.Dir, func(name string) string { return environ[name] })
	}
	warnings = append(warnings, strangers(environ, file)...)
	warnings = append(warnings, remarks(environ)...)

	merged := make(map[string]string, len(environ)+len(file.values))
	for k, v := range file.values {
		merged[k] = v
	}
	places := maps.Clone(file.places)
	for k, v := range environ {
		merged[k] = v
		delete(places, k)
	}
	parseErr := env.ParseWithOptions(&cfg, env.Options{Environment: merged})
	cfg.Settings = settings(environ, file.values, file.from)
	cfg.userCache, cfg.places = userCache(environ), places
	unread, err := cfg.problems(parseErr, merged)
	more, invalid := cfg.validate(merged, unread)
	return cfg, shownWarnings(append(warnings, more...)), shownError(errors.Join(unreadable, err, invalid))
}

// nonEmpty drops empty values: they count as unset, as the OpenTelemetry specification asks.
func nonEmpty(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		if v != "" {
			out[k] = v
		}
	}
	return out
}

// Level is a slog level that also understands Python's WARNING and CRITICAL, which old
// .env files hold.
type Level slog.Level

// UnmarshalText reads a level name.
func (l *Level) UnmarshalText(b []byte) error {
	switch string(b) {
	case "WARNING", "warning":
		b = []byte("WARN")
	case "CRITICAL", "critical":
		b = []byte("ERROR")
	}
	return (*slog.Level)(l).UnmarshalText(b)
}

// Level makes it a slog.Leveler.
func (l Level) Level() slog.Level { return slog.Level(l) }

// List holds what is separated by commas, without the spaces around it.
type List []string

// UnmarshalText reads the list.
func (l *List) UnmarshalText(b []byte) error {
	*l = splitList(string(b))
	return nil
}

// Pairs is a list of key=value, separated by commas, with percent-encoded values.
type Pairs map[string]string

// UnmarshalText reads the list.
func (p *Pairs) UnmarshalText(b []byte) error {
	out := Pairs{}
	for _, item := range splitList(string(b)) {
		key, value, found := cutTrimmed(item)
		if !found || key == "" {
			return fmt.Errorf("want key=value, separated by commas")
		}
		decoded, err := url.PathUnescape(value)
		if err != nil {
			return fmt.Errorf("decode the value of %s: %w", key, err)
		}
		out[key] = decoded
	}
	*p = out
	return nil
}

// Mode is how much is recorded, and which settings say so.
func (c Config) Mode() (telemetry.Mode, string) {
	return telemetry.ResolveMode(telemetry.Settings{
		EnableTracking: c.EnableTracking, EnableTracing: c.EnableTracing, SDKDisabled: c.SDKDisabled, TracesExporter: c.TracesExporter,
	})
}
