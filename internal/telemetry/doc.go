// Package telemetry is what the worker knows of OpenTelemetry. It turns the stages of
// a job into spans, hands each finished stage to its caller as one OTLP message for the
// outbox, and relays the outbox to a Collector.
//
// A nil *Provider, a nil *Stage and a zero Detail mean that telemetry is off; every
// method may be called on them and costs no allocation.
//
// Lifecycle spans (the stages and the root) are made at the moment they end, from the
// values that the job database keeps, under ids that are known from the start. So no
// span is open while a job runs, and a crash leaves nothing half done. Detail spans
// (model calls, tool calls, requests) are ordinary SDK spans that leave with their stage.
//
// Every text is redacted on its way into a span, a measurement or the resource; record.go is
// that way, and the only one.
package telemetry
