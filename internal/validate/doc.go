// Package validate shows that a deployment records as it should: it lets test jobs run on the
// real way, from the worker over the Collector into MLflow, compares what MLflow holds then with
// what was recorded, and how long the jobs took with a baseline.
//
// The jobs are run by the commentator program itself, which is asked to `replay` an event: it
// posts nothing. They have a job database, a channel and an experiment of their own, so that
// they meet neither a worker that runs nor the jobs of people.
package validate
