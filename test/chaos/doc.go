// Command chaos kills the worker, the Collector and MLflow while jobs flow, again and again
// and at points that a seed chooses, and then compares what was put in with the job database
// and with MLflow's own database. docs/CHAOS.md says how to read what it writes.
//
//	go run ./test/chaos -jobs 200 -seed 1     results in .bench/chaos.json
//	go run ./test/chaos soak -outage 10m      results in .bench/soak.json
//	go run ./test/chaos slack -messages 1000  results in .bench/slack.json
//
// The soak kills nothing at chosen points: it takes the Collector or MLflow away for long, lets
// jobs come at a rate, and measures what that does to the worker.
//
// The third kills the worker alone, between a Slack that fails (test/slackfake) and its own
// database, and compares the messages that were written with the threads that Slack holds.
//
// It runs on Linux, from the top of the checkout, with the programs built into bin.
package main
