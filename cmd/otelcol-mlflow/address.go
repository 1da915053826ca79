package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/technoshare/commentator/internal/config"
)

// portVariable holds a port alone; the other variables of addressVariables hold host:port.
const portVariable = "OTELCOL_METRICS_PORT"

// addressVariables say where the embedded configuration listens.
var addressVariables = []string{
	"OTELCOL_GRPC_ENDPOINT", "OTELCOL_HTTP_ENDPOINT", "OTELCOL_REPLAY_ENDPOINT", "OTELCOL_HEALTH_ENDPOINT",
	"OTELCOL_STATUS_ENDPOINT", portVariable, "OTELCOL_PROMETHEUS_ENDPOINT",
}

// wrongAddresses names the variables whose value nothing can listen at. The components that get it
// name the value at most, and only at the start.
func wrongAddresses(getenv func(string) string) error {
	var errs []error
	for _, name := range addressVariables {
		value := getenv(name)
		switch {
		case value == "" || strings.HasPrefix(value, "/") || strings.HasPrefix(value, "@"):
			// Unset, or a Unix socket in a configuration of one's own.
		case name == portVariable:
			if _, err := strconv.ParseUint(value, 10, 16); err != nil { // the configuration takes no names
				errs = append(errs, fmt.Errorf("%s must be a port up to 65535, such as 8888, found %q", name, value))
			}
		default:
			if _, port, err := net.SplitHostPort(value); err != nil || !isPort(port) {
				errs = append(errs, fmt.Errorf("%s must be host:port without a scheme, such as %s, with a port up to 65535, found %q", name, config.UsualAddress(name), value))
			}
		}
	}
	return errors.Join(errs...)
}

// backendVariable is an address that is sent to, which may have a scheme.
const backendVariable = "OTLP_BACKEND"

// otherAddresses are the variables of the files of otel-config beside addressVariables, with the address that is
// used without one. The embedded configuration has none of them.
var otherAddresses = []struct{ name, usual string }{
	{"OTELCOL_SAMPLING_ENDPOINT", "127.0.0.1:5778"}, {backendVariable, "127.0.0.1:14317"},
}

// wrongOthers is wrongAddresses for these.
func wrongOthers(getenv func(string) string) error {
	var errs []error
	for _, a := range otherAddresses {
		value := getenv(a.name)
		if value == "" || strings.HasPrefix(value, "/") || a.name == backendVariable && strings.Contains(value, "//") {
			continue
		}
		if _, port, err := net.SplitHostPort(value); err != nil || !isPort(port) {
			errs = append(errs, fmt.Errorf("%s must be host:port, such as %s, with a port up to 65535, found %q", a.name, a.usual, value))
		}
	}
	return errors.Join(errs...)
}

// isPort also takes the names of services, as net.Listen does.
func isPort(text string) bool {
	_, err := net.LookupPort("tcp", text)
	return err == nil
}
