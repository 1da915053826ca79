// Package wire is the seam between the worker and everything that consumes its
// telemetry: the name of every span, attribute, event, metric, MLflow tag, param
// and metric, and the identities that make one job one trace and one run.
//
// It imports the standard library only, so that the worker and the Collector
// exporter can share it without sharing anything else. docs/WIRE.md is generated
// from Catalog by `make generate`.
package wire
