package config

import (
	"reflect"
	"strings"
)

// Source says where a value came from.
type Source string

// The sources of a value.
const (
	FromEnvironment Source = "environment"
	FromFile        Source = ".env"
	FromDefault     Source = "default"
	Unset           Source = "unset"
)

// Setting is a setting as a person may see it: secrets are masked.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source Source `json:"source"`
}

// settings lists where each value came from.
func settings(environ, file map[string]string, from map[string]Source) []Setting {
	var out []Setting
	for f := range reflect.TypeFor[Config]().Fields() {
		name := f.Tag.Get("env")
		if name == "-" {
			continue
		}
		s := Setting{Name: name, Source: Unset}
		if def, found := f.Tag.Lookup("envDefault"); found {
			s.Value, s.Source = def, FromDefault
		}
		if v, found := file[name]; found {
			s.Value, s.Source = v, from[name]
		}
		if v, found := environ[name]; found {
			s.Value, s.Source = v, FromEnvironment
		}
		if f.Tag.Get("secret") == "true" {
			s.Value = mask(s.Value)
		}
		if f.Type == reflect.TypeFor[Pairs]() {
			s.Value = maskPairs(s.Value)
		}
		s.Value = shownAs(name, s.Value)
		out = append(out, s)
	}
	return out
}

// IsSet reports whether the environment or .env holds the setting.
func (c Config) IsSet(name string) bool {
	for _, s := range c.Settings {
		if s.Name == name {
			return s.Source != FromDefault && s.Source != Unset
		}
	}
	return false
}

// mask keeps what tells two secrets apart, and nothing of a short one.
func mask(secret string) string {
	if at := behind.FindStringIndex(secret); at != nil { // which would make a short one pass for a long one
		return mask(secret[:at[0]]) + " # …"
	}
	if len(secret) < 16 {
		return strings.Repeat("•", min(len(secret), 8))
	}
	return secret[:4] + "••••" + secret[len(secret)-2:]
}

// Hints say which settings have no effect, or not the one that their name promises.
func (c Config) Hints() []string {
	var hints []string
	hint := func(when bool, text string) {
		if when {
			hints = append(hints, text)
		}
	}
	hint(!c.EnableTracking && c.IsSet("OTEL_EXPORTER_OTLP_ENDPOINT"),
		"OTEL_EXPORTER_OTLP_ENDPOINT alone switches nothing on; set MLFLOW_ENABLE_TRACKING=true too.")
	hint(!c.EnableTracking && c.IsSet("MLFLOW_TRACKING_URI"),
		"MLFLOW_TRACKING_URI alone switches nothing on; set MLFLOW_ENABLE_TRACKING=true too. The worker sends to a Collector, which knows MLflow.")
	hint(c.EnableTracking && !c.EnableTracing && c.TracesSampler != "",
		"OTEL_TRACES_SAMPLER has no effect without MLFLOW_ENABLE_TRACING=true: runs are recorded for all jobs.")
	hint(c.OpenAIKey == "" && (c.OpenAIBaseURL != "" || c.IsSet("MODEL_STAGE_A") || c.IsSet("MODEL_STAGE_B")),
		"Without OPENAI_API_KEY the offline analyser is used; OPENAI_BASE_URL and MODEL_STAGE_A/B have no effect.")
	hint(c.PostsOnly(), NothingReceived+".")
	hint(c.SlackSigningSecret == "" && c.IsSet("SLACK_EVENTS_ADDR"),
		"SLACK_EVENTS_ADDR has no effect without SLACK_SIGNING_SECRET.")
	hint(c.ReceivesEvents() && c.SlackBotToken == "",
		"Without SLACK_BOT_TOKEN comments are not posted, and messages that were missed are not fetched.")
	hint(c.SlackBotToken == "" && c.FailureNotice != NoticeOff, "FAILURE_NOTICE has no effect without SLACK_BOT_TOKEN.")
	hint(c.DatabaseURL != "",
		"DATABASE_URL is set: jobs, queue and outbox are in "+c.DatabaseName()+", DB_PATH is not used.")
	hint(c.SlackBotToken != "",
		"serve posts to Slack; replay prints and never posts.")
	hint(!c.Redacts(),
		"REDACTION=off: secrets and addresses of people that pages and messages hold are recorded and logged as they are.")
	hint(!c.Redacts() && c.RedactionFile != "", "REDACTION_FILE has no effect with REDACTION=off.")
	return hints
}

// ReceivesEvents reports whether serve takes events from Slack.
func (c Config) ReceivesEvents() bool { return c.SlackAppToken != "" || c.SlackSigningSecret != "" }

// NothingReceived is what people are told of settings without ReceivesEvents.
const NothingReceived = "serve receives nothing from Slack without SLACK_APP_TOKEN (Socket Mode) or SLACK_SIGNING_SECRET (HTTP)"

// PostsOnly reports whether serve posts to Slack and receives nothing from it, which few want: somebody
// else has to make the jobs.
func (c Config) PostsOnly() bool { return c.SlackBotToken != "" && !c.ReceivesEvents() }

// Redacts reports whether texts are masked before they are recorded or logged.
func (c Config) Redacts() bool { return !strings.EqualFold(c.Redaction, "off") }

// ContentAllowed reports whether texts of pages, models and comments may enter telemetry.
func (c Config) ContentAllowed() bool {
	switch strings.ToUpper(c.CaptureContent) {
	case "NO_CONTENT", "FALSE":
		return false
	}
	return true
}

// IsSecret reports whether the value of a setting is a secret.
func IsSecret(name string) bool {
	for f := range reflect.TypeFor[Config]().Fields() {
		if f.Tag.Get("env") == name {
			return f.Tag.Get("secret") == "true"
		}
	}
	return looksSecret(name)
}
