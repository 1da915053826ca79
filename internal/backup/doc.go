// Package backup copies a deployment while it runs, and puts a copy into an empty place.
//
// A backup is a folder: files/ is laid out as the deployment is, so that it can be used where
// it lies, and manifest.json says what must be there: checksums, sizes, rows of each table.
//
// The order makes what is copied at different moments fit together. MLflow's database comes
// first, the job database second: what was delivered in between is in the job database's
// outbox as sent, and can be sent again; the other way round MLflow would hold runs of jobs
// that nobody knows. Artifacts come last: MLflow writes them before anything refers to them, so
// that whatever the copied database refers to is there by then.
//
// The Collector's queue and ledger are left out. What is in the queue is in the outbox too, and
// a ledger that knows more than the MLflow beside it would keep runs from being written; without
// one the bridge looks in MLflow. What MLflow refused for good exists nowhere else and is copied.
package backup
