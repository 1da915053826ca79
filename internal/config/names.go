package config

//go:generate go run ./configgen

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// elsewhere names settings that may stand in the same .env or environment but are read by
// others: the start script of MLflow, the Collector, MLflow's clients, or the old deployment.
var elsewhere = []string{
	"MLFLOW_HOST", "MLFLOW_PORT", "MLFLOW_STATE_DIR",
	"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN",
	"MLFLOW_TRACKING_INSECURE_TLS", "MLFLOW_S3_ENDPOINT_URL", "MLFLOW_UI_URL",
	"OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER", "OTEL_PROPAGATORS", "OTEL_LOG_LEVEL",
	"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_CERTIFICATE",
	"OTELCOL_GRPC_ENDPOINT", "OTELCOL_HTTP_ENDPOINT", "OTELCOL_REPLAY_ENDPOINT", "OTELCOL_HEALTH_ENDPOINT",
	"OTELCOL_STATUS_ENDPOINT", "OTELCOL_PROMETHEUS_ENDPOINT", "OTELCOL_METRICS_PORT", "OTELCOL_DATA_DIR",
	"OTELCOL_SAMPLING_FILE", "OTELCOL_SAMPLING_ENDPOINT", // of otel-config/remote-sampling.yaml
	"OTLP_BACKEND", // of other files there
	"DEMO_WAIT", "DEMO_EXTRA_EVENT",
}

// ourPrefixes mark names in the environment that were most likely meant for us. OTEL_ and
// MLFLOW_ are not among them: other programs have hundreds of such names.
var ourPrefixes = []string{"SLACK_", "MODEL_STAGE", "RETRIEVAL_", "REDACTION", "TECHNOSHARE_", "MLFLOW_ENABLE_", "LINK_", "BACKFILL_", "FAILURE_"}

// Names lists the settings in the order of Config.
func Names() []string {
	var names []string
	for f := range reflect.TypeFor[Config]().Fields() {
		if name := f.Tag.Get("env"); name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// strangers warns about names that no setting has. .env is ours, so each unknown name in
// it is worth a word; in the environment only one that looks like ours is.
func strangers(environ map[string]string, file files) []Warning {
	names := Names()
	known := slices.Concat(names, elsewhere)
	var warnings []Warning
	warn := func(place, key string, always bool) {
		if slices.Contains(known, key) {
			return
		}
		near := nearest(key, known)
		switch {
		case near != "":
			warnings = append(warnings, Warning{key, fmt.Sprintf(
				"%s: %s is not a setting and has no effect; did you mean %s?", place, key, near)})
		case always || slices.ContainsFunc(ourPrefixes, func(p string) bool { return strings.HasPrefix(key, p) }):
			warnings = append(warnings, Warning{key, fmt.Sprintf(
				"%s: %s is not a setting and has no effect; `commentator config` lists all settings", place, key)})
		}
	}
	for _, key := range sortedKeys(environ) {
		warn("environment", key, false)
	}
	for _, key := range sortedKeys(file.values) {
		warn(file.places[key], key, true)
	}
	return warnings
}

// nearest returns the setting whose name differs from key by at most two letters (one in
// seven), or differs only in case, and "" when there is none.
func nearest(key string, names []string) string {
	best, bestDistance := "", max(1, min(3, len(key)/7))+1
	for _, name := range names {
		if d := distance(strings.ToUpper(key), name); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j+1]+1, row[j]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func splitList(s string) []string {
	var items []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

func cutTrimmed(item string) (key, value string, found bool) {
	key, value, found = strings.Cut(item, "=")
	return strings.TrimSpace(key), strings.TrimSpace(value), found
}
