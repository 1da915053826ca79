package doctor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const collectorUp = "collector-up"

var collectorProbes = []Probe{
	{
		ID: collectorUp, Title: "The Collector runs and is well",
		About: "Its health_check at OTELCOL_HEALTH_ENDPOINT does not answer (fail, or warn while nothing is recorded); one of its components reports an error at OTELCOL_STATUS_ENDPOINT, as the exporter does while MLflow is away or refuses everything (fail).",
		run:   probeCollector,
	},
	{
		ID: "collector-takes", Title: "The Collector takes what the worker sends",
		About: "A request without spans to OTEL_EXPORTER_OTLP_ENDPOINT: nobody there, not OTLP/gRPC, TLS or headers wrong (fail, or warn while nothing is recorded).",
		run:   probeTakes,
	},
	{
		ID: "collector-queue", Title: "The Collector's queue",
		About: "Its own metrics at OTELCOL_METRICS_PORT: a queue filled by half (warn) or by 90 % (fail), messages refused because one was full (warn).",
		run:   probeQueue, // also while a component is ill: then the queue is what counts
	},
	{
		ID: "dead-letters", Title: "Dead letters",
		About: "What MLflow refused for good, in OTELCOL_DATA_DIR/dead-letter or by the Collector's metrics (warn).",
		run:   probeDeadLetters,
	},
}

// component is what health_check says of the Collector, a pipeline or a component.
type component struct {
	Healthy    bool                 `json:"healthy"`
	Status     string               `json:"status"`
	Error      string               `json:"error"`
	Components map[string]component `json:"components"`
}

// health asks a health_check; nil with an error: it does not answer as one.
func (p *Patient) health(ctx context.Context, address string) (*component, error) {
	body, _, err := fetch(ctx, "http://"+reach(address)+"/?verbose")
	if err != nil {
		return nil, err
	}
	var c component
	if err := json.Unmarshal(body, &c); err != nil || c.Status == "" {
		return nil, errors.New("what answers there is no health_check of a Collector")
	}
	return &c, nil
}

// fetch reads an address of this deployment, without a proxy.
func fetch(ctx context.Context, address string) (body []byte, status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, 0, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return body, resp.StatusCode, err
}

func probeCollector(ctx context.Context, p *Patient) Finding {
	if err := p.wrong("OTELCOL_HEALTH_ENDPOINT", "OTELCOL_STATUS_ENDPOINT"); err != nil {
		return skip("the settings are wrong: %v", err)
	}
	h, err := p.health(ctx, p.Collector.Health)
	if err != nil {
		return p.gone(collectorUp, Finding{
			Found: fmt.Sprintf("no Collector answers on %s (OTELCOL_HEALTH_ENDPOINT): %v", p.Collector.Health, err),
			Means: "The worker keeps what it records in its outbox until a Collector is there.",
			Fix:   "Start otelcol-mlflow (scripts/start_mlflow.sh --background --with-collector, or its service), or set OTELCOL_HEALTH_ENDPOINT to where it answers.",
		})
	}
	if detail, err := p.health(ctx, p.Collector.Status); err == nil {
		h = detail
	}
	if ill := h.ill(""); len(ill) > 0 {
		return Finding{
			Status: Fail, Found: "it runs, and reports " + joined(ill),
			Means: "What it receives waits in its queue on disk until the reason is gone.",
			Fix:   "Look at the probes of MLflow, and at the Collector's log; it goes on by itself, but for what is in its own configuration.",
		}
	}
	return ok("it answers on %s and reports %s", p.Collector.Health, h.Status)
}

// ill lists the innermost components that report an error, each once.
func (c *component) ill(name string) (all []string) {
	names := make([]string, 0, len(c.Components))
	for n := range c.Components {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		inner := c.Components[n]
		for _, text := range inner.ill(n) {
			if !slices.Contains(all, text) {
				all = append(all, text)
			}
		}
	}
	if len(all) == 0 && (c.Error != "" || strings.HasSuffix(c.Status, "Error")) {
		all = append(all, strings.TrimSpace(name+" "+c.Status+": "+c.Error))
	}
	return all
}

