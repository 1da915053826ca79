package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"

	"github.com/technoshare/commentator/internal/wire"
)

// SlackEvent counts an event or a message that came from Slack: what became of it, how it
// came, and whether Slack said that it had sent it before.
func (p *Provider) SlackEvent(ctx context.Context, outcome, source string, retry bool) {
	if p != nil {
		p.metrics.slackEvent(ctx, outcome, source, retry)
	}
}

// SlackLinks counts n links of a message by what became of them.
func (p *Provider) SlackLinks(ctx context.Context, outcome string, n int64) {
	if p != nil && n > 0 {
		p.metrics.slackLinks(ctx, outcome, n)
	}
}

func (m *metrics) slackEvent(ctx context.Context, outcome, source string, retry bool) {
	again := ""
	if retry {
		again = "retry"
	}
	m.events.Add(ctx, 1, m.labelled(labelKey{"slack event", outcome, source, again}, func() []attribute.KeyValue {
		return []attribute.KeyValue{
			attribute.String(wire.AttrEventOutcome, outcome),
			attribute.String(wire.AttrEventSource, source),
			attribute.Bool(wire.AttrEventRetry, retry),
		}
	}))
}

func (m *metrics) slackLinks(ctx context.Context, outcome string, n int64) {
	m.links.Add(ctx, n, m.labelled(labelKey{"slack link", outcome}, func() []attribute.KeyValue {
		return []attribute.KeyValue{attribute.String(wire.AttrLinkOutcome, outcome)}
	}))
}
