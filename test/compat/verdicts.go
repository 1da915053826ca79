//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

// verdictFixture ends with a message in which a person judges the comment.
const verdictFixture = "late_feedback"

// addVerdict lets somebody judge the job, and expects what comes of it.
func (v *visit) addVerdict() error {
	requests, want, err := fixture.Load(verdictFixture)
	if err != nil {
		return err
	}
	of := rootOf(v.job)
	message := requests[len(requests)-1]
	for _, rs := range message.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				s.SetTraceID(of.TraceID())
				s.SetParentSpanID(of.SpanID())
				for _, name := range []string{wire.AttrJobID, wire.AttrStartedAt} {
					value, _ := of.Attributes().Get(name)
					value.CopyTo(s.Attributes().PutEmpty(name))
				}
			}
		}
	}
	v.job = append(v.job, message)
	run := &v.want.Runs[0]
	for name, value := range want.Runs[0].Metrics {
		if strings.HasPrefix(name, "feedback/") {
			run.Metrics[name] = value
		}
	}
	for name, value := range want.Runs[0].Tags {
		if strings.HasPrefix(name, wire.TagFeedbackPrefix) {
			run.Tags[name] = value
		}
	}
	v.want.Traces[0].Assessments = want.Traces[0].Assessments
	return nil
}

func rootOf(requests []ptrace.Traces) (root ptrace.Span) {
	for _, td := range requests {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					if s.ParentSpanID() == (pcommon.SpanID{}) {
						root = s
					}
				}
			}
		}
	}
	return root
}

func checkAssessment(_ context.Context, v *visit) cell {
	var got []string
	for who, said := range v.after.Traces[v.want.Traces[0].ID].Assessments {
		name, source, _ := strings.Cut(who, " ")
		parts := strings.Split(said, " | ") // value, kind of source, span, reason
		got = append(got, fmt.Sprintf("%s=%s by %s: %s", name, parts[0], source, parts[3]))
	}
	slices.Sort(got)
	return cell{Wrong: diff(v.want.Traces[0].Assessments, got)}
}

// checkPrompts looks at the links of the job's run and of the trace, and searches by one.
func checkPrompts(_ context.Context, v *visit) cell {
	want := v.want.Traces[0].Prompts
	return cell{Wrong: diff(want, v.names(v.after.Runs[v.want.Runs[0].Key].Tags[wire.TagPrompts])) +
		diff(want, v.names(v.after.Info.Tags[wire.TagPrompts])) + diff([]string{v.want.Traces[0].ID}, v.after.Prompted)}
}

// names turns links into the form of the table of expectations.
func (v *visit) names(links string) (names []string) {
	var versions []mlflow.PromptVersion
	if json.Unmarshal([]byte(links), &versions) != nil {
		return []string{links}
	}
	for _, one := range versions {
		names = append(names, one.Name+"@"+v.hashes[one])
	}
	return names
}
