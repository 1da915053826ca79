package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatOnlyOtherSendersOfOTLPTakeIsWarnedAbout(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for dotenv, want := range map[string][]string{
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc\n" + endpoint + "=https://h:4317/": nil,
		endpoint + "=http://h": nil,
		"OTELCOL_GRPC_ENDPOINT=127.0.0.1:4318\n" + endpoint + "=http://127.0.0.1:4318": nil,
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf": {
			`.env:1: OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf" has no effect, the worker speaks OTLP/gRPC only; remove it, and let OTEL_EXPORTER_OTLP_ENDPOINT name the gRPC port, 4317 by default`,
		},
		"OTEL_EXPORTER_OTLP_CERTIFICATE=/ca.pem\nOTEL_EXPORTER_OTLP_TIMEOUT=5000": {
			".env:1: OTEL_EXPORTER_OTLP_CERTIFICATE: it has no effect, the Collector's certificate is checked against the authorities of the system; SSL_CERT_FILE in the environment names others",
			".env:2: OTEL_EXPORTER_OTLP_TIMEOUT: it has no effect on what is recorded of jobs, whose messages have a minute each and are sent again until OUTBOX_MAX_AGE",
		},
		endpoint + "=http://[::1]:4318/v1/traces": {
			".env:1: OTEL_EXPORTER_OTLP_ENDPOINT: of it scheme, host and port are used, not the path /v1/traces: OTLP/gRPC goes to [::1]:4318; remove what is not used",
			".env:1: OTEL_EXPORTER_OTLP_ENDPOINT: 4318 is the port of OTLP/HTTP, and the worker speaks OTLP/gRPC; write http://[::1]:4317",
		},
		endpoint + "=https://me:hushhush@h:4317?token=hushhush": {
			".env:1: OTEL_EXPORTER_OTLP_ENDPOINT: of it scheme, host and port are used, not user and password, the query: OTLP/gRPC goes to h:4317; remove what is not used; OTEL_EXPORTER_OTLP_HEADERS may hold what the Collector asks for",
		},
	} {
		_, got, err := load(t, nil, dotenv+"\n")
		if err != nil {
			t.Errorf("%s: %v", dotenv, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", dotenv, diff)
		}
	}
}

func TestPortsThatThereAreNotAreRefused(t *testing.T) {
	_, _, err := load(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://h:99999", "MLFLOW_TRACKING_URI=http://h:0", "OPENAI_BASE_URL=http://h:65535/v1"}, "")
	checkLines(t, err, []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT: 99999 is no port; use 1 to 65535",
		"MLFLOW_TRACKING_URI: 0 is no port; use 1 to 65535",
	})
}
