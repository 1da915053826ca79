package telemetry

import (
	"context"
	"fmt"
	"slices"

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
	buf := newBuffer()
	defer buf.release()
	buf.plain.request(spans)
	plain := buf.plain.written()
	if len(plain) > maxMessage {
		var err error
		if plain, err = p.encodeFit(spans); err != nil {
			return Message{}, fmt.Errorf("encode %s: %w", kind, err)
		}
	}
	return Message{Kind: kind, Body: buf.compress(plain), Size: len(plain)}, nil
}

// encodeFit gives up what does not fit into a message.
func (p *Provider) encodeFit(spans []sdktrace.ReadOnlySpan) ([]byte, error) {
	request, err := exported(spans)
	if err != nil {
		return nil, err
	}
	dropped, cut := fit(request, maxMessage)
	if dropped > 0 {
		p.metrics.detailDropped(context.Background(), int64(dropped), "message_full")
	}
	p.rec.cuts.messages.Add(int64(cut))
	return proto.Marshal(request)
}

// exported is what the SDK's exporter would send.
func exported(spans []sdktrace.ReadOnlySpan) (*collectorpb.ExportTraceServiceRequest, error) {
	var c capture
	err := otlptrace.NewUnstarted(&c).ExportSpans(context.Background(), spans)
	return &collectorpb.ExportTraceServiceRequest{ResourceSpans: c.spans}, err
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

// buffer holds a message before and after compression, or a text before it is masked, for
// reuse.
type buffer struct {
	plain  backwards
	packed []byte
}

// buffers are those that are not in use. A sync.Pool would not do: it forgets them when the
// garbage collector runs, which on a small heap is every other job.
var buffers = make(chan *buffer, 4)

func newBuffer() *buffer {
	select {
	case b := <-buffers:
		return b
	default:
		return &buffer{plain: newBackwards(64 << 10)}
	}
}

// maxPooled keeps one huge message from staying in memory for ever.
const maxPooled = 1 << 20

func (b *buffer) release() {
	if len(b.plain.buf) > maxPooled || cap(b.packed) > maxPooled {
		return
	}
	b.plain.reset()
	select {
	case buffers <- b:
	default:
	}
}

// compress returns the compressed message in memory of its own.
func (b *buffer) compress(plain []byte) []byte {
	if n := s2.MaxEncodedLen(len(plain)); cap(b.packed) < n {
		b.packed = make([]byte, n)
	}
	packed := s2.Encode(b.packed[:cap(b.packed)], plain)
	return slices.Clone(packed)
}

// decompress is the reverse of compress. The message is in buf if its capacity is enough.
func decompress(body, buf []byte) ([]byte, error) {
	plain, err := s2.Decode(buf, body)
	if err != nil {
		return nil, fmt.Errorf("decompress message: %w", err)
	}
	return plain, nil
}

// decompressedLen is the length of the message before compression, 0 if nobody knows.
func decompressedLen(body []byte) int {
	n, err := s2.DecodedLen(body)
	if err != nil || n > maxMessage {
		return 0
	}
	return n
}
