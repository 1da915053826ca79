//go:build linux

package main

import (
	"context"
	"maps"
	"net"
	"sync"

	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"github.com/technoshare/commentator/test/sandbox"
)

// sink is an OTLP receiver that can go away and come back at its address. It counts spans, unless
// spans is nil: then it forgets them.
type sink struct {
	coltrace.UnimplementedTraceServiceServer
	address string
	server  *grpc.Server

	mu    sync.Mutex
	spans map[string]int // by trace id and span id
}

func (s *sink) listen() error {
	if s.address == "" {
		var err error
		if s.address, err = sandbox.FreeAddress(); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		return err
	}
	s.server = grpc.NewServer(grpc.MaxRecvMsgSize(16 << 20))
	coltrace.RegisterTraceServiceServer(s.server, s)
	colmetrics.RegisterMetricsServiceServer(s.server, anyMetrics{})
	go func(server *grpc.Server) { _ = server.Serve(l) }(s.server)
	return nil
}

func (s *sink) stop() { s.server.Stop() }

// Export takes a request.
func (s *sink) Export(_ context.Context, r *coltrace.ExportTraceServiceRequest) (*coltrace.ExportTraceServiceResponse, error) {
	if s.spans != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		eachSpan(r, func(id string) { s.spans[id]++ })
	}
	return &coltrace.ExportTraceServiceResponse{}, nil
}

func (s *sink) taken() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.spans)
}

func eachSpan(r *coltrace.ExportTraceServiceRequest, f func(id string)) {
	for _, rs := range r.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, span := range ss.Spans {
				f(string(span.TraceId) + string(span.SpanId))
			}
		}
	}
}

// anyMetrics takes metrics and forgets them.
type anyMetrics struct {
	colmetrics.UnimplementedMetricsServiceServer
}

// Export takes a request.
func (anyMetrics) Export(context.Context, *colmetrics.ExportMetricsServiceRequest) (*colmetrics.ExportMetricsServiceResponse, error) {
	return &colmetrics.ExportMetricsServiceResponse{}, nil
}
