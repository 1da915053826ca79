package pipeline

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/analysis"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/gates"
	"github.com/technoshare/commentator/internal/render"
	"github.com/technoshare/commentator/internal/retrieval"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/test/dbtest"
)

// rig is the real thing but for the network beyond loopback: a job database, retrieval, the
// offline analyser, and telemetry whose messages stay in the outbox unless there is an
// endpoint.
type rig struct {
	*Pipeline
}

type rigConfig struct {
	database string // as store.Open takes it; empty: a new one
	mode     telemetry.Mode
	endpoint string // empty: messages stay in the outbox
	slackURL string // of the workspace; empty: no links to threads
	sampling string // path of a sampling file; empty: every job is recorded in full

	// For tests of what leaves the process:
	keep       bool // messages stay in the outbox although there is an endpoint, for metrics
	noContent  bool
	unredacted bool
	resource   map[string]string // as OTEL_RESOURCE_ATTRIBUTES has them
	prometheus bool
	logger     *slog.Logger // nil: nothing is logged
}

func newRig(t testing.TB, c rigConfig) *rig {
	t.Helper()
	if c.database == "" {
		c.database = dbtest.New(t)
	}
	r, end, err := openRig(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func openRig(ctx context.Context, c rigConfig) (*rig, func() error, error) {
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	s, err := store.Open(ctx, c.database, store.WithLogger(c.logger))
	if err != nil {
		return nil, nil, err
	}
	var box telemetry.Outbox
	if c.endpoint != "" && !c.keep {
		box = s
	}
	provider, err := telemetry.New(ctx, telemetry.Config{
		Mode: c.mode, Endpoint: c.endpoint, Ratio: 1, CaptureContent: !c.noContent, StoreID: s.StoreID(), PseudonymKey: s.PseudonymKey(),
		Gates: gates.DefaultLimits, Render: render.Slack, Version: "test",
		SlackURL: c.slackURL, Unredacted: c.unredacted, Logger: c.logger, SamplingFile: c.sampling,
		ResourceAttributes: c.resource, Prometheus: c.prometheus,
	}, box)
	if err != nil {
		return nil, nil, err
	}
	retriever, err := retrieval.New(retrieval.Config{AllowHosts: []string{"loopback"}})
	if err != nil {
		return nil, nil, err
	}
	themes := data.Default()
	r := &rig{Pipeline: New(Config{
		Store: s, Telemetry: provider,
		Retriever: retriever, Analyser: analysis.NewOffline(themes), Render: render.Reply,
		Poster: slack.Keeper(slack.DeliveryPrint),
		Themes: themes.ThemeNames(), Gates: gates.DefaultLimits,
		Now: time.Now, Logger: c.logger,
	})}
	end := func() error {
		stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return errors.Join(provider.Shutdown(stop), s.Close())
	}
	return r, end, nil
}

var messageNumber int64

// jobs makes the jobs of a message with these links.
func (r *rig) jobs(t testing.TB, links ...string) []commentator.Job {
	t.Helper()
	messageNumber++
	m := commentator.Message{
		Channel: "C0123456789", TS: fmt.Sprintf("1700000000.%06d", messageNumber),
		User: "U0123456789", Text: "look", ReceivedAt: time.Now(),
	}
	jobs, known, err := r.Store.Ingest(t.Context(), m, links, false, func(context.Context, *sql.Tx, int64) error { return nil })
	if err != nil || known {
		t.Fatalf("Ingest() = known %v, %v", known, err)
	}
	return jobs
}

// finish attempts a job until it is final.
func (r *rig) finish(t testing.TB, id int64) Report {
	t.Helper()
	for range 20 {
		j, _ := r.Attempt(t.Context(), id, nil)
		if j.State == commentator.JobFinal {
			return r.report(t, id)
		}
	}
	t.Fatalf("job %d does not end", id)
	return Report{}
}

func (r *rig) report(t testing.TB, id int64) Report {
	t.Helper()
	j, err := r.Store.Job(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	records, err := r.Store.Stages(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	report, err := NewReport(j, records)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// bodies returns the requests in the outbox, in order.
func (r *rig) bodies(t testing.TB) (bodies [][]byte) {
	t.Helper()
	rows, err := r.Store.Unsent(t.Context(), 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		body, err := s2.Decode(nil, row.Body)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, body)
	}
	return bodies
}

// outbox returns the kinds of the messages in the outbox and their spans, in order.
func (r *rig) outbox(t testing.TB) (kinds []string, spans []*tracepb.Span) {
	t.Helper()
	rows, err := r.Store.Unsent(t.Context(), 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		kinds = append(kinds, row.Kind)
	}
	for _, body := range r.bodies(t) {
		spans = append(spans, decode(t, body)...)
	}
	return kinds, spans
}

func decode(t testing.TB, body []byte) []*tracepb.Span {
	t.Helper()
	var request coltrace.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		t.Fatal(err)
	}
	return spansOf(&request)
}

func spansOf(request *coltrace.ExportTraceServiceRequest) []*tracepb.Span {
	var spans []*tracepb.Span
	for _, resource := range request.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			spans = append(spans, scope.Spans...)
		}
	}
	return spans
}

// text returns a span's attribute as text, "" when it is absent.
func text(span *tracepb.Span, key string) string {
	for _, a := range span.Attributes {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}
