package routing

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

// job is what a worker sends for one job, and what MLflow must hold after it.
type job struct {
	trace    pcommon.TraceID
	requests []ptrace.Traces
	expected fixture.Expected
}

var fixtures = map[string]job{} // read once

// recorded returns a fixture of one job.
func recorded(t *testing.T, name string) job {
	t.Helper()
	j, ok := fixtures[name]
	if !ok {
		var err error
		if j.requests, j.expected, err = fixture.Load(name); err != nil {
			t.Fatal(err)
		}
		j.each(func(sp ptrace.Span) { j.trace = sp.TraceID() })
		fixtures[name] = j
	}
	requests := make([]ptrace.Traces, len(j.requests))
	for i, td := range j.requests {
		requests[i] = ptrace.NewTraces()
		td.CopyTo(requests[i])
	}
	j.requests = requests
	j.expected.Runs, j.expected.Traces = slices.Clone(j.expected.Runs), slices.Clone(j.expected.Traces)
	return j
}

// copies returns n jobs that differ from a fixture in their trace ids alone, numbered from
// first on.
func copies(t *testing.T, name string, first, n int) []job {
	t.Helper()
	all := make([]job, n)
	for i := range all {
		j := recorded(t, name)
		sum := sha256.Sum256(fmt.Appendf(nil, "%s copy %d", j.trace, first+i))
		id := pcommon.TraceID(sum[:16])
		rename := func(s *string) { *s = strings.ReplaceAll(*s, j.trace.String(), id.String()) }
		for k := range j.expected.Runs {
			rename(&j.expected.Runs[k].Key)
			rename(&j.expected.Runs[k].Parent)
		}
		for k := range j.expected.Traces {
			rename(&j.expected.Traces[k].ID)
			rename(&j.expected.Traces[k].Run)
		}
		j.each(func(sp ptrace.Span) { sp.SetTraceID(id) })
		j.trace = id
		all[i] = j
	}
	return all
}

// begunAt moves everything that is recorded of a job to another time.
func (j job) begunAt(at time.Time) job {
	by := at.Sub(time.UnixMilli(j.expected.Runs[0].StartMS)).Truncate(time.Millisecond)
	move := func(ts pcommon.Timestamp) pcommon.Timestamp { return ts + pcommon.Timestamp(by) }
	j.each(func(sp ptrace.Span) {
		sp.SetStartTimestamp(move(sp.StartTimestamp()))
		sp.SetEndTimestamp(move(sp.EndTimestamp()))
		if v, ok := sp.Attributes().Get(wire.AttrStartedAt); ok {
			v.SetInt(v.Int() + by.Microseconds())
		}
		for _, e := range sp.Events().All() {
			e.SetTimestamp(move(e.Timestamp()))
		}
	})
	for i := range j.expected.Runs {
		j.expected.Runs[i].StartMS += by.Milliseconds()
		j.expected.Runs[i].EndMS += by.Milliseconds()
	}
	return j
}

// enlarged makes every artifact of a job as large as the worker sends them at most.
func (j job) enlarged() job {
	const size = 4 << 20
	hashes := map[string]string{}
	j.each(func(sp ptrace.Span) {
		for _, e := range sp.Events().All() {
			v, ok := e.Attributes().Get(wire.AttrArtifactContent)
			if !ok {
				continue
			}
			content := make([]byte, size/2)
			_, _ = rand.NewChaCha8(sha256.Sum256([]byte(v.AsString()))).Read(content)
			v.SetStr(hex.EncodeToString(content)) // text that cannot be compressed to less than half
			sum := sha256.Sum256([]byte(v.Str()))
			name, _ := e.Attributes().Get(wire.AttrArtifactName)
			hashes[name.Str()] = hex.EncodeToString(sum[:])
			e.Attributes().PutStr(wire.AttrArtifactSHA256, hashes[name.Str()])
			e.Attributes().PutInt(wire.AttrArtifactSize, size)
		}
	})
	for i, r := range j.expected.Runs {
		r.Artifacts = maps.Clone(r.Artifacts)
		for name := range r.Artifacts {
			r.Artifacts[name] = hashes[name]
		}
		j.expected.Runs[i] = r
	}
	return j
}

// quoting puts a text into the errors of a job: an answer that cannot be read is quoted there.
func (j job) quoting(text string) job {
	j.each(func(sp ptrace.Span) {
		if v, ok := sp.Attributes().Get(wire.AttrErrorMessage); ok {
			v.SetStr(v.Str() + ": " + text)
		}
		if sp.Status().Code() == ptrace.StatusCodeError {
			sp.Status().SetMessage(sp.Status().Message() + ": " + text)
		}
	})
	return j
}

func (j job) each(look func(ptrace.Span)) {
	for _, td := range j.requests {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, sp := range ss.Spans().All() {
					look(sp)
				}
			}
		}
	}
}

// spans lists all spans of the job but messages, as backend.trace does.
func (j job) spans() []string {
	var names []string
	j.each(func(sp ptrace.Span) {
		if tier, _ := sp.Attributes().Get(wire.AttrTier); tier.Str() != wire.TierMessage {
			names = append(names, sp.Name()+" "+sp.SpanID().String())
		}
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// before and after split the requests of a job where a stage's comes.
func (j job) before(stage string) []ptrace.Traces { return j.requests[:j.at(stage)] }
func (j job) after(stage string) []ptrace.Traces  { return j.requests[j.at(stage):] }

func (j job) at(stage string) int {
	return slices.IndexFunc(j.requests, func(td ptrace.Traces) bool {
		return td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name() == stage
	})
}
