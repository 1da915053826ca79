package telemetry

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/technoshare/commentator/test/sandbox"
)

// testCollector is an OTLP/gRPC receiver in this process.
type testCollector struct {
	collectorpb.UnimplementedTraceServiceServer
	metricspb.UnimplementedMetricsServiceServer

	address string
	// answer decides about each request; nil accepts everything.
	answer func(context.Context, *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error)

	mu       sync.Mutex
	requests int
	spans    []string // names of accepted spans in order of arrival
	metrics  []string
	headers  metadata.MD
}

// startCollector listens on address, "" being a free port, until the test ends or stop is
// called.
func startCollector(t testing.TB, c *testCollector, options ...grpc.ServerOption) (stop func()) {
	t.Helper()
	if c.address == "" {
		var err error
		if c.address, err = sandbox.FreeAddress(); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", c.address)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(append([]grpc.ServerOption{grpc.MaxRecvMsgSize(16 << 20)}, options...)...)
	collectorpb.RegisterTraceServiceServer(server, c)
	metricspb.RegisterMetricsServiceServer(server, metricsReceiver{c: c})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends by Stop
	}()
	stop = sync.OnceFunc(func() {
		server.Stop()
		<-done
	})
	t.Cleanup(stop)
	return stop
}

func (c *testCollector) Export(ctx context.Context, r *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	c.requests++
	c.headers, _ = metadata.FromIncomingContext(ctx)
	c.mu.Unlock()
	response := &collectorpb.ExportTraceServiceResponse{}
	if c.answer != nil {
		var err error
		if response, err = c.answer(ctx, r); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans = append(c.spans, spanNames(r)...)
	return response, nil
}

type metricsReceiver struct {
	metricspb.UnimplementedMetricsServiceServer
	c *testCollector
}

func (m metricsReceiver) Export(_ context.Context, r *metricspb.ExportMetricsServiceRequest) (*metricspb.ExportMetricsServiceResponse, error) {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	for _, rm := range r.ResourceMetrics {
		for _, sm := range rm.ScopeMetrics {
			for _, metric := range sm.Metrics {
				m.c.metrics = append(m.c.metrics, metric.Name)
			}
		}
	}
	return &metricspb.ExportMetricsServiceResponse{}, nil
}

func (c *testCollector) accepted() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

func (c *testCollector) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests
}

func spanNames(r *collectorpb.ExportTraceServiceRequest) (names []string) {
	eachSpan(r, func(s *tracepb.Span) { names = append(names, s.Name) })
	return names
}

func eachSpan(r *collectorpb.ExportTraceServiceRequest, f func(*tracepb.Span)) {
	for _, rs := range r.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				f(s)
			}
		}
	}
}

// memoryOutbox is an Outbox in memory.
type memoryOutbox struct {
	mu       sync.Mutex
	rows     []OutboxRow
	sent     map[int64]bool
	refused  map[int64]string
	rejected int64 // spans
	links    []Link
	noteErrs []error // of the next calls of NoteLink; what fails is in no links
	claims   int     // that are not released
	err      error   // of every call, if not nil
}

func (b *memoryOutbox) add(messages ...Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range messages {
		b.rows = append(b.rows, OutboxRow{ID: int64(len(b.rows) + 1), Kind: m.Kind, Body: m.Body, Size: m.Size})
	}
}

// memoryClaim is rows of it.
type memoryClaim struct {
	*memoryOutbox
	rows []OutboxRow
}

func (c memoryClaim) Rows() []OutboxRow { return c.rows }

func (c memoryClaim) Release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.claims--
	return nil
}

func (b *memoryOutbox) Claim(_ context.Context, after int64, maxBytes int) (Claim, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	var rows []OutboxRow
	total := 0
	for _, r := range b.rows {
		if _, refused := b.refused[r.ID]; r.ID <= after || b.sent[r.ID] || refused {
			continue
		}
		if total += r.Size; total > maxBytes && len(rows) > 0 {
			break
		}
		rows = append(rows, r)
	}
	b.claims++
	return memoryClaim{b, rows}, nil
}

func (b *memoryOutbox) MarkSent(_ context.Context, ids []int64, _ time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	if b.sent == nil {
		b.sent = make(map[int64]bool)
	}
	for _, id := range ids {
		b.sent[id] = true
	}
	return nil
}

func (b *memoryOutbox) Refuse(_ context.Context, id int64, reason string, _ time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refused == nil {
		b.refused = make(map[int64]string)
	}
	b.refused[id] = reason
	return b.err
}

func (b *memoryOutbox) Depth(context.Context) (int, int64, time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.rows) - len(b.sent) - len(b.refused)
	return n, int64(n), testStart, b.err
}

func (b *memoryOutbox) NoteRejected(spans int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rejected += spans
}

func (b *memoryOutbox) NoteLink(_ context.Context, l Link) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.noteErrs) > 0 {
		err := b.noteErrs[0]
		b.noteErrs = b.noteErrs[1:]
		return err
	}
	b.links = append(b.links, l)
	return b.err
}

func (b *memoryOutbox) noted() []Link {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.links)
}

func (b *memoryOutbox) claimed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.claims
}

func (b *memoryOutbox) state() (sent, refused int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sent), len(b.refused)
}

func (b *memoryOutbox) setError(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

// eventually waits for something that real I/O brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("%s did not happen", what)
		case <-tick.C:
		}
	}
}
