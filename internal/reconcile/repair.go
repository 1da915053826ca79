package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"

	"github.com/technoshare/commentator/internal/wire"
)

// Repair is what was done about what a comparison found.
type Repair struct {
	Jobs     []int64 `json:"jobs"`     // whose messages were sent again
	Messages int     `json:"messages"` // how many
	Left     []Left  `json:"left"`
}

// Left is a job that cannot be repaired, or not without being asked to.
type Left struct {
	Job int64  `json:"job"`
	Why string `json:"why"`
}

// Send gives a request to the Collector's receiver for repairs.
type Send func(ctx context.Context, request *collectorpb.ExportTraceServiceRequest) error

// requestSize bounds a request, in bytes before it is marked, unless one message is larger. The
// receiver takes 32 MiB.
const requestSize = 8 << 20

// Repair sends the messages of those jobs again that the comparison found lost, wrong or, if
// they are to come back, deleted. Then it compares these once more, until they are whole or
// Wait is over.
func (c *Comparison) Repair(ctx context.Context, withDeleted bool, send Send) (Repair, Result, error) {
	done := Repair{Jobs: []int64{}, Left: []Left{}}
	broken := func(r Report) bool { return len(r.Lost)+len(r.Wrong) > 0 || withDeleted && len(r.Deleted) > 0 }
	known, err := c.Records.messageIDs(ctx)
	if err != nil {
		return done, c.result(), fmt.Errorf("read messages: %w", err)
	}
	var ids []int64
	for id, f := range c.found {
		if f.kind == compared && broken(f.report) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		p := planRepair(c.found[id].report, withDeleted)
		why, sent := p.refusal, 0
		if why == "" {
			sent, err = c.resend(ctx, id, known, p, send)
			if err != nil {
				return done, c.result(), fmt.Errorf("send messages of job %d: %w", id, err)
			}
			if sent == 0 {
				why = "the outbox keeps no message of it any more; OUTBOX_KEEP_SENT says for how long they are kept"
			}
		}
		if why != "" {
			done.Left = append(done.Left, Left{id, why})
			continue
		}
		done.Jobs, done.Messages = append(done.Jobs, id), done.Messages+sent
	}
	err = c.settle(ctx, c.Now().Add(c.Wait), func(id int64, f finding) bool {
		return f.kind == compared && broken(f.report) && slices.Contains(done.Jobs, id)
	})
	return done, c.result(), err
}

// repairPlan is what to do about one job.
type repairPlan struct {
	asked   string          // a value of wire.ResRepair
	without map[string]bool // keys of runs that stay deleted
	refusal string          // why nothing can be done
}

// planRepair decides how a job is repaired. A message that is to bring back a run that is gone
// brings back one that a person deleted as well, so those of deleted runs are not sent unless
// they are to come back.
func planRepair(r Report, withDeleted bool) repairPlan {
	p := repairPlan{asked: wire.RepairAgain, without: map[string]bool{}}
	if slices.ContainsFunc(r.Lost, func(f Finding) bool { return strings.HasPrefix(f.Item, "run ") }) || withDeleted {
		p.asked = wire.RepairRecreate
	}
	if withDeleted {
		return p
	}
	for _, f := range r.Deleted {
		p.without[f.Key] = true
		if !strings.Contains(f.Key, "-") { // the job's own run
			p.refusal = "its run was deleted by somebody; --deleted brings it back"
		}
	}
	return p
}

// resend sends the messages of a job that were sent before, or refused, and returns how many.
// Those that still wait will come by themselves.
func (c *Comparison) resend(ctx context.Context, job int64, known messageIDs, p repairPlan, send Send) (sent int, err error) {
	request, size := &collectorpb.ExportTraceServiceRequest{}, 0
	flush := func() error {
		if len(request.GetResourceSpans()) == 0 {
			return nil
		}
		defer func() { request, size = &collectorpb.ExportTraceServiceRequest{}, 0 }()
		return send(ctx, request)
	}
	for m, err := range c.Records.messages(ctx, job, known) {
		if err != nil {
			return sent, err
		}
		if m.sent.IsZero() && !m.refused {
			continue
		}
		var one collectorpb.ExportTraceServiceRequest
		if err := proto.Unmarshal(m.body, &one); err != nil {
			return sent, fmt.Errorf("decode message: %w", err)
		}
		spans, err := decode(m.body)
		if err != nil {
			return sent, err
		}
		if slices.ContainsFunc(spans, func(s span) bool { return s.stage() != "" && p.without[s.key()] }) {
			continue
		}
		if size+len(m.body) > requestSize {
			if err := flush(); err != nil {
				return sent, err
			}
		}
		mark(&one, p.asked)
		request.ResourceSpans = append(request.ResourceSpans, one.GetResourceSpans()...)
		size += len(m.body)
		sent++
	}
	return sent, flush()
}

// mark makes a request a repair message.
func mark(request *collectorpb.ExportTraceServiceRequest, asked string) {
	for _, rs := range request.GetResourceSpans() {
		if rs.Resource == nil {
			rs.Resource = &resourcepb.Resource{}
		}
		rs.Resource.Attributes = append(rs.Resource.Attributes, &commonpb.KeyValue{
			Key: wire.ResRepair, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: asked}},
		})
	}
}
