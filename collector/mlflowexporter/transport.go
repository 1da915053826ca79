package mlflowexporter

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
)

// measuredTransport counts and times requests.
type measuredTransport struct {
	next      http.RoundTripper
	telemetry *metadata.TelemetryBuilder
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
	t.telemetry.ExporterMlflowRequests.Add(ctx, 1, metric.WithAttributeSet(attributeSet("operation", op, "result", result)))
	t.telemetry.ExporterMlflowRequestDuration.Record(ctx, t.now().Sub(began).Seconds(), metric.WithAttributeSet(attributeSet("operation", op)))
	return res, err
}

// operation names a request by its path without ids, such as runs/create.
func operation(path string) string {
	switch {
	case strings.Contains(path, "/mlflow-artifacts/"), strings.HasSuffix(path, "/upload-artifact"):
		return "artifacts"
	case strings.HasSuffix(path, "/v1/traces"):
		return "otlp"
	}
	_, call, ok := strings.Cut(path, "/mlflow/")
	if !ok {
		return "other"
	}
	if call == "traces" || strings.HasPrefix(call, "traces/tr-") {
		return "traces"
	}
	return call
}

// attributeSet makes a set of pairs of key and value.
func attributeSet(pairs ...string) attribute.Set {
	kvs := make([]attribute.KeyValue, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		kvs = append(kvs, attribute.String(pairs[i], pairs[i+1]))
	}
	return attribute.NewSet(kvs...)
}
