// Package samplingextension serves sampling strategies over HTTP in Jaeger's form, from a file:
// what the sampler jaeger_remote of the OpenTelemetry SDKs asks for. A changed file holds from
// the next question on.
package samplingextension
