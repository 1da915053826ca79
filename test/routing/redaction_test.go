package routing

import (
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

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
