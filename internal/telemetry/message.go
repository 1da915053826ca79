package telemetry

import (
	"context"
	"fmt"
	"sync"

	"github.com/klauspost/compress/s2"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// encode makes one message of the spans; the lifecycle span comes first, its detail spans
// follow in the order in which they started.
func (p *Provider) encode(kind string, spans []sdktrace.ReadOnlySpan) (Message, error) {
	var c capture
	if err := otlptrace.NewUnstarted(&c).ExportSpans(context.Background(), spans); err != nil {
		return Message{}, fmt.Errorf("encode %s: %w", kind, err)
	}
	request := &collectorpb.ExportTraceServiceRequest{ResourceSpans: c.spans}
	buf := buffers.Get().(*buffer)
	defer buf.release()
	if err := buf.marshal(request); err != nil {
		return Message{}, fmt.Errorf("encode %s: %w", kind, err)
	}
	if len(buf.plain) > maxMessage {
		dropped, cut := fit(request, maxMessage)
		if dropped > 0 {
			p.metrics.detailDropped(context.Background(), int64(dropped), "message_full")
		}
		p.rec.cuts.messages.Add(int64(cut))
		if err := buf.marshal(request); err != nil {
			return Message{}, fmt.Errorf("encode %s: %w", kind, err)
		}
	}
	return Message{Kind: kind, Body: buf.compress(), Size: len(buf.plain)}, nil
}

// capture is an OTLP client that keeps what it should send: the way to the exporter's
// own translation of spans, which is not exported.
type capture struct{ spans []*tracepb.ResourceSpans }

func (*capture) Start(context.Context) error { return nil }
func (*capture) Stop(context.Context) error  { return nil }
func (c *capture) UploadTraces(_ context.Context, spans []*tracepb.ResourceSpans) error {
	c.spans = spans
	return nil
}

// buffer holds a message before and after compression, for reuse.
type buffer struct{ plain, packed []byte }

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// maxPooled keeps one huge message from staying in memory for ever.
const maxPooled = 1 << 20

func (b *buffer) release() {
	if cap(b.plain) <= maxPooled {
		buffers.Put(b)
	}
}

func (b *buffer) marshal(m proto.Message) error {
	var err error
	b.plain, err = proto.MarshalOptions{}.MarshalAppend(b.plain[:0], m)
	return err
}

// compress returns the compressed message in memory of its own.
func (b *buffer) compress() []byte {
	if n := s2.MaxEncodedLen(len(b.plain)); cap(b.packed) < n {
		b.packed = make([]byte, n)
	}
	packed := s2.Encode(b.packed[:cap(b.packed)], b.plain)
	return append(make([]byte, 0, len(packed)), packed...)
}

// decompress is the reverse of compress.
func decompress(body []byte) ([]byte, error) {
	plain, err := s2.Decode(nil, body)
	if err != nil {
		return nil, fmt.Errorf("decompress message: %w", err)
	}
	return plain, nil
}
