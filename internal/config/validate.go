package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/technoshare/commentator/internal/telemetry"
)

// problems turns the parser's errors into sentences that name the setting and the remedy,
// and returns the names of the settings that could not be read.
func (c Config) problems(err error, values map[string]string) (unread []string, _ error) {
	if err == nil {
		return nil, nil
	}
	var all env.AggregateError
	if !errors.As(err, &all) {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	var out []error
	for _, one := range all.Errors {
		var parse env.ParseError
		field, found := reflect.StructField{}, false
		if errors.As(one, &parse) {
			field, found = reflect.TypeFor[Config]().FieldByName(parse.Name)
		}
		if !found {
			out = append(out, fmt.Errorf("read settings: %w", one))
			continue
		}
		key := field.Tag.Get("env")
		shown := strconv.Quote(values[key])
		if field.Tag.Get("secret") == "true" || field.Type == reflect.TypeFor[Pairs]() { // in pieces it is not known for one
			shown = "the value"
		}
		unread = append(unread, key)
		out = append(out, fmt.Errorf("%s: %s is %s", c.At(key), shown, unlike(field)))
	}
	return unread, errors.Join(out...)
}

// unlike says what the value of a setting is not, and what to write.
func unlike(f reflect.StructField) string {
	switch f.Type {
	case reflect.TypeFor[bool]():
		return "neither true nor false; write one of them"
	case reflect.TypeFor[int](), reflect.TypeFor[int64]():
		what := "not a whole number"
		if strings.HasSuffix(f.Tag.Get("env"), "_BYTES") {
			what += " of bytes"
		}
		return what + "; write for instance " + cmp.Or(f.Tag.Get("envDefault"), "1000")
	case reflect.TypeFor[*float64]():
		return "not a number; write for instance 0.2"
	case reflect.TypeFor[time.Duration]():
		return "not a duration; write for instance 15s or 2m"
	case reflect.TypeFor[Level]():
		return "not a log level; use DEBUG, INFO, WARN or ERROR"
	case reflect.TypeFor[Pairs]():
		return "not a list key=value,key=value with percent-encoded values"
	}
	return "not a " + f.Type.String()
}

var samplers = []string{
	"always_on", "always_off", "traceidratio",
	"parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
	"jaeger_remote", "parentbased_jaeger_remote",
}

var captureModes = []string{"NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT", "TRUE", "FALSE"}

// validate checks what types can't say, but for the settings that could not be read. It
// joins all problems. The values are all that environment and files hold.
func (c Config) validate(values map[string]string, unread []string) ([]Warning, error) {
	wrong := map[string][]error{} // by setting
	var warnings []Warning
	no := func(key, format string, args ...any) {
		if !slices.Contains(unread, key) {
			wrong[key] = append(wrong[key], fmt.Errorf("%s: %s", c.At(key), fmt.Sprintf(format, args...)))
		}
	}
	warn := func(key, format string, args ...any) {
		warnings = append(warnings, Warning{key, c.At(key) + ": " + fmt.Sprintf(format, args...)})
	}

	if c.MaxLinks < 1 {
		no("MAX_LINKS_PER_MESSAGE", "%d would ignore every link; use 1 or more", c.MaxLinks)
	}
	if t := c.ModelTemperature; t != nil && !(*t >= 0 && *t <= 2) {
		no("MODEL_TEMPERATURE", "%v is out of range; use a number from 0 to 2", *t)
	}
	if values["MODEL_MAX_TOKENS"] != "" && c.ModelMaxTokens < 1 {
		no("MODEL_MAX_TOKENS", "%d leaves no room for an answer; use a number above 0, or leave it unset", c.ModelMaxTokens)
	}
	if c.RetrievalMaxBytes < 1024 {
		no("RETRIEVAL_MAX_BYTES", "%d bytes hold no page; use 1024 or more", c.RetrievalMaxBytes)
	}
	if c.RetrievalTimeout <= 0 {
		no("RETRIEVAL_TIMEOUT", "%s leaves no time; use for instance 15s", c.RetrievalTimeout)
	}
	if c.OutboxMaxBytes < 16<<20 {
		no("OUTBOX_MAX_BYTES", "%d bytes may be too few for two messages; use 16777216 or more", c.OutboxMaxBytes)
	}
	if c.OutboxMaxAge <= 0 {
		no("OUTBOX_MAX_AGE", "%s would give up everything at once; use for instance 720h", c.OutboxMaxAge)
	}
	if c.OutboxKeepSent < 0 {
		no("OUTBOX_KEEP_SENT", "%s is negative; use 0 or more", c.OutboxKeepSent)
	}
	c.validateService(no, warn)
	c.validateExport(values, warn)
	c.validateExperiments(no)
	c.validateAddresses(no)
	c.validateSlack(no, warn)
	c.validateTelemetry(no, warn)
	if !slices.Contains([]string{"on", "off"}, strings.ToLower(c.Redaction)) {
		no("REDACTION", "%q is not known; use on or off", c.Redaction)
	}
	var sorted []error
	for _, key := range slices.Sorted(maps.Keys(wrong)) {
		sorted = append(sorted, wrong[key]...)
	}
	return warnings, errors.Join(sorted...)
}

func (c Config) validateAddresses(no func(key, format string, args ...any)) {
	for _, host := range c.RetrievalAllow {
		if !validAllow(strings.TrimSpace(host)) {
			no("RETRIEVAL_ALLOW_HOSTS", "%q is neither loopback, nor an address block such as 10.1.0.0/16, nor a host, nor host:port", host)
		}
	}
	for key, address := range map[string]string{
		"SLACK_WORKSPACE_URL": c.SlackURL, "SLACK_API_URL": c.SlackAPIURL, "OPENAI_BASE_URL": c.OpenAIBaseURL, "MLFLOW_TRACKING_URI": c.TrackingURI, "OTEL_EXPORTER_OTLP_ENDPOINT": c.OTLPEndpoint,
	} {
		if address == "" {
			continue
		}
		u, err := url.Parse(address)
		if err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") {
			if !reachablePort(u.Port()) {
				no(key, "%s is no port; use 1 to 65535", u.Port())
			}
			continue
		}
		remedy := "write http://host:port or https://host:port"
		if err == nil && !strings.Contains(address, "//") || err != nil && validAllow(address) {
			remedy = "write http://" + address
			if shownAddress(address) != address {
				remedy = "write http:// before it"
			}
		}
		no(key, "%q is not an http or https address; %s", shownAddress(address), remedy)
	}
	if wrong := wrongDatabase(c.DatabaseURL); wrong != "" { // without the value, which holds a password
		no("DATABASE_URL", "%s; write postgres://host:5432/database with user:password@ before the host, or leave it unset for a SQLite file", wrong)
	}
}

