package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// load reads settings from environment lines and the text of a .env file.
func load(t *testing.T, environ []string, dotenv string) (Config, []string, error) {
	t.Helper()
	dir := t.TempDir()
	if dotenv != "" {
		if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(dotenv), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, warnings, err := Load(Options{Environ: environ, Dir: dir})
	short := func(text string) string { return strings.ReplaceAll(text, dir+string(filepath.Separator), "") }
	var texts []string
	for _, w := range warnings {
		texts = append(texts, short(w.String()))
	}
	if err != nil {
		err = errors.New(short(err.Error()))
	}
	return cfg, texts, err
}

func TestDefaults(t *testing.T) {
	cfg, warnings, err := load(t, nil, "")
	if err != nil || len(warnings) > 0 {
		t.Fatalf("Load() = %v, %v", warnings, err)
	}
	if cfg.DBPath != "./db.sqlite" || cfg.MaxLinks != 3 || cfg.ModelA != "gpt-4o" || cfg.RetrievalTimeout != 15*time.Second ||
		cfg.EnableTracking || !cfg.Redacts() || cfg.OTLPEndpoint != "http://127.0.0.1:4317" || cfg.Experiment != "" {
		t.Errorf("unexpected defaults: %+v", cfg)
	}
	if cfg.ReceivesEvents() || cfg.SlackEventsAddr != "127.0.0.1:3000" || cfg.SlackAPIURL != "https://slack.com/api/" || len(cfg.Channels) != 0 ||
		cfg.LinkPolicy != "each" || cfg.LinkCooldown != 24*time.Hour || cfg.TrackNoURLs || cfg.ThreadReplies || cfg.BackfillMaxAge != 24*time.Hour {
		t.Errorf("unexpected defaults for Slack: %+v", cfg)
	}
	if cfg.IsSet("OTEL_EXPORTER_OTLP_ENDPOINT") {
		t.Error("a default counts as set")
	}
}

func TestCodeOfThePDFReaderIsKeptAmongTheUsersCaches(t *testing.T) {
	for want, environ := range map[string][]string{
		"/data/db.sqlite.pdf":                          {"DB_PATH=/data/db.sqlite"},
		"/people/x/.cache/technoshare-commentator/pdf": {"HOME=/people/x"},
		"/var/cache/x/technoshare-commentator/pdf":     {"HOME=/people/x", "XDG_CACHE_HOME=/var/cache/x"},
		"/h/.cache/technoshare-commentator/pdf":        {"HOME=/h", "XDG_CACHE_HOME=relative"},
		"/srv/pdf":                                     {"HOME=/people/x", "RETRIEVAL_PDF_CACHE=/srv/pdf"},
	} {
		cfg, _, err := load(t, environ, "")
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.PDFCachePath(); got != want {
			t.Errorf("%q: %s, want %s", environ, got, want)
		}
	}
}

func TestEnvironmentWinsOverFileAndFileOverDefault(t *testing.T) {
	cfg, _, err := load(t, []string{"MODEL_STAGE_A=from-env", "MODEL_STAGE_B="}, "MODEL_STAGE_A=from-file\nMODEL_STAGE_B=from-file\n")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.ModelA != "from-env" || cfg.ModelB != "from-file" {
		t.Errorf("models = %q, %q; an empty variable must count as unset", cfg.ModelA, cfg.ModelB)
	}
	source := map[string]Source{}
	for _, s := range cfg.Settings {
		source[s.Name] = s.Source
	}
	if source["MODEL_STAGE_A"] != FromEnvironment || source["MODEL_STAGE_B"] != FromFile || source["DB_PATH"] != FromDefault || source["OPENAI_API_KEY"] != Unset {
		t.Errorf("sources = %v", source)
	}
}

func TestWrongValuesAreJoinedAndNameKeyAndRemedy(t *testing.T) {
	_, _, err := load(t, []string{
		"MLFLOW_ENABLE_TRACKING=yes", "RETRIEVAL_TIMEOUT=15", "LOG_LEVEL=LOUD", "OTEL_EXPORTER_OTLP_HEADERS=hush",
	}, "RETRIEVAL_MAX_BYTES=big\n")
	want := []string{
		`MLFLOW_ENABLE_TRACKING: "yes" is neither true nor false; write one of them`,
		`RETRIEVAL_TIMEOUT: "15" is not a duration; write for instance 15s or 2m`,
		`LOG_LEVEL: "LOUD" is not a log level; use DEBUG, INFO, WARN or ERROR`,
		`OTEL_EXPORTER_OTLP_HEADERS: the value is not a list key=value,key=value with percent-encoded values`,
		`.env:1: RETRIEVAL_MAX_BYTES: "big" is not a whole number of bytes; write for instance 5242880`,
	}
	checkLines(t, err, want)
}

// Whatever is wrong with a value, of which kind it is and whoever notices, the line is named.
func TestProblemsOfAFileNameTheLine(t *testing.T) {
	_, warnings, err := load(t, []string{"LINK_POLICY=last"}, strings.Join([]string{
		"MLFLOW_ENABLE_TRACKING=no", "OUTBOX_MAX_BYTES=1GB", "export MODEL_MAX_TOKENS=many", "MODEL_TEMPERATURE=warm", "LOG_LEVEL=verbose", "# note",
		"RETRIEVAL_TIMEOUT=soon", "LINK_COOLDOWN=-1s", "LINK_POLICY=overruled", "METRICS_ADDR=9465", "SLACK_SIGNING_SECRET = x",
		"OTEL_EXPORTER_OTLP_HEADERS=hush4hush", "OTEL_TRACES_SAMPLER=jaeger_remote", "OTEL_TRACES_SAMPLER_ARG=endpoint=ftp://h",
		"COMMENTATOR_PROFILE=../..", "FAVOURITE_COLOUR=red", "TECHNOSHARE_CHANNEL_ID=x", "TECHNOSHARE_CHANNEL_ID=general", "",
	}, "\n"))
	checkLines(t, err, []string{
		`.env:1: MLFLOW_ENABLE_TRACKING: "no" is neither true nor false; write one of them`,
		`.env:2: OUTBOX_MAX_BYTES: "1GB" is not a whole number of bytes; write for instance 1073741824`,
		`.env:3: MODEL_MAX_TOKENS: "many" is not a whole number; write for instance 1000`,
		`.env:4: MODEL_TEMPERATURE: "warm" is not a number; write for instance 0.2`,
		`.env:5: LOG_LEVEL: "verbose" is not a log level; use DEBUG, INFO, WARN or ERROR`,
		`.env:7: RETRIEVAL_TIMEOUT: "soon" is not a duration; write for instance 15s or 2m`,
		`.env:8: LINK_COOLDOWN: -1s is negative; use 0 or more`,
		`LINK_POLICY: "last" is not known; use each or first`, // of the environment
		`.env:10: METRICS_ADDR: "9465" is not host:port; use for instance 127.0.0.1:9465`,
		`.env:11: SLACK_SIGNING_SECRET has spaces around =; write SLACK_SIGNING_SECRET=…`,
		`.env:12: OTEL_EXPORTER_OTLP_HEADERS: the value is not a list key=value,key=value with percent-encoded values`,
		`.env:14: OTEL_TRACES_SAMPLER_ARG: endpoint="ftp://h" is not an address; write http://host:5778/sampling`,
		`.env:15: COMMENTATOR_PROFILE: "../.." is no name of a profile; use letters, digits, - and _`,
	})
	if diff := cmp.Diff([]string{
		".env:18: TECHNOSHARE_CHANNEL_ID is already set in line 17; the last one wins, remove the other",
		".env:16: FAVOURITE_COLOUR is not a setting and has no effect; `commentator config` lists all settings",
		`.env:18: TECHNOSHARE_CHANNEL_ID: "general" does not look like the id of a channel, such as C0123456789; Slack shows it at the bottom of the channel's details`,
	}, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestOutOfRangeValuesAreJoined(t *testing.T) {
	_, _, err := load(t, []string{
		"MAX_LINKS_PER_MESSAGE=0", "RETRIEVAL_TIMEOUT=0s", "RETRIEVAL_MAX_BYTES=1", "RETRIEVAL_ALLOW_HOSTS=loopback,10.0.0.0/40",
		"OPENAI_BASE_URL=ftp://x/", "OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4317", "OTEL_TRACES_EXPORTER=jaeger",
		"OTEL_TRACES_SAMPLER=sometimes", "OTEL_TRACES_SAMPLER_ARG=NaN", "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=perhaps",
		"LINK_POLICY=last", "LINK_COOLDOWN=-1s", "BACKFILL_MAX_AGE=-1h", "SLACK_EVENTS_ADDR=3000", "SLACK_API_URL=http://127.0.0.1:1/api", "MODEL_MAX_TOKENS=0",
		"REDACTION=false", "OUTBOX_MAX_BYTES=1000", "OUTBOX_MAX_AGE=0s", "OUTBOX_KEEP_SENT=-1h",
		"FAILURE_NOTICE=loud", "FAILURE_REACTION=:warning:",
	}, "")
	checkLines(t, err, []string{
		`MAX_LINKS_PER_MESSAGE: 0 would ignore every link; use 1 or more`,
		`LINK_POLICY: "last" is not known; use each or first`,
		`LINK_COOLDOWN: -1s is negative; use 0 or more`,
		`BACKFILL_MAX_AGE: -1h0m0s is negative; use 0 or more`,
		`SLACK_EVENTS_ADDR: "3000" is not host:port; write for instance 127.0.0.1:3000`,
		`SLACK_API_URL: "http://127.0.0.1:1/api" does not end in a slash; write http://127.0.0.1:1/api/`,
		`MODEL_MAX_TOKENS: 0 leaves no room for an answer; use a number above 0, or leave it unset`,
		`RETRIEVAL_TIMEOUT: 0s leaves no time; use for instance 15s`,
		`RETRIEVAL_MAX_BYTES: 1 bytes hold no page; use 1024 or more`,
		`RETRIEVAL_ALLOW_HOSTS: "10.0.0.0/40" is neither loopback, nor an address block such as 10.1.0.0/16, nor a host, nor host:port`,
		`OUTBOX_MAX_BYTES: 1000 bytes may be too few for two messages; use 16777216 or more`,
		`FAILURE_NOTICE: "loud" is not supported; use off, reaction or reply`,
		`FAILURE_REACTION: ":warning:" is no name of an emoji; write it as Slack shows it, without colons, such as warning`,
		`OUTBOX_MAX_AGE: 0s would give up everything at once; use for instance 720h`,
		`OUTBOX_KEEP_SENT: -1h0m0s is negative; use 0 or more`,
		`OPENAI_BASE_URL: "ftp://x/" is not an http or https address; write http://host:port or https://host:port`,
		`OTEL_EXPORTER_OTLP_ENDPOINT: "localhost:4317" is not an http or https address; write http://localhost:4317`,
		`OTEL_TRACES_EXPORTER: "jaeger" is not supported; use otlp or none`,
		`OTEL_TRACES_SAMPLER: "sometimes" is not a sampler; use one of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio, jaeger_remote, parentbased_jaeger_remote`,
		`OTEL_TRACES_SAMPLER_ARG: "NaN" is not a ratio; use a number from 0 to 1`,
		`REDACTION: "false" is not known; use on or off`,
		`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: "perhaps" is not known; use true, false, or one of NO_CONTENT, SPAN_ONLY, EVENT_ONLY, SPAN_AND_EVENT`,
	})
}

// What telemetry would refuse when a job starts is refused here.
func TestArgumentOfTheRemoteSamplerIsChecked(t *testing.T) {
	_, _, err := load(t, []string{"OTEL_TRACES_SAMPLER=jaeger_remote", "OTEL_TRACES_SAMPLER_ARG=endpoint=ftp://h"}, "")
	checkLines(t, err, []string{`OTEL_TRACES_SAMPLER_ARG: endpoint="ftp://h" is not an address; write http://host:5778/sampling`})
	for _, arg := range []string{"", "endpoint=http://h:5778/sampling,pollingIntervalMs=500,initialSamplingRate=0"} {
		if _, _, err := load(t, []string{"OTEL_TRACES_SAMPLER=parentbased_jaeger_remote", "OTEL_TRACES_SAMPLER_ARG=" + arg}, ""); err != nil {
			t.Errorf("%q: %v", arg, err)
		}
	}
}

func TestDatabaseURLWinsAndIsASecret(t *testing.T) {
	cfg, _, err := load(t, []string{"DB_PATH=./x.sqlite", "DATABASE_URL=postgres://me:hush%2Fhush@db.example:5433/jobs?password=hush&search_path=x"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Database() != cfg.DatabaseURL || cfg.DatabaseName() != "postgres://db.example:5433/jobs" {
		t.Errorf("database %q, named %q", cfg.Database(), cfg.DatabaseName())
	}
	if cfg.SamplingPath() != "./x.sqlite.sampling.yaml" {
		t.Errorf("sampling file %s", cfg.SamplingPath())
	}
	shown := strings.Join(cfg.Hints(), "\n")
	for _, s := range cfg.Settings {
		shown += s.Value + "\n"
	}
	if strings.Contains(shown, "hush") || !strings.Contains(shown, "postgres://db.example:5433/jobs, DB_PATH is not used") {
		t.Errorf("shown is %s", shown)
	}
	if cfg, _, err := load(t, []string{"DB_PATH=./x.sqlite"}, ""); cfg.Database() != "./x.sqlite" || cfg.DatabaseName() != "./x.sqlite" || err != nil {
		t.Errorf("without it: %q, %v", cfg.Database(), err)
	}
}

func TestWrongDatabaseURLsAreRefusedWithoutTheirPassword(t *testing.T) {
	const remedy = "; write postgres://host:5432/database with user:password@ before the host, or leave it unset for a SQLite file"
	for value, want := range map[string]string{
		"postgresql+psycopg2://u:hush@h/d": "the value names a driver of Python",
		"mysql://u:hush@h/d":               "the value is not the address of a PostgreSQL database",
		"host=h password=hush":             "the value is not the address of a PostgreSQL database",
		"postgres://u:hush@h":              "the value names no database",
		"postgres://u:hu%sh@h/d":           "the value is no address; percent-encode what is special in user and password",
	} {
		_, _, err := load(t, []string{"DATABASE_URL=" + value}, "")
		if err == nil || err.Error() != "DATABASE_URL: "+want+remedy {
			t.Errorf("%s: %v", value, err)
		}
	}
	for _, value := range []string{"postgres://u:p@h/d", "postgresql://h:5432/d?sslmode=require", "postgres:///d?host=/run/postgresql"} {
		if _, _, err := load(t, []string{"DATABASE_URL=" + value}, ""); err != nil {
			t.Errorf("%s: %v", value, err)
		}
	}
}

func checkLines(t *testing.T, err error, want []string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	got := strings.Split(err.Error(), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestMisspeltNamesAreWarnedAbout(t *testing.T) {
	tests := []struct {
		name    string
		environ []string
		dotenv  string
		want    []string
	}{
		{
			name: "in the file", dotenv: "MLFLOW_ENABLE_TRACKIN=true\n",
			want: []string{".env:1: MLFLOW_ENABLE_TRACKIN is not a setting and has no effect; did you mean MLFLOW_ENABLE_TRACKING?"},
		},
		{
			name: "case", dotenv: "db_path=x\n",
			want: []string{".env:1: db_path is not a setting and has no effect; did you mean DB_PATH?"},
		},
		{
			name: "unknown in the file", dotenv: "FAVOURITE_COLOUR=red\n",
			want: []string{".env:1: FAVOURITE_COLOUR is not a setting and has no effect; `commentator config` lists all settings"},
		},
		{
			name: "in the environment", environ: []string{"SLACK_BOT_TOKN=x", "OTEL_SDK_DISABLE=true"},
			want: []string{
				"environment: OTEL_SDK_DISABLE is not a setting and has no effect; did you mean OTEL_SDK_DISABLED?",
				"environment: SLACK_BOT_TOKN is not a setting and has no effect; did you mean SLACK_BOT_TOKEN?",
			},
		},
		{
			name: "our prefix in the environment", environ: []string{"RETRIEVAL_COLOUR=x"},
			want: []string{"environment: RETRIEVAL_COLOUR is not a setting and has no effect; `commentator config` lists all settings"},
		},
		{
			name: "of others", environ: []string{"HOME=/", "PATH=/bin", "LANG=C", "OTEL_BSP_SCHEDULE_DELAY=1", "MLFLOW_SERVER_ENV=1"},
			dotenv: "MLFLOW_PORT=5001\nSLACK_SIGNING_SECRET=x\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, got, err := load(t, tt.environ, tt.dotenv)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSecretsAreMasked(t *testing.T) {
	cfg, _, err := load(t, []string{
		"OPENAI_API_KEY=sk-proj-abcdefghijklmnop", "SLACK_BOT_TOKEN=xoxb-1", "SLACK_APP_TOKEN=xapp-1-hushhush", "SLACK_SIGNING_SECRET=hushhush", "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20hushhush",
		"OPENAI_BASE_URL=http://user:hushhush@host/v1",
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.OTLPHeaders["authorization"] != "Bearer hushhush" {
		t.Errorf("headers = %v", cfg.OTLPHeaders)
	}
	for _, s := range cfg.Settings {
		if strings.Contains(s.Value, "hushhush") || strings.Contains(s.Value, "abcdefghijklmn") || strings.Contains(s.Value, "xoxb-1") {
			t.Errorf("%s shows %q", s.Name, s.Value)
		}
	}
}

// A secret in the place of something else is shown nowhere, and redaction of what is recorded has no
// say in it.
func TestSecretsInWrongPlacesAreMasked(t *testing.T) {
	const hush = "hush4hush4hush4hush4"
	for _, line := range []string{
		"OPENAI_BASE_URL=https://h/v1?api_key=" + hush,
		"OPENAI_BASE_URL=h/v1?api_key=" + hush,
		"OPENAI_BASE_URL=user:" + hush + "@h/v1",
		"OPENAI_BASE_URL=https://user:1/" + hush + "@h/v1",
		"OPENAI_BASE_URL=https://" + hush + "@h/v1",
		"SLACK_API_URL=https://h/api/?token=" + hush,
		"MLFLOW_TRACKING_URI=http://h:5000?token=" + hush,
		"MLFLOW_BACKEND_STORE=postgresql://u:" + hush + "@h/d",
		"OTEL_RESOURCE_ATTRIBUTES=api.token=" + hush + ",team=a",
		"OTEL_RESOURCE_ATTRIBUTES=api.token " + hush,
		"TECHNOSHARE_CHANNEL_ID=xoxb-" + hush,
		"MLFLOW_ENABLE_TRACKING=xoxb-" + hush,
		"COMMENTATOR_PROFILE=ghp_" + hush + "!",
		"MY_PASS = " + hush,
		"MY_DSN = https://" + hush + "@h/1",
		"DATABASE_URL = postgres://u:" + hush + "@h/d",
		"SLACK_SIGNING_SECRET = " + hush,
	} {
		cfg, warnings, err := load(t, []string{"REDACTION=off"}, line+"\n")
		said := fmt.Sprint(warnings, err, cfg.Settings)
		if strings.Contains(said, hush) {
			t.Errorf("%s: %s", line, said)
		}
	}
}

// Whoever prints an error masks it, and what is left of it has to be of use.
func TestRemediesHoldNothingThatIsMasked(t *testing.T) {
	for _, line := range []string{
		"DATABASE_URL=mysql://h/d", "DATABASE_URL=postgres://h", "OPENAI_BASE_URL=h:80", "SLACK_API_URL=http://h/api", "OTEL_EXPORTER_OTLP_HEADERS=x",
		"SLACK_BOT_TOKEN = xoxb-1", "MY_PASS = hunter2xyz", "DATABASE_URL = postgres://u:p@h/d", "TECHNOSHARE_CHANNEL_ID=general",
		"METRICS_ADDR=0.0.0.0:9464", "SLACK_APP_TOKEN=xoxb-1", "FAILURE_REACTION=:x:", "RETRIEVAL_ALLOW_HOSTS=10.0.0.0/40",
	} {
		_, warnings, err := load(t, nil, line+"\n")
		said := fmt.Sprint(warnings, err)
		if strings.Contains(said, "REDACTED") || strings.Contains(said, "[redacted:") {
			t.Errorf("%s: %s", line, said)
		}
	}
}

func TestRedactionIsSwitchedOffOnPurposeOnly(t *testing.T) {
	cfg, _, err := load(t, []string{"REDACTION=off", "REDACTION_FILE=rules.yaml"}, "")
	if err != nil || cfg.Redacts() || cfg.RedactionFile != "rules.yaml" {
		t.Errorf("Redacts() = %v, %v", cfg.Redacts(), err)
	}
	if hints := strings.Join(cfg.Hints(), "\n"); !strings.Contains(hints, "as they are") || !strings.Contains(hints, "REDACTION_FILE has no effect") {
		t.Errorf("hints are %s", hints)
	}
	if !(Config{}).Redacts() {
		t.Error("a Config that was not read does not redact")
	}
}

func TestPythonLogLevels(t *testing.T) {
	cfg, _, err := load(t, []string{"LOG_LEVEL=WARNING"}, "")
	if err != nil || cfg.LogLevel.Level().String() != "WARN" {
		t.Errorf("level %v, %v", cfg.LogLevel.Level(), err)
	}
}

func TestChannelsAreAListAndTheirNamesAreWarnedAbout(t *testing.T) {
	cfg, warnings, err := load(t, []string{"TECHNOSHARE_CHANNEL_ID=C0123456789, #general"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(List{"C0123456789", "#general"}, cfg.Channels); diff != "" {
		t.Errorf("channels (-want +got):\n%s", diff)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], `"#general" does not look like the id of a channel`) {
		t.Errorf("warnings %v", warnings)
	}
	cfg, warnings, err = load(t, nil, "TECHNOSHARE_CHANNEL_ID=#general\n")
	if err != nil || len(cfg.Channels) != 1 || !strings.Contains(strings.Join(warnings, "\n"), `"#general" does not look like the id of a channel`) {
		t.Errorf("in .env: channels %v, warnings %v, %v", cfg.Channels, warnings, err)
	}
}

func TestTokensOfAnotherKindAreWarnedAbout(t *testing.T) {
	_, warnings, err := load(t, []string{"SLACK_APP_TOKEN=xoxb-1"}, "")
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "starts with xapp-") {
		t.Errorf("warnings %v, %v", warnings, err)
	}
}
