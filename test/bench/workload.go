//go:build linux

package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.yaml.in/yaml/v3"

	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

// workload is the job that every way records.
type workload struct {
	Fixture   string         `yaml:"fixture"`
	Seed      uint64         `yaml:"seed"`
	Artifacts map[string]int `yaml:"artifacts"` // bytes by name

	messages []ptrace.Traces // as the worker sends them, with the files of that size
}

func loadWorkload(path string) (*workload, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load workload: %w", err)
	}
	w := &workload{}
	if err := yaml.Unmarshal(body, w); err != nil {
		return nil, fmt.Errorf("load workload: %w", err)
	}
	if w.messages, _, err = fixture.Load(w.Fixture); err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(w.Seed, 0))
	for span := range allSpans(w.messages) {
		for _, e := range span.Events().All() {
			if e.Name() == wire.EventArtifact {
				w.fill(e.Attributes(), random)
			}
		}
	}
	return w, nil
}

// fill gives a file its size.
func (w *workload) fill(file pcommon.Map, random *rand.Rand) {
	name, _ := file.Get(wire.AttrArtifactName)
	text := make([]byte, w.Artifacts[name.Str()])
	const letters = "etaoin shrdlu cmfwyp vbgkqj xz.\n"
	for i := range text {
		text[i] = letters[random.IntN(len(letters))]
	}
	sum := sha256.Sum256(text)
	file.PutStr(wire.AttrArtifactContent, string(text))
	file.PutInt(wire.AttrArtifactSize, int64(len(text)))
	file.PutStr(wire.AttrArtifactSHA256, hex.EncodeToString(sum[:]))
}

// live gives the messages of job n, which started now, as the worker sends them.
func (w *workload) live(n int, now time.Time) []ptrace.Traces {
	var out []ptrace.Traces
	first := pcommon.Timestamp(0)
	for span := range allSpans(w.messages) {
		if first == 0 || span.StartTimestamp() < first {
			first = span.StartTimestamp()
		}
	}
	shift := pcommon.NewTimestampFromTime(now) - first
	for _, m := range w.messages {
		td := ptrace.NewTraces()
		m.CopyTo(td)
		out = append(out, td)
	}
	for span := range allSpans(out) {
		span.SetTraceID(traceID(n))
		span.SetStartTimestamp(span.StartTimestamp() + shift)
		span.SetEndTimestamp(span.EndTimestamp() + shift)
		span.Attributes().PutStr(wire.AttrJobID, strconv.Itoa(n))
		if at, ok := span.Attributes().Get(wire.AttrStartedAt); ok {
			at.SetInt(at.Int() + int64(shift/1000))
		}
		for _, e := range span.Events().All() {
			e.SetTimestamp(e.Timestamp() + shift)
		}
	}
	return out
}

// whole gives job n as one message.
func (w *workload) whole(n int, now time.Time) ptrace.Traces {
	return merge(w.live(n, now))
}

func merge(messages []ptrace.Traces) ptrace.Traces {
	out := ptrace.NewTraces()
	for _, m := range messages {
		m.ResourceSpans().MoveAndAppendTo(out.ResourceSpans())
	}
	return out
}

// file writes the job as a fixture, for the SDK's way to read.
func (w *workload) file(dir string) (string, error) {
	var list []json.RawMessage
	for _, m := range w.messages {
		body, err := (&ptrace.JSONMarshaler{}).MarshalTraces(m)
		if err != nil {
			return "", fmt.Errorf("encode workload: %w", err)
		}
		list = append(list, body)
	}
	body, err := json.Marshal(list)
	if err != nil {
		return "", fmt.Errorf("encode workload: %w", err)
	}
	path := filepath.Join(dir, "job.json")
	return path, os.WriteFile(path, body, 0o600)
}

// traceID is that of job n.
func traceID(n int) pcommon.TraceID {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("bench"), uint64(n)))
	return pcommon.TraceID(sum[:16])
}

func allSpans(messages []ptrace.Traces) func(yield func(ptrace.Span) bool) {
	return func(yield func(ptrace.Span) bool) {
		for _, m := range messages {
			for _, rs := range m.ResourceSpans().All() {
				for _, ss := range rs.ScopeSpans().All() {
					for _, s := range ss.Spans().All() {
						if !yield(s) {
							return
						}
					}
				}
			}
		}
	}
}
