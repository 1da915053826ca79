// Command worker is the worker's pipeline under load, as one process that the benchmark
// drives: the real stages, store and telemetry, without the queue. It reads one JSON request
// a line from standard input and answers with one line.
package main
