package telemetry

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// exportMethod is the one method of OTLP's trace service.
const exportMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

// plainRow is an outbox row after decompression.
type plainRow struct {
	id   int64
	kind string
	body []byte
	cut  bool // it is smaller than what is stored
}

// strike remembers a row that was refused for a reason that may pass.
type strike struct {
	count int
	first time.Time
	next  time.Time // not tried before
}

const (
	// maxStrikes sets a row aside once it was refused that often while others were taken.
	maxStrikes = 5
	// maxStruck ends a round in which nothing is accepted: it is not about single rows.
	maxStruck = 3
	// leastBatch is how small batches become when the receiver finds them too large.
	leastBatch = 1 << 20
)

func (r *Relay) putOff(row OutboxRow) bool { return r.strikes[row.ID].next.After(r.cfg.Now()) }

// unpack decompresses rows and sets those aside that cannot be.
func (r *Relay) unpack(ctx context.Context, rows []OutboxRow) ([]plainRow, error) {
	batch := make([]plainRow, 0, len(rows))
	free := r.roomFor(rows)
	for _, row := range rows {
		plain, err := decompress(row.Body, free)
		free = free[min(len(plain), len(free)):]
		if err != nil {
			if err := r.refuse(ctx, row.ID, row.Kind, err.Error()); err != nil {
				return nil, err
			}
			continue
		}
		batch = append(batch, plainRow{id: row.ID, kind: row.Kind, body: plain})
	}
	return batch, nil
}

// roomFor gives the memory that rows take when they are decompressed: that of the batch before,
// since megabytes of garbage after each batch would have the collector run beside the jobs.
func (r *Relay) roomFor(rows []OutboxRow) []byte {
	var size int
	for _, row := range rows {
		size += decompressedLen(row.Body)
	}
	if size > len(r.room) {
		r.room = make([]byte, size)
	}
	return r.room
}

// deliver sends rows as one request. When the Collector refuses the request it is halved
// until the rows that are to blame stand alone, so that they never block the others. It
// returns how many rows stay for later; with an error all that were not sent stay.
func (r *Relay) deliver(ctx context.Context, rows []plainRow) (left int, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	err = r.send(ctx, rows)
	if err == nil {
		return 0, r.accepted(ctx, rows)
	}
	switch v := judge(err); {
	case v == retryLater:
		return len(rows), err
	case len(rows) > 1:
		if v == tooLarge {
			r.cfg.BatchBytes = max(r.cfg.BatchBytes/2, leastBatch)
		}
		half := len(rows) / 2
		left, err = r.deliver(ctx, rows[:half])
		if err != nil {
			return len(rows), err
		}
		n, err := r.deliver(ctx, rows[half:])
		return left + n, err
	case v == tooLarge && r.cut(&rows[0], err):
		return r.deliver(ctx, rows)
	case v == doubtful && !r.strikeOut(rows[0].id):
		if r.struck >= maxStruck {
			return 1, err
		}
		return 1, nil
	default:
		if err := r.refuse(ctx, rows[0].id, rows[0].kind, status.Convert(errors.Unwrap(err)).Message()); err != nil {
			return 0, err
		}
		r.answered(ctx)
		return 0, nil
	}
}

// cut makes a row small enough for the receiver that found it too large. It does so once: a
// receiver that then still refuses it means something else.
func (r *Relay) cut(row *plainRow, err error) bool {
	limit := sizeTaken(err)
	smaller, missing, ok := refit(row.body, limit)
	if !ok || row.cut {
		return false
	}
	r.cfg.Logger.Warn("a telemetry message is cut, since the Collector takes no larger one; raise max_recv_msg_size_mib of its receiver",
		"outbox_id", row.id, "kind", row.kind, "bytes", len(row.body), "taken", limit, "cut_or_missing", missing)
	row.body, row.cut = smaller, true
	if r.shortened != nil {
		r.shortened(int64(missing))
	}
	return true
}

// taken finds the size that a receiver takes in its answer, as grpc-go words it.
var taken = regexp.MustCompile(`larger than max \(\d+ vs\. (\d+)\)`)

func sizeTaken(err error) int {
	m := taken.FindStringSubmatch(err.Error())
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // more digits than a number has are 0: nothing fits
	return n
}

func (r *Relay) accepted(ctx context.Context, rows []plainRow) error {
	if r.down {
		r.down = false
		r.cfg.Logger.Info("the Collector takes telemetry again", "endpoint", r.said(r.cfg.Endpoint))
	}
	if !r.up {
		r.up, r.since = true, r.now()
		r.note(ctx, "")
	} else if r.owed == nil && r.cfg.Now().Sub(r.notedAt) >= noteAgain {
		r.note(ctx, "")
	}
	now := r.cfg.Now()
	r.last, r.struck = now, 0
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.id
		delete(r.strikes, row.id)
	}
	if err := r.claim.MarkSent(ctx, ids, now); err != nil {
		return fmt.Errorf("mark %d messages as sent: %w", len(ids), err)
	}
	return nil
}

