package routing

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

// What the workers let through reaches neither MLflow nor the other backend, wherever it
// stands; the stages whose artifacts were changed say so.
func TestRedaction(t *testing.T) {
	server, tempo := startMLflow(t), startBackend(t)
	c := start(t, newPlace(t), "redaction.yaml")
	secrets := []string{"ada.lovelace@example.org", "house-key-0123456789abcdef"}
	secret := strings.Join(secrets, " ")
	j := recorded(t, "success")
	j.each(func(sp ptrace.Span) {
		sp.Attributes().PutStr(wire.AttrErrorMessage, secret)
		sp.Attributes().PutEmptySlice(wire.AttrGateFailureList).AppendEmpty().SetStr(secret)
		if v, ok := sp.Attributes().Get(wire.AttrInput); ok {
			v.SetStr(fmt.Sprintf(`{"asked":%q}`, secret))
		}
		sp.Status().SetMessage(secret)
		for _, e := range sp.Events().All() {
			e.Attributes().PutStr("exception.message", secret)
			if v, ok := e.Attributes().Get(wire.AttrArtifactContent); ok {
				v.SetStr(secret)
			}
		}
	})
	c.send(j.requests...)
	app := leaking(secrets)
	c.post(app)
	md := queueDepth(secret)
	m := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
	m.SetName(wire.MetricOutboxDropped)
	m.Gauge().DataPoints().At(0).Attributes().PutStr(wire.AttrReason, secrets[1]) // becomes part of a name
	c.sendMetrics(md)
	server.serves(t, "[email] [key]")
	await(t, "the job at the backend", func() bool { return len(tempo.trace(j.trace)) == len(j.spans()) })
	await(t, "the job in MLflow", func() bool {
		run := server.state(t).Runs[j.expected.Runs[0].Key]
		return run != nil && run.Status == "FINISHED"
	})
	chat := pcommon.TraceID{7}
	await(t, "the application's spans at the backend", func() bool { return len(tempo.trace(chat)) == app.SpanCount() })
	await(t, "the application's run in MLflow, and its trace", func() bool {
		s := server.state(t)
		return len(s.Traces) == 2 && slices.ContainsFunc(slices.Collect(maps.Values(s.Runs)), func(r *mlflowtest.Run) bool { return r.Name == "mail to [email] [key]" })
	})
	checkShape(t, tempo, chat)
	for key, run := range server.state(t).Runs {
		if len(run.Artifacts) > 0 && run.Tags[wire.TagAltered] == "" {
			t.Errorf("run %s does not say that its artifacts were altered: %v", key, run.Tags)
		}
	}
	held := server.text()
	for _, s := range secrets {
		if strings.Contains(held, s) {
			t.Errorf("MLflow holds %q", s)
		}
		if strings.Contains(tempo.text(t), s) {
			t.Errorf("the backend has %q", s)
		}
	}
	tempo.each(func(sp ptrace.Span) {
		if sp.TraceID() == chat {
			return
		}
		if v, _ := sp.Attributes().Get(wire.AttrGateFailureList); fmt.Sprint(v.AsRaw()) != "[[email] [key]]" {
			t.Errorf("the list of %s became %v", sp.Name(), v.AsRaw())
		}
	})
	for _, mark := range []string{"[email]", "[key]"} {
		if !strings.Contains(held, mark) || !strings.Contains(tempo.text(t), mark) {
			t.Errorf("%s is not where a secret was", mark)
		}
	}
}

// leaking is what another application says, with secrets wherever it can say something: a job, a
// call of a model, and a span whose attributes are no JSON.
func leaking(secrets []string) ptrace.Traces {
	secret := strings.Join(secrets, " ")
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "etl")
	rs.Resource().Attributes().PutStr("run.traces", "true")
	rs.Resource().Attributes().PutEmptyMap("owner").PutStr("mail", secret)
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("scope " + secret)
	ss.Scope().Attributes().PutEmptySlice("owners").AppendEmpty().SetStr(secret)
	span := func(id byte, name string) ptrace.Span {
		sp := ss.Spans().AppendEmpty()
		sp.SetTraceID(pcommon.TraceID{7})
		sp.SetSpanID(pcommon.SpanID{id})
		sp.SetName(name + " " + secret)
		sp.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Minute)))
		sp.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		sp.TraceState().FromRaw("x=" + secrets[1])
		return sp
	}

	job := span(1, "mail to")
	job.Attributes().PutStr("run.kind", "job")
	job.Attributes().PutStr("run.tag.owner "+secrets[0], "tag")
	job.Attributes().PutEmptyMap("m").PutEmptySlice(secrets[1]).AppendEmpty().SetStr(secret)
	e := job.Events().AppendEmpty()
	e.SetName("event " + secret)
	e.Attributes().PutEmptySlice("list").AppendEmpty().SetStr(secret)

	chat := span(2, "chat")
	chat.SetParentSpanID(job.SpanID())
	chat.Attributes().PutStr(wire.AttrGenAIOperation, "chat")
	for _, key := range []string{wire.AttrGenAIInput, "heard"} { // the backend gets the second alone
		message := chat.Attributes().PutEmptySlice(key).AppendEmpty().SetEmptyMap()
		message.PutStr("role", "user")
		part := message.PutEmptySlice("parts").AppendEmpty().SetEmptyMap()
		part.PutStr("type", "text")
		part.PutStr("content", "I am\n"+secrets[0]+"\n"+secrets[1]+" <"+secrets[0]+">")
	}
	chat.Attributes().PutStr("messages", `[{"content":"I am\n`+secrets[0]+`\n`+secrets[1]+`"}]`)
	chat.Attributes().PutInt(wire.AttrUsageInput, 7)
	chat.Attributes().PutEmptyBytes("bytes").FromRaw([]byte("bytes"))
	chat.Attributes().PutEmptySlice(wire.AttrGenAIFinishReasons).AppendEmpty().SetStr("stop")

	odd := span(3, "no JSON")
	odd.SetParentSpanID(job.SpanID())
	odd.Attributes().PutDouble("ratio", math.NaN())
	odd.Attributes().PutEmptyMap("of "+secrets[1]).PutStr("m", secret)
	odd.Attributes().PutEmptySlice(wire.AttrGenAIOutput).AppendEmpty().SetStr("content")
	return td
}

// checkShape reports what masks took along that is no secret.
func checkShape(t *testing.T, b *backend, trace pcommon.TraceID) {
	t.Helper()
	b.each(func(sp ptrace.Span) {
		if sp.TraceID() != trace {
			return
		}
		want := map[byte]map[string]any{
			1: {"run.kind": "job", "run.tag.owner [email]": "tag", "m": map[string]any{"[key]": []any{"[email] [key]"}}},
			2: {
				wire.AttrGenAIOperation: "chat", wire.AttrUsageInput: int64(7), "bytes": []byte("bytes"), wire.AttrGenAIFinishReasons: []any{"stop"},
				"heard":    []any{map[string]any{"role": "user", "parts": []any{map[string]any{"type": "text", "content": "I am\n[email]\n[key] <[email]>"}}}},
				"messages": `[{"content":"I am\n[email]\n[key]"}]`,
			},
			3: {"ratio": math.NaN(), "of [key].m": "[email] [key]"},
		}[sp.SpanID()[0]]
		if diff := cmp.Diff(want, sp.Attributes().AsRaw(), cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("attributes of %s (-want +got)\n%s", sp.Name(), diff)
		}
	})
}
