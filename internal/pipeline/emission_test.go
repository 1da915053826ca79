package pipeline

import (
	"context"
	"encoding/hex"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/internal/wire"
)

// receiver is an OTLP/gRPC server in this process.
type receiver struct {
	coltrace.UnimplementedTraceServiceServer
	address string
	mu      sync.Mutex
	spans   []*tracepb.Span
	rejects int64         // so many spans of the next request
	metrics [][]byte      // requests with metrics
	arrived chan struct{} // gets a value after each request, as far as there is room
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{address: "http://" + listener.Addr().String(), arrived: make(chan struct{}, 1)}
	server := grpc.NewServer()
	coltrace.RegisterTraceServiceServer(server, r)
	colmetrics.RegisterMetricsServiceServer(server, metricsReceiver{r: r})
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return r
}

// Export takes a request.
func (r *receiver) Export(_ context.Context, request *coltrace.ExportTraceServiceRequest) (*coltrace.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	r.spans = append(r.spans, spansOf(request)...)
	rejected := r.rejects
	r.rejects = 0
	r.mu.Unlock()
	select {
	case r.arrived <- struct{}{}:
	default:
	}
	return &coltrace.ExportTraceServiceResponse{PartialSuccess: &coltrace.ExportTracePartialSuccess{RejectedSpans: rejected}}, nil
}

// metricsReceiver keeps requests as they are.
type metricsReceiver struct {
	colmetrics.UnimplementedMetricsServiceServer
	r *receiver
}

// Export takes a request.
func (m metricsReceiver) Export(_ context.Context, request *colmetrics.ExportMetricsServiceRequest) (*colmetrics.ExportMetricsServiceResponse, error) {
	body, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	m.r.metrics = append(m.r.metrics, body)
	return &colmetrics.ExportMetricsServiceResponse{}, nil
}

func (r *receiver) received() []*tracepb.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// await waits until a span with this name has arrived.
func (r *receiver) await(t *testing.T, name string) []*tracepb.Span {
	t.Helper()
	timeout := time.After(2 * time.Minute)
	for {
		spans := r.received()
		if slices.ContainsFunc(spans, func(s *tracepb.Span) bool { return s.Name == name }) {
			return spans
		}
		select {
		case <-r.arrived:
		case <-timeout:
			t.Fatalf("no span %q after two minutes", name)
		}
	}
}

// checkTrace checks that the spans are one complete trace: ids derived from the job, every
// parent there, and each lifecycle span once.
func checkTrace(t *testing.T, report Report, spans []*tracepb.Span) {
	t.Helper()
	ids := map[string]int{}
	for _, s := range spans {
		ids[hex.EncodeToString(s.SpanId)]++
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("span %s was sent %d times", id, n)
		}
	}
	for _, s := range spans {
		if got := hex.EncodeToString(s.TraceId); got != report.TraceID {
			t.Errorf("span %s has trace %s, want %s", s.Name, got, report.TraceID)
		}
		root := s.Name == wire.SpanJob
		if parent := hex.EncodeToString(s.ParentSpanId); root != (parent == "") || !root && ids[parent] == 0 {
			t.Errorf("span %s has parent %q, which is not there", s.Name, parent)
		}
		if s.EndTimeUnixNano < s.StartTimeUnixNano {
			t.Errorf("span %s ends before it starts", s.Name)
		}
	}
}

// The Collector gets the whole trace of a job, with every stage's messages, by way of the
// outbox and the relay.
func TestEverythingArrivesAtTheCollector(t *testing.T) {
	web, collector := newSite(t), newReceiver(t)
	r := newRig(t, rigConfig{mode: telemetry.ModeTracing, endpoint: collector.address})
	report := r.finish(t, r.jobs(t, web.URL+"/article/1")[0].ID)
	spans := collector.await(t, wire.SpanJob)
	checkTrace(t, report, spans)
	names := map[string]int{}
	for _, s := range spans {
		names[s.Name]++
	}
	want := map[string]int{wire.SpanJob: 1, wire.SpanJobStarted: 1, wire.SpanHTTPGet: 1, wire.SpanToolSearch: 1}
	for _, s := range wire.StageNames {
		want[s] = 1
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}

func TestTrackingSendsNoDetailSpans(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{mode: telemetry.ModeTracking})
	r.finish(t, r.jobs(t, web.URL+"/article/1")[0].ID)
	_, spans := r.outbox(t)
	for _, s := range spans {
		if text(s, wire.AttrTier) == wire.TierDetail || text(s, wire.AttrJobDetail) != wire.DetailLifecycle {
			t.Errorf("span %s has tier %q and detail %q", s.Name, text(s, wire.AttrTier), text(s, wire.AttrJobDetail))
		}
	}
}
