package main

import (
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// hintFor says what to do about the errors that people meet first.
func hintFor(err error, getenv func(string) string) string {
	text := err.Error()
	switch {
	case errors.Is(err, syscall.EADDRINUSE) || containsAny(text, "address already in use"):
		return "hint: another program uses this address, perhaps another otelcol-mlflow. Stop it, or choose another with " +
			strings.Join(addressVariables[:len(addressVariables)-1], ", ") + " or " + addressVariables[len(addressVariables)-1] + "."
	case isWrongPort(text):
		if wrong := wrongAddresses(getenv); wrong != nil {
			return "hint: " + wrong.Error() + "."
		}
	case containsAny(text, "missing port in address", "too many colons in address", "invalid port", "unknown port"):
		if wrong := errors.Join(wrongAddresses(getenv), wrongOthers(getenv)); wrong != nil {
			return "hint: " + wrong.Error() + "."
		}
		return "hint: an address of the configuration is host:port, such as 127.0.0.1:4317, with a port up to 65535."
	case wrongSetting(text, getenv) != "":
		return "hint: " + wrongSetting(text, getenv) + " has this value, in the environment or in .env."
	case strings.Contains(text, "read strategies"):
		return "hint: OTELCOL_SAMPLING_FILE names the file of strategies of otel-config/remote-sampling.yaml, such as otel-config/sampling-strategies.json; without it ./sampling-strategies.json of the working directory is read."
	case errors.Is(err, fs.ErrPermission) || containsAny(text, "permission denied", "read-only file system", "is not a directory"):
		return "hint: the data directory must be writable. Choose another with OTELCOL_DATA_DIR."
	case containsAny(text, "file_storage", "dead_letter_directory") &&
		containsAny(text, "no such file or directory", "not a directory"):
		return "hint: the data directory cannot be made there: what is above it must be a directory. Choose another with OTELCOL_DATA_DIR."
	case strings.Contains(text, "file_storage") && strings.Contains(text, "timeout"):
		return "hint: another otelcol-mlflow uses the same data directory. Stop it, or choose another directory with OTELCOL_DATA_DIR."
	}
	return ""
}

// wrongSetting is the variable with the value that the exporter refuses under a name of its own; empty: it
// is none of these.
func wrongSetting(text string, getenv func(string) string) string {
	for _, s := range []struct{ key, variable string }{
		{"experiment", "MLFLOW_EXPERIMENT_NAME"}, {"ui_url", "MLFLOW_UI_URL"}, {"endpoint", "MLFLOW_TRACKING_URI"},
	} {
		value := getenv(s.variable)
		// Of an address with credentials not all is said.
		if value != "" && strings.Contains(text, "`"+s.key+"`") && (strings.Contains(text, strconv.Quote(value)) || strings.Contains(value, "@")) {
			return s.variable
		}
	}
	return ""
}

func containsAny(text string, pieces ...string) bool {
	return slices.ContainsFunc(pieces, func(p string) bool { return strings.Contains(text, p) })
}
