package main

import (
	"bytes"
	"os"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// The exporters of both signals share what writes to MLflow, so its lines name no signal: it would be
// that of the pipeline that was made first.
func TestTheLogNamesNoSignalOfAnotherPipeline(t *testing.T) {
	beside(t)
	set := settings()
	uris := &set.ConfigProviderSettings.ResolverSettings.URIs
	*uris = append(*uris, "yaml:service::telemetry::logs: {encoding: json, output_paths: [collector.log], error_output_paths: [collector.log]}")
	stop := startSettings(t, set)
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID([16]byte{1})
	span.SetSpanID([8]byte{1})
	span.SetName("nightly")
	span.Attributes().PutStr("run.kind", "job")
	span.Events().AppendEmpty().SetName("artifact") // without content
	send(t, []ptrace.Traces{td})
	var line []byte
	await(t, "the line of what is dropped", func() bool {
		text, err := os.ReadFile("collector.log")
		if err != nil {
			return false
		}
		for one := range bytes.Lines(text) {
			if bytes.Contains(one, []byte("invalid_artifact")) && bytes.HasSuffix(one, []byte("\n")) {
				line = one
			}
		}
		return line != nil
	})
	stop()
	for _, want := range []string{`"level":"warn"`, "nightly: an artifact without `artifact.name`"} { // no failure of the program: without a stack
		if !bytes.Contains(line, []byte(want)) {
			t.Errorf("%s is missing in %s", want, line)
		}
	}
	if bytes.Contains(line, []byte("stacktrace")) || bytes.Contains(line, []byte("otelcol.signal")) || !bytes.Contains(line, []byte(`"otelcol.component.id":"mlflow"`)) {
		t.Errorf("%s", line)
	}
}
