package telemetry

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Mode says how much telemetry a process emits.
type Mode string

// The modes.
const (
	ModeOff      Mode = "off"      // no SDK, connection, goroutine or file
	ModeTracking Mode = "tracking" // lifecycle spans, artifacts and metrics
	ModeTracing  Mode = "tracing"  // and the detail spans of sampled jobs
)

// Settings are the switches that decide the mode, already read from the environment.
type Settings struct {
	EnableTracking bool   // MLFLOW_ENABLE_TRACKING
	EnableTracing  bool   // MLFLOW_ENABLE_TRACING
	SDKDisabled    bool   // OTEL_SDK_DISABLED
	TracesExporter string // OTEL_TRACES_EXPORTER; "none" switches everything off
}

// ResolveMode returns the mode that the switches ask for and, in a clause that
// completes "telemetry is <mode> because …", why.
func ResolveMode(s Settings) (Mode, string) {
	switch {
	case s.SDKDisabled:
		return ModeOff, "OTEL_SDK_DISABLED is true"
	case strings.EqualFold(strings.TrimSpace(s.TracesExporter), "none"):
		return ModeOff, "OTEL_TRACES_EXPORTER is none"
	case !s.EnableTracking && s.EnableTracing:
		return ModeOff, "MLFLOW_ENABLE_TRACING has no effect without MLFLOW_ENABLE_TRACKING"
	case !s.EnableTracking:
		return ModeOff, "MLFLOW_ENABLE_TRACKING is not true"
	case s.EnableTracing:
		return ModeTracing, "MLFLOW_ENABLE_TRACKING and MLFLOW_ENABLE_TRACING are true"
	default:
		return ModeTracking, "MLFLOW_ENABLE_TRACKING is true and MLFLOW_ENABLE_TRACING is not"
	}
}

// ResolveSampler returns the share of jobs that are recorded in full in ModeTracing, or the
// source that says it at run time, from OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG. Both
// empty means 1. The parentbased_ samplers act like their root, because a job never has a
// parent.
func ResolveSampler(sampler, arg string) (ratio float64, remote *Remote, err error) {
	if name := strings.TrimPrefix(strings.TrimSpace(sampler), "parentbased_"); name == "jaeger_remote" {
		remote, err = parseRemote(arg)
		return 0, remote, err
	}
	ratio, err = resolveRatio(sampler, arg)
	return ratio, nil, err
}

func resolveRatio(sampler, arg string) (float64, error) {
	switch name := strings.TrimPrefix(strings.TrimSpace(sampler), "parentbased_"); name {
	case "", "always_on":
		return 1, nil
	case "always_off":
		return 0, nil
	case "traceidratio":
		if strings.TrimSpace(arg) == "" {
			return 1, nil
		}
		ratio, err := strconv.ParseFloat(strings.TrimSpace(arg), 64)
		if err != nil || math.IsNaN(ratio) || ratio < 0 || ratio > 1 {
			return 0, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG: %q is no number from 0 to 1", arg)
		}
		return ratio, nil
	default:
		return 0, fmt.Errorf("OTEL_TRACES_SAMPLER: %q is unknown; use always_on, always_off, traceidratio or jaeger_remote", sampler)
	}
}