func (c Config) validateSlack(no, warn func(key, format string, args ...any)) {
	if c.SlackBotToken != "" && !strings.HasPrefix(c.SlackBotToken, "xoxb-") {
		warn("SLACK_BOT_TOKEN", "a bot token starts with xoxb-; Slack will refuse another kind")
	}
	if c.SlackAppToken != "" && !strings.HasPrefix(c.SlackAppToken, "xapp-") {
		warn("SLACK_APP_TOKEN", "an app-level token starts with xapp-; Slack will refuse another kind")
	}
	if _, port, err := net.SplitHostPort(c.SlackEventsAddr); err != nil || !validPort(port) {
		no("SLACK_EVENTS_ADDR", "%q is not host:port; write for instance 127.0.0.1:3000", c.SlackEventsAddr)
	}
	if strings.ContainsAny(c.SlackAPIURL, "?#") {
		no("SLACK_API_URL", "%q has a query or a fragment, and the names of methods are put behind it; remove what begins with ? or #", shownAddress(c.SlackAPIURL))
	} else if !strings.HasSuffix(c.SlackAPIURL, "/") {
		remedy := "write " + c.SlackAPIURL + "/"
		if shownAddress(c.SlackAPIURL) != c.SlackAPIURL {
			remedy = "write one behind its path"
		}
		no("SLACK_API_URL", "%q does not end in a slash; %s", shownAddress(c.SlackAPIURL), remedy)
	}
	for _, id := range c.Channels {
		if !channelID.MatchString(id) {
			warn("TECHNOSHARE_CHANNEL_ID", "%q does not look like the id of a channel, such as C0123456789; Slack shows it at the bottom of the channel's details", id)
		}
	}
	if !slices.Contains([]string{"each", "first"}, c.LinkPolicy) {
		no("LINK_POLICY", "%q is not known; use each or first", c.LinkPolicy)
	}
	if c.LinkCooldown < 0 {
		no("LINK_COOLDOWN", "%s is negative; use 0 or more", c.LinkCooldown)
	}
	if c.BackfillMaxAge < 0 {
		no("BACKFILL_MAX_AGE", "%s is negative; use 0 or more", c.BackfillMaxAge)
	}
	if !slices.Contains([]string{NoticeOff, NoticeReaction, NoticeReply}, c.FailureNotice) {
		no("FAILURE_NOTICE", "%q is not supported; use off, reaction or reply", c.FailureNotice)
	}
	if !emojiName.MatchString(c.FailureReaction) {
		no("FAILURE_REACTION", "%q is no name of an emoji; write it as Slack shows it, without colons, such as warning", c.FailureReaction)
	}
}

