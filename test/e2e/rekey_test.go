//go:build e2e

package e2e

import (
	"crypto/sha256"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.yaml.in/yaml/v3"

	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

// recording is a fixture whose jobs were given other identities, so that several tests can
// send the same fixtures to one MLflow.
type recording struct {
	name     string
	requests []ptrace.Traces
	expected fixture.Expected
}

// recordings loads all fixtures. Their jobs belong to the salt alone, and so do the
// experiments that they ask for, which are returned too.
func recordings(t *testing.T, salt string) (all []recording, experiments []string) {
	t.Helper()
	names, err := fixture.Names()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		requests, expected, err := fixture.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := yaml.Marshal(expected)
		if err != nil {
			t.Fatal(err)
		}
		replaced := string(text)
		for _, td := range requests {
			for _, rs := range td.ResourceSpans().All() {
				if v, ok := rs.Resource().Attributes().Get(wire.ResExperiment); ok {
					own := salt + " " + v.Str()
					replaced = strings.ReplaceAll(replaced, "experiment: "+v.Str(), "experiment: "+own)
					v.SetStr(own)
					experiments = append(experiments, own)
				}
				for _, s := range rs.ScopeSpans().At(0).Spans().All() {
					old := s.TraceID()
					id := resalt(old, salt)
					s.SetTraceID(id)
					replaced = strings.ReplaceAll(replaced, old.String(), id.String())
				}
			}
		}
		expected = fixture.Expected{}
		if err := yaml.Unmarshal([]byte(replaced), &expected); err != nil {
			t.Fatal(err)
		}
		all = append(all, recording{name, requests, expected})
	}
	return all, experiments
}

func resalt(id pcommon.TraceID, salt string) pcommon.TraceID {
	mask := sha256.Sum256([]byte(salt))
	for i := range id {
		id[i] ^= mask[i]
	}
	return id
}

// single splits requests into one request for each span.
func single(requests []ptrace.Traces) []ptrace.Traces {
	var out []ptrace.Traces
	for _, td := range requests {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					one := ptrace.NewTraces()
					r := one.ResourceSpans().AppendEmpty()
					rs.Resource().CopyTo(r.Resource())
					r.SetSchemaUrl(rs.SchemaUrl())
					scope := r.ScopeSpans().AppendEmpty()
					ss.Scope().CopyTo(scope.Scope())
					s.CopyTo(scope.Spans().AppendEmpty())
					out = append(out, one)
				}
			}
		}
	}
	return out
}
