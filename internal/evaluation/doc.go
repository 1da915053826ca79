// Package evaluation makes comments on a dataset of recorded pages, scores them, and keeps what
// came out: in a database of its own while an evaluation runs, so that a killed one goes on
// where it was, and in eval_results.json, which everything that compares evaluations reads.
package evaluation