func (c Config) validateTelemetry(no, warn func(key, format string, args ...any)) {
	if !slices.Contains([]string{"otlp", "none"}, c.TracesExporter) {
		no("OTEL_TRACES_EXPORTER", "%q is not supported; use otlp or none", c.TracesExporter)
	}
	if c.TracesSampler != "" && !slices.Contains(samplers, c.TracesSampler) {
		no("OTEL_TRACES_SAMPLER", "%q is not a sampler; use one of %s", c.TracesSampler, strings.Join(samplers, ", "))
	}
	if strings.HasSuffix(c.TracesSampler, "jaeger_remote") {
		if _, _, err := telemetry.ResolveSampler(c.TracesSampler, c.TracesSamplerArg); err != nil {
			const key = "OTEL_TRACES_SAMPLER_ARG"
			no(key, "%s", strings.TrimPrefix(err.Error(), key+": "))
		}
	} else if c.TracesSamplerArg != "" {
		ratio, err := strconv.ParseFloat(c.TracesSamplerArg, 64)
		if err != nil || !(ratio >= 0 && ratio <= 1) {
			no("OTEL_TRACES_SAMPLER_ARG", "%q is not a ratio; use a number from 0 to 1", c.TracesSamplerArg)
		} else if !strings.HasSuffix(c.TracesSampler, "traceidratio") {
			warn("OTEL_TRACES_SAMPLER_ARG", "it has no effect without OTEL_TRACES_SAMPLER=traceidratio")
		}
	}
	if !slices.Contains(captureModes, strings.ToUpper(c.CaptureContent)) {
		no("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "%q is not known; use true, false, or one of %s",
			c.CaptureContent, strings.Join(captureModes[:4], ", "))
	}
}

// emojiName matches the names that Slack gives and takes, with a skin tone.
var emojiName = regexp.MustCompile(`^[\p{L}\p{N}_+'-]+(::skin-tone-[2-6])?$`)

// wrongDatabase says why an address is none of a PostgreSQL database; empty: it is one, or none
// is given.
func wrongDatabase(address string) string {
	if address == "" {
		return ""
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return "the value is no address; percent-encode what is special in user and password"
	case strings.HasPrefix(u.Scheme, "postgresql+"):
		return "the value names a driver of Python"
	case u.Scheme != "postgres" && u.Scheme != "postgresql":
		return "the value is not the address of a PostgreSQL database"
	case strings.Trim(u.Path, "/") == "":
		return "the value names no database"
	}
	return ""
}

func validAllow(entry string) bool {
	if _, err := netip.ParsePrefix(entry); err == nil {
		return true
	}
	if _, err := netip.ParseAddr(entry); err == nil {
		return true
	}
	host, port, err := net.SplitHostPort(entry)
	if err != nil {
		return hostName.MatchString(entry)
	}
	n, err := strconv.Atoi(port)
	_, addrErr := netip.ParseAddr(host)
	return err == nil && n > 0 && n < 65536 && (addrErr == nil || hostName.MatchString(host))
}

// validPort: 0 lets the system choose one.
func validPort(port string) bool {
	n, err := strconv.Atoi(port)
	return err == nil && n >= 0 && n < 65536
}

// reachablePort: of an address that is connected to. Empty is the default of the scheme.
func reachablePort(port string) bool {
	n, err := strconv.Atoi(port)
	return port == "" || err == nil && n > 0 && n < 65536
}

var channelID = regexp.MustCompile(`^[CGD][A-Z0-9]{6,}$`)

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)
