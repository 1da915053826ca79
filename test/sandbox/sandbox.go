// Package sandbox helps to run this project's programs beside whatever else runs on a machine,
// in tests, benchmarks and the demo: without the caller's settings, on ports of their own.
package sandbox

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
)

// settings are the prefixes of the variables that the programs, MLflow and OpenTelemetry read.
var settings = []string{
	"MLFLOW_", "OTEL", "OPENAI_", "SLACK_", "MODEL_", "DB_PATH", "RETRIEVAL_", "TECHNOSHARE_", "DATA_DIR", "SAMPLING_",
	"REDACTION", "OUTBOX_", "COMMENTATOR_PROFILE", "DATABASE_URL", "LINK_", "MAX_LINKS_", "TRACK_", "COMMENT_", "BACKFILL_", "FAILURE_",
}

// Environ is the environment without the caller's own settings of these programs.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return slices.ContainsFunc(settings, func(prefix string) bool { return strings.HasPrefix(entry, prefix) })
	})
}

// FreePorts returns n ports of 127.0.0.1 that nobody listens on. They are held together before
// they are given back, so that all differ.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
