package drive

// Request is a line that the benchmark writes to the worker under load.
type Request struct {
	// Jobs runs so many jobs one after another.
	Jobs int `json:"jobs,omitempty"`
	// Collect collects garbage first, outside the measurement, so that turns begin alike.
	Collect bool `json:"collect,omitempty"`
	// Allocations counts the allocations of each job, without garbage collection.
	Allocations bool `json:"allocations,omitempty"`
	// Drain waits afterwards until the outbox is empty, as part of the measurement.
	Drain bool `json:"drain,omitempty"`
	// Tally counts what the outbox holds, sent messages too.
	Tally bool `json:"tally,omitempty"`
	// Job returns the messages of the last job.
	Job bool `json:"job,omitempty"`
}

// Answer is the line that comes back.
type Answer struct {
	CPU    float64  `json:"cpu_us"`             // user and system, of all threads
	Drain  float64  `json:"drain_us,omitempty"` // time until the outbox was empty
	Jobs   []Sample `json:"jobs,omitempty"`
	Memory int64    `json:"anonymous_bytes"`

	Telemetry int64 `json:"telemetry_allocations,omitempty"` // of all jobs, with Allocations

	Messages int64    `json:"messages,omitempty"` // in the outbox
	Stored   int64    `json:"stored_bytes,omitempty"`
	Plain    int64    `json:"plain_bytes,omitempty"`
	Job      [][]byte `json:"job,omitempty"` // requests, decompressed
}

// Sample is one job, times in µs.
type Sample struct {
	Total       float64 `json:"total"` // of the attempt
	Call        float64 `json:"call,omitempty"`
	Detail      float64 `json:"detail,omitempty"`
	Insert      float64 `json:"insert,omitempty"`
	Checkpoint  bool    `json:"checkpoint,omitempty"` // one ran beside it
	Allocations int64   `json:"allocations,omitempty"`
}

// Added is the time that the job's goroutine spent on telemetry.
func (s Sample) Added() float64 { return s.Call + s.Detail + s.Insert }
