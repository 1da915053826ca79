package telemetry

import (
	"context"
	"strconv"

	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/mrkdwn"
	"github.com/technoshare/commentator/internal/wire"
)

func jobID(j commentator.Job) string { return strconv.FormatInt(j.ID, 10) }

func detailValue(j commentator.Job) string {
	switch j.Detail {
	case commentator.DetailFull:
		return wire.DetailFull
	case commentator.DetailTracking:
		return wire.DetailLifecycle
	default:
		return string(commentator.DetailOff)
	}
}

// JobActive counts jobs that are being worked on: +1 when an attempt starts, -1 when it
// ends.
func (p *Provider) JobActive(delta int64) {
	if p != nil {
		p.metrics.jobActive(context.Background(), delta)
	}
}

// JobStarted returns the message that makes a job visible as running, for the transaction
// that sets jobs.started_at. The job must have StartedAt and Detail.
func (p *Provider) JobStarted(j commentator.Job, m commentator.Message) (Message, error) {
	if !p.records(j) {
		return Message{}, nil
	}
	return p.emitOfJob(j, wire.TierMessage, trace.SpanID{}, closedSpan{
		name: wire.SpanJobStarted, start: j.StartedAt, end: j.StartedAt, attrs: p.jobAttributes(j, m),
	})
}

// JobEnded returns the message with the root span of a job, for the transaction that makes
// its row final. The job must have its outcome and times; stages are all its recorded
// attempts in the order in which they were stored.
func (p *Provider) JobEnded(j commentator.Job, m commentator.Message, stages []commentator.StageRecord) (Message, error) {
	if p == nil || j.StartedAt.IsZero() {
		return Message{}, nil
	}
	p.encoded.forget(j.ID)
	p.metrics.jobEnded(context.Background(), j)
	if !p.records(j) {
		return Message{}, nil
	}
	sum := p.summarize(stages)
	_, rootID := jobIdentity(j)
	var texts clean
	if j.Detail == commentator.DetailFull && p.cfg.CaptureContent {
		texts = p.jobTexts(j, m, sum)
	}
	return p.emitOfJob(j, wire.TierLifecycle, rootID, closedSpan{
		name: wire.SpanJob, kind: trace.SpanKindConsumer,
		start: j.StartedAt, end: j.FinishedAt,
		attrs: append(p.jobAttributes(j, m), p.outcomeAttributes(j, sum)...), texts: texts,
		failed: j.Outcome == commentator.OutcomeError, failure: j.ErrorMessage,
	})
}

// jobTexts returns job.input and job.output of the root, which people read in lists of traces. What was
// posted, as it was posted, is in comment.text and in the stage's artifact.
func (p *Provider) jobTexts(j commentator.Job, m commentator.Message, sum summary) (texts clean) {
	input := struct {
		URL     string `json:"url,omitempty"`
		Message string `json:"message,omitempty"`
	}{j.URL, p.plain(m.Text)}
	output := struct {
		Outcome  commentator.Outcome       `json:"outcome"`
		Comment  string                    `json:"comment,omitempty"`
		Failures []commentator.GateFailure `json:"gate_failures,omitempty"`
		Error    string                    `json:"error,omitempty"`
	}{Outcome: j.Outcome, Comment: p.laidOut(p.commentText(sum)), Error: j.ErrorMessage}
	if sum.last.gates != nil {
		output.Failures = sum.last.gates.Failures
	}
	texts.addJSON(p.rec, wire.AttrInput, input)
	texts.addJSON(p.rec, wire.AttrOutput, output)
	return texts
}

// plain is a text of Slack as people read it. It is masked before that: where Slack's escapes are
// gone, a secret may no longer look like one.
func (p *Provider) plain(s string) string { return mrkdwn.Plain(string(p.rec.mask(s))) }

// laidOut is likewise, as the Markdown that MLflow's UI makes of outputs. Around the label of a link
// Markdown may hide a secret that shows where the label stands alone: such a text stays plain, and masked.
func (p *Provider) laidOut(s string) string {
	s = string(p.rec.mask(s))
	if mrkdwn.HasLabels(s) {
		plain := mrkdwn.Plain(s)
		if m := string(p.rec.mask(plain)); m != plain {
			return m
		}
	}
	return mrkdwn.Plain(mrkdwn.Markdown(s))
}
