//go:build linux

package main

import (
	"runtime"
	"strings"
)

// ours are the functions whose allocations count as those of telemetry that is off.
var ours = []string{"/internal/telemetry.", "/internal/store.(*Store).enqueueMessage", "/internal/pipeline.(*values).end"}

// watchAllocations notes every allocation from now on; the function that it returns says how
// many of them telemetry has made.
func watchAllocations() func() int64 {
	runtime.MemProfileRate = 1
	before := telemetryAllocations()
	return func() int64 { return telemetryAllocations() - before }
}

func telemetryAllocations() (n int64) {
	runtime.GC() // the profile is that of the garbage collection before the last one
	runtime.GC()
	records := make([]runtime.MemProfileRecord, 1<<16)
	have, ok := runtime.MemProfile(records, true)
	for !ok {
		records = make([]runtime.MemProfileRecord, 2*have)
		have, ok = runtime.MemProfile(records, true)
	}
	for _, r := range records[:have] {
		if isOurs(r.Stack()) {
			n += r.AllocObjects
		}
	}
	return n
}

// isOurs reports whether the innermost function outside of the runtime is one of ours.
func isOurs(stack []uintptr) bool {
	frames := runtime.CallersFrames(stack)
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") {
			for _, name := range ours {
				if strings.Contains(f.Function, name) {
					return true
				}
			}
			return false
		}
		if !more {
			return false
		}
	}
}