// strikeOut counts a doubtful refusal and reports whether the row is out: it was refused
// often, and the Collector took others meanwhile, so it is the row's fault.
func (r *Relay) strikeOut(id int64) bool {
	now := r.cfg.Now()
	s, known := r.strikes[id]
	if !known {
		s.first = now
	}
	s.count++
	r.struck++
	s.next = now.Add(min(r.cfg.MinBackoff<<min(s.count, 16), r.cfg.MaxBackoff))
	r.strikes[id] = s
	return s.count >= maxStrikes && r.last.After(s.first)
}

func (r *Relay) refuse(ctx context.Context, id int64, kind, reason string) error {
	reason = r.said(reason)
	r.cfg.Logger.Warn("a telemetry message is set aside", "outbox_id", id, "kind", kind, "reason", reason)
	delete(r.strikes, id)
	if err := r.claim.Refuse(ctx, id, reason, r.cfg.Now()); err != nil {
		return fmt.Errorf("set message %d aside: %w", id, err)
	}
	if r.refused != nil {
		r.refused(ctx)
	}
	return nil
}

// send makes one request of the rows. The only field of an ExportTraceServiceRequest is
// the list of ResourceSpans, and concatenated protobuf messages are one message with the
// lists joined, so nothing is decoded here.
func (r *Relay) send(ctx context.Context, rows []plainRow) error {
	parts := make(encodedRequest, len(rows))
	for i, row := range rows {
		parts[i] = mem.SliceBuffer(row.body)
	}
	ctx, cancel := context.WithTimeout(withHeaders(ctx, r.cfg.Headers), r.cfg.SendTimeout)
	defer cancel()
	r.asked = r.cfg.Now()
	var response collectorpb.ExportTraceServiceResponse
	err := r.conn.Invoke(ctx, exportMethod, parts, &response, grpc.ForceCodecV2(encodedCodec{}))
	if err != nil {
		r.room = nil // gRPC may still be reading from it
		return &sendError{err}
	}
	if p := response.GetPartialSuccess(); p.GetRejectedSpans() > 0 || p.GetErrorMessage() != "" {
		// The specification forbids sending again.
		r.cfg.Logger.Warn("the Collector took telemetry only in part",
			"rejected_spans", p.GetRejectedSpans(), "message", r.said(p.GetErrorMessage()))
		r.box.NoteRejected(max(0, p.GetRejectedSpans()))
	}
	return nil
}

// encodedRequest is a request that is protobuf already, in parts.
type encodedRequest mem.BufferSlice

// encodedCodec encodes them.
type encodedCodec struct{}

func (encodedCodec) Name() string { return "proto" }

func (encodedCodec) Marshal(v any) (mem.BufferSlice, error) {
	request, ok := v.(encodedRequest)
	if !ok {
		return nil, fmt.Errorf("encode request: %T is not encoded", v)
	}
	return mem.BufferSlice(request), nil
}

func (encodedCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("decode response: %T is no protobuf message", v)
	}
	return proto.Unmarshal(data.Materialize(), m)
}

// sendError is what the Collector, or the way to it, answered.
type sendError struct{ err error }

func (e *sendError) Error() string { return "send telemetry: " + e.err.Error() }
func (e *sendError) Unwrap() error { return e.err }

// verdict says what a failed request means for its rows.
type verdict int

const (
	// retryLater: nothing is wrong with the rows. Besides the codes that OTLP calls
	// retryable these are those of a wrong address or token: somebody will correct it, and
	// giving the rows up would lose them all.
	retryLater verdict = iota
	// refusedForGood: the content is not acceptable.
	refusedForGood
	// tooLarge: the receiver's limit is smaller than the request.
	tooLarge
	// doubtful: the Collector's pipeline failed in a way that it calls permanent, or a proxy
	// gave an answer of its own; it may be the row's fault.
	doubtful
)

// judge maps the answer to a verdict.
func judge(err error) verdict {
	var s *sendError
	if !errors.As(err, &s) {
		return retryLater
	}
	st := status.Convert(s.err)
	switch st.Code() {
	case codes.InvalidArgument:
		return refusedForGood
	case codes.ResourceExhausted:
		switch {
		case retryAfter(err) > 0:
			return retryLater
		case strings.Contains(st.Message(), "larger than max"): // grpc-go, of either side's limit
			return tooLarge
		default:
			return doubtful
		}
	case codes.Internal, codes.Unknown, codes.FailedPrecondition, codes.AlreadyExists:
		return doubtful
	default:
		return retryLater
	}
}

// retryAfter returns how long the Collector asks to wait, 0 when it does not say.
func retryAfter(err error) time.Duration {
	var s *sendError
	if !errors.As(err, &s) {
		return 0
	}
	for _, d := range status.Convert(s.err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return max(info.GetRetryDelay().AsDuration(), time.Nanosecond)
		}
	}
	return 0
}
