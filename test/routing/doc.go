// Package routing runs every configuration of otel-config in a Collector that has all the
// components they name, with MLflow's stand-in, other backends and Kafka around it, and
// checks what arrives where. docs/ROUTING.md says which configuration is for what.
//
// It is a module of its own: tail sampling, load balancing and Kafka bring four hundred
// packages, of which neither the programs nor whoever builds a distribution with the
// exporter should have to know.
package routing
