package config

import (
	"net"
	"net/url"
	"strings"
)

// validateExport warns of settings that other senders of OTLP take and the worker does not: it
// speaks OTLP/gRPC alone. The values are all that environment and files hold.
func (c Config) validateExport(values map[string]string, warn func(key, format string, args ...any)) {
	if p := values["OTEL_EXPORTER_OTLP_PROTOCOL"]; p != "" && p != "grpc" {
		warn("OTEL_EXPORTER_OTLP_PROTOCOL", "%q has no effect, the worker speaks OTLP/gRPC only; remove it, and let OTEL_EXPORTER_OTLP_ENDPOINT name the gRPC port, 4317 by default", p)
	}
	if values["OTEL_EXPORTER_OTLP_CERTIFICATE"] != "" {
		warn("OTEL_EXPORTER_OTLP_CERTIFICATE", "it has no effect, the Collector's certificate is checked against the authorities of the system; SSL_CERT_FILE in the environment names others")
	}
	if values["OTEL_EXPORTER_OTLP_TIMEOUT"] != "" {
		warn("OTEL_EXPORTER_OTLP_TIMEOUT", "it has no effect on what is recorded of jobs, whose messages have a minute each and are sent again until OUTBOX_MAX_AGE")
	}
	u, err := url.Parse(c.OTLPEndpoint)
	if err != nil || u.Host == "" {
		return // said already
	}
	var unused []string
	if u.User != nil {
		unused = append(unused, "user and password")
	}
	if strings.Trim(u.Path, "/") != "" {
		unused = append(unused, "the path "+u.Path)
	}
	if u.RawQuery != "" {
		unused = append(unused, "the query")
	}
	if len(unused) > 0 {
		remedy := "remove what is not used"
		if u.User != nil {
			remedy += "; OTEL_EXPORTER_OTLP_HEADERS may hold what the Collector asks for"
		}
		warn("OTEL_EXPORTER_OTLP_ENDPOINT", "of it scheme, host and port are used, not %s: OTLP/gRPC goes to %s; %s", strings.Join(unused, ", "), u.Host, remedy)
	}
	_, grpc, _ := net.SplitHostPort(values["OTELCOL_GRPC_ENDPOINT"])
	if u.Port() == "4318" && grpc != "4318" {
		warn("OTEL_EXPORTER_OTLP_ENDPOINT", "4318 is the port of OTLP/HTTP, and the worker speaks OTLP/gRPC; write %s://%s", u.Scheme, net.JoinHostPort(u.Hostname(), "4317"))
	}
}
