// Command bench measures what it takes to bring jobs into MLflow, in one go on one server:
// by MLflow's SDK inside a Python worker (sdk), by the least that a client can do (floor),
// and by spans through a Collector with the mlflow exporter (bridge).
//
//	go run ./test/bench            rounds of all ways in turn; .bench/bridge.json
//	go run ./test/bench traces     spans a second against the stock otlphttp exporter
//	go run ./test/bench backlog    jobs that wait for MLflow, then all of them written
//	go run ./test/bench ingest     events into the job database and jobs out of it; .bench/ingest.json
//	go run ./test/bench gate       how often the evaluation gate is wrong; .bench/gate.json
//	go run ./test/bench worker     what telemetry takes of the worker's time; .bench/worker.json
//
// It runs on Linux, from the top of the checkout.
package main
