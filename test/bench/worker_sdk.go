//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// sdkFigures is what MLflow's SDK takes for the same job inside a Python worker, with a
// MLflow on the same machine.
type sdkFigures struct {
	Jobs []float64 `json:"ms"`
	Job  spread    `json:"ms_per_job"`
	CPU  float64   `json:"cpu_ms_per_job"`
	RSS  float64   `json:"anonymous_mb"`
}

// Jobs of the SDK: it takes most of a second for one.
const (
	sdkRounds = 15
	sdkWarmUp = 3
)

// sdkOf has the SDK record a job that a worker recorded.
func sdkOf(o options, messages [][]byte) (f sdkFigures, err error) {
	var list []json.RawMessage
	for _, m := range messages {
		traces, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(m)
		if err != nil {
			return f, fmt.Errorf("read a job's message: %w", err)
		}
		body, err := (&ptrace.JSONMarshaler{}).MarshalTraces(traces)
		if err != nil {
			return f, fmt.Errorf("encode a job's message: %w", err)
		}
		list = append(list, body)
	}
	body, err := json.Marshal(list)
	if err != nil {
		return f, fmt.Errorf("encode a job's messages: %w", err)
	}
	job := filepath.Join(o.dir, "worker-job.json")
	if err := os.WriteFile(job, body, 0o600); err != nil {
		return f, err
	}
	server, err := startServer(o.top, o.dir, "")
	if err != nil {
		return f, err
	}
	defer server.stop()
	worker, err := startSDK(o.top, o.dir, server.url, job, "sdk")
	if err != nil {
		return f, err
	}
	defer worker.stop()
	if _, err := worker.record(sdkWarmUp); err != nil {
		return f, err
	}
	cpu := worker.cpu()
	for range sdkRounds {
		took, err := worker.record(1)
		if err != nil {
			return f, err
		}
		f.Jobs = append(f.Jobs, float64(took.Microseconds())/1000)
	}
	f.Job, f.RSS = spreadOf(f.Jobs), float64(worker.anonymous())/1e6
	f.CPU = float64((worker.cpu() - cpu).Microseconds()) / 1000 / sdkRounds
	return f, nil
}
