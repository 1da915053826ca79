package telemetry

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

// Feedback returns the message with a person's verdict on a job, for the transaction that
// stores the reaction. There is none for a job of which nothing is recorded. Of two verdicts
// of one person the bridge takes the later one, in whatever order the messages come.
func (p *Provider) Feedback(j commentator.Job, v commentator.Verdict) (Message, error) {
	if !p.records(j) {
		return Message{}, nil
	}
	person := userID(p.cfg.PseudonymKey, v.User)
	if person == "" {
		return Message{}, nil // it would pass for the service's own verdict
	}
	return p.emitOfJob(j, wire.TierMessage, trace.SpanID{}, closedSpan{
		name: wire.SpanFeedback, start: v.At, end: v.At,
		attrs:    []attribute.KeyValue{attribute.String(wire.AttrUserID, person)},
		verdicts: []clean{p.rec.attributes(verdictAttributes(v)...)},
	})
}

// verdictAttributes are those of the event gen_ai.evaluation.result. The value is 1 or 0, so
// that the mean of several is the share of people who found the comment helpful.
func verdictAttributes(v commentator.Verdict) []attribute.KeyValue {
	name := attribute.String(wire.AttrEvaluationName, wire.EvaluationHelpful)
	switch v.Value {
	case commentator.VerdictTakenBack:
		return []attribute.KeyValue{name, attribute.Bool(wire.AttrEvaluationRetracted, true)}
	case commentator.VerdictUp:
		return []attribute.KeyValue{name, attribute.Float64(wire.AttrEvaluationValue, 1), attribute.String(wire.AttrEvaluationLabel, wire.EvaluationUp)}
	default:
		return []attribute.KeyValue{name, attribute.Float64(wire.AttrEvaluationValue, 0), attribute.String(wire.AttrEvaluationLabel, wire.EvaluationDown)}
	}
}

// FeedbackSeen counts a reaction that a person put on a message or took away, by what became
// of it.
func (p *Provider) FeedbackSeen(outcome string) {
	if p != nil {
		p.metrics.feedbackSeen(outcome)
	}
}
