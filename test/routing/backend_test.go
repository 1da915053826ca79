package routing

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// backend is another backend: it takes OTLP, or hangs, or refuses.
type backend struct {
	ptraceotlp.UnimplementedGRPCServer
	address string

	mu    sync.Mutex
	mode  mode
	back  chan struct{} // closed when it takes again
	asked int           // requests while it did not take
	spans map[pcommon.TraceID]map[pcommon.SpanID]ptrace.Span
	took  []ptrace.Traces
}

type mode string

const (
	takes   mode = "takes"
	hangs   mode = "hangs"
	refuses mode = "refuses"
)

// startBackend starts a backend and points OTLP_BACKEND to it.
func startBackend(t *testing.T) *backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{address: l.Addr().String(), mode: takes, back: make(chan struct{}), spans: map[pcommon.TraceID]map[pcommon.SpanID]ptrace.Span{}}
	server := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(server, b)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	t.Setenv("OTLP_BACKEND", b.address)
	return b
}

// becomes changes what happens to requests. Those that hang are let go when it takes again.
func (b *backend) becomes(m mode) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m == takes {
		close(b.back)
		b.back = make(chan struct{})
	}
	b.mode, b.asked = m, 0
}

// Export is OTLP's call.
func (b *backend) Export(ctx context.Context, req ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mode != takes {
		b.asked++
	}
	switch b.mode {
	case refuses:
		return ptraceotlp.NewExportResponse(), status.Error(codes.Unavailable, "out of order")
	case hangs:
		back := b.back
		b.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-back:
		}
		b.mu.Lock()
		return ptraceotlp.NewExportResponse(), status.Error(codes.Unavailable, "too late")
	}
	td := ptrace.NewTraces()
	req.Traces().CopyTo(td)
	b.took = append(b.took, td)
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, sp := range ss.Spans().All() {
				if b.spans[sp.TraceID()] == nil {
					b.spans[sp.TraceID()] = map[pcommon.SpanID]ptrace.Span{}
				}
				kept := ptrace.NewSpan()
				sp.CopyTo(kept)
				b.spans[sp.TraceID()][sp.SpanID()] = kept
			}
		}
	}
	return ptraceotlp.NewExportResponse(), nil
}

// troubled is the number of requests since it stopped taking them.
func (b *backend) troubled() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

// trace lists the spans that came of a trace, "name id", sorted.
func (b *backend) trace(id pcommon.TraceID) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var names []string
	for _, sp := range b.spans[id] {
		names = append(names, sp.Name()+" "+sp.SpanID().String())
	}
	slices.Sort(names)
	return names
}

// each looks at every span that came.
func (b *backend) each(look func(ptrace.Span)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, spans := range b.spans {
		for _, sp := range spans {
			look(sp)
		}
	}
}

// text is everything that came, readable, for searches in it.
func (b *backend) text(t *testing.T) string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var all strings.Builder
	for _, td := range b.took {
		text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
