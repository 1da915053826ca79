// Package sandbox helps to run this project's programs beside whatever else runs on a machine,
// in tests, benchmarks and the demo: without the caller's settings, on ports of their own.
package sandbox

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
)

// settings are the prefixes of the variables that the programs, MLflow and OpenTelemetry read.
var settings = []string{
	"MLFLOW_", "OTEL", "OPENAI_", "SLACK_", "MODEL_", "DB_PATH", "RETRIEVAL_", "TECHNOSHARE_", "DATA_DIR", "SAMPLING_",
	"REDACTION", "OUTBOX_", "COMMENTATOR_PROFILE", "DATABASE_URL", "LINK_", "MAX_LINKS_", "TRACK_", "COMMENT_", "BACKFILL_", "FAILURE_",
	"LOG_", "METRICS_ADDR", "HISTORY_KEEP", "GITHUB_TOKEN", "EVAL_", "FEEDBACK_",
}

// Environ is the environment without the caller's own settings of these programs.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return slices.ContainsFunc(settings, func(prefix string) bool { return strings.HasPrefix(entry, prefix) })
	})
}

// Ports that systems neither hand out for port 0 nor to outgoing connections: what a test finds
// free there is not taken by another listener before the program that it is for has started.
const (
	portFrom = 10000
	portTo   = 32000
)

// FreePorts returns n ports of 127.0.0.1 that nobody listens on. They are held together before
// they are given back, so that all differ.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	var last error
	for tries := 0; len(ports) < n; tries++ {
		if tries == 100*n {
			return nil, fmt.Errorf("find %d free ports: %w", n, last)
		}
		port := portFrom + rand.IntN(portTo-portFrom)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			last = err
			continue
		}
		defer l.Close()
		ports = append(ports, port)
	}
	return ports, nil
}

// FreeAddress returns an address of loopback that nobody listens on, as host:port.
func FreeAddress() (string, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0])), nil
}