func probeTakes(ctx context.Context, p *Patient) Finding {
	u, err := url.Parse(p.Config.OTLPEndpoint)
	if err != nil || u.Host == "" {
		return skip("OTEL_EXPORTER_OTLP_ENDPOINT is no address")
	}
	creds := credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	if u.Scheme == "http" {
		creds = insecure.NewCredentials()
	}
	address, err := hostPort(p.Config.OTLPEndpoint)
	if err != nil {
		return skip("OTEL_EXPORTER_OTLP_ENDPOINT is no address")
	}
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(creds), grpc.WithNoProxy())
	if err != nil {
		return skip("OTEL_EXPORTER_OTLP_ENDPOINT is no address: %v", err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(ctx, metadata.New(p.Config.OTLPHeaders)), 10*time.Second)
	defer cancel()
	_, err = collectortrace.NewTraceServiceClient(conn).Export(ctx, &collectortrace.ExportTraceServiceRequest{})
	if err == nil {
		return ok("%s takes OTLP/gRPC", address)
	}
	f := Finding{
		Found: fmt.Sprintf("%s does not take OTLP/gRPC: %v", address, err),
		Means: "The worker keeps what it records in its outbox.",
	}
	switch s, text := status.Code(err), err.Error(); {
	case s == codes.Unauthenticated || s == codes.PermissionDenied:
		f.Fix = "Correct OTEL_EXPORTER_OTLP_HEADERS: the receiver wants other ones."
	case strings.Contains(text, "http2") || strings.Contains(text, "HTTP status code") || strings.Contains(text, "server preface"):
		f.Fix = "OTEL_EXPORTER_OTLP_ENDPOINT has to name the gRPC port, 4317 by default; 4318 is OTLP/HTTP, which the worker does not speak."
	case strings.Contains(text, "tls:") || strings.Contains(text, "x509:") || strings.Contains(text, "authentication handshake"):
		f.Fix = "http:// is plain text and https:// is TLS in OTEL_EXPORTER_OTLP_ENDPOINT; the receiver speaks the other one, or its certificate is not trusted here."
	case s == codes.Unimplemented:
		f.Fix = "What is there takes no traces; OTEL_EXPORTER_OTLP_ENDPOINT has to name a receiver of OTLP/gRPC."
	default:
		f.Fix = "Start the Collector, or correct OTEL_EXPORTER_OTLP_ENDPOINT."
	}
	return p.gone("collector-takes", f)
}

// sample is a value of Prometheus' text form.
type sample struct {
	name   string
	labels map[string]string
	value  float64
}

func probeQueue(ctx context.Context, p *Patient) Finding {
	if err := p.wrong("OTELCOL_METRICS_PORT"); err != nil {
		return skip("the settings are wrong: %v", err)
	}
	address := fmt.Sprintf("http://127.0.0.1:%d/metrics", p.Collector.MetricsPort)
	samples, err := scrape(ctx, address)
	if err != nil {
		return skip("the Collector's metrics do not show on %s (OTELCOL_METRICS_PORT): %v", address, err)
	}
	capacity := map[string]float64{}
	for _, s := range samples {
		if s.name == "otelcol_exporter_queue_capacity" {
			capacity[s.queue()] = s.value
		}
	}
	var said []string
	worst, refused := 0.0, 0.0
	for _, s := range samples {
		switch s.name {
		case "otelcol_exporter_queue_size":
			if c := capacity[s.queue()]; c > 0 {
				worst = max(worst, s.value/c)
				said = append(said, fmt.Sprintf("%s %.0f %% of %.0f", s.queue(), 100*s.value/c, c))
			}
		case "otelcol_exporter_enqueue_failed_spans", "otelcol_exporter_enqueue_failed_spans_total":
			refused += s.value
		}
	}
	slices.Sort(said)
	f := Finding{
		Status: OK, Found: joined(said),
		Means: "MLflow, or another backend, takes less than comes. When a queue is full the Collector takes nothing more, and messages wait with the workers.",
		Fix:   "Look at the probes of MLflow; if it is well, let it run on PostgreSQL, or record less for a while (commentator tracing 0.1).",
	}
	switch {
	case len(said) == 0:
		return skip("the Collector shows no queue")
	case worst >= p.Limits.FullFail:
		f.Status = Fail
	case worst >= p.Limits.FullWarn:
		f.Status = Warn
	case refused > 0:
		f.Status = Warn
		f.Found += fmt.Sprintf("; %.0f spans found a queue full since the Collector started", refused)
	default:
		f.Means, f.Fix = "", ""
	}
	return f
}

// queue names the queue that a value is of: exporter and signal.
func (s sample) queue() string {
	return strings.TrimSpace(s.labels["exporter"] + " " + s.labels["data_type"])
}
