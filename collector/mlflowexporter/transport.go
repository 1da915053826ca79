package mlflowexporter

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
)

// measuredTransport counts and times requests.
type measuredTransport struct {
	next      http.RoundTripper
	telemetry *telemetry
	now       func() time.Time
}

// RoundTrip implements http.RoundTripper.
func (t *measuredTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	began := t.now()
	res, err := t.next.RoundTrip(r)
	op := operation(r.URL.Path)
	result := "error"
	if err == nil {
		result = strconv.Itoa(res.StatusCode/100) + "xx"
	}
	ctx := r.Context()
	t.telemetry.ExporterMlflowRequests.Add(ctx, 1, t.telemetry.of("operation", op, "result", result))
	t.telemetry.ExporterMlflowRequestDuration.Record(ctx, t.now().Sub(began).Seconds(), t.telemetry.of("operation", op))
	return res, err
}

// operation names a request by its path without ids, such as runs/create.
func operation(path string) string {
	switch call := mlflow.Call(path); {
	case mlflow.IsArtifact(path):
		return "artifacts"
	case call == "traces", strings.HasPrefix(call, "traces/tr-"):
		return "traces"
	case call != "":
		return call
	case strings.HasSuffix(path, "/v1/traces"):
		return "otlp"
	}
	return "other"
}

// homeTransport sends what goes to one scheme and host with credentials, and all else without.
type homeTransport struct {
	home                 *url.URL
	authenticated, plain http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *homeTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == t.home.Scheme && r.URL.Host == t.home.Host {
		return t.authenticated.RoundTrip(r)
	}
	return t.plain.RoundTrip(r)
}
