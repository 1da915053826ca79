// Package mlflowexporter writes spans to MLflow: selected spans become runs with params,
// tags, metrics and artifacts, and whole traces become MLflow traces that are linked to
// their runs. It looks as if MLflow's own SDK had been used, while the application knows
// OpenTelemetry only.
//
// What passes through it goes one way: internal/selection classifies spans, internal/reduce
// makes a plan of what MLflow should hold because of them, internal/apply makes MLflow hold
// it, and internal/ledger remembers what was done.
package mlflowexporter

//go:generate go tool -modfile=../../internal/tools/mdatagen/go.mod mdatagen metadata.yaml
