// Package reconcile compares what a job database recorded with what MLflow holds.
//
// The job database is the truth: its tables say which jobs and attempts at stages there
// are, and its outbox keeps every OTLP message for a while after it was sent. What MLflow
// must hold because of a message is worked out here from the catalog of docs/WIRE.md, with
// no code of the bridge, so that a mistake of the bridge is not repeated by its judge.
//
// MLflow is read through its API (Server), or by the caller, from its database. What is lost is
// repaired by sending the kept messages again, to the Collector's receiver for repairs.
package reconcile
