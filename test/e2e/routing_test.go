//go:build e2e

package e2e

import (
	"path/filepath"
	"testing"

	"github.com/technoshare/commentator/test/sandbox"

	"github.com/technoshare/commentator/internal/wire/fixture"
)

// TestDeadJaegerBesideMLflow runs a configuration of docs/ROUTING.md with nobody at Jaeger's
// address: the receiver takes everything and MLflow has it once. The others run against
// MLflow's stand-in, in test/routing.
func TestDeadJaegerBesideMLflow(t *testing.T) {
	const experiment = "routing"
	s := sharedServer(t)
	s.registerPrompts(t)
	backend, err := sandbox.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("OTLP_BACKEND", backend)
	c := startCollector(t, s.url, experiment, t.TempDir(), "--config", filepath.Join(checkout, "otel-config", "jaeger-prometheus.yaml"))
	all := map[string]fixture.Expected{}
	for _, name := range []string{"success", "retried", "tracking_only", "late_feedback"} {
		requests, expected, err := fixture.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		c.send(t, requests...)
		all[name] = expected
	}
	var held state
	var wrong []string
	if err := c.until("the jobs in MLflow", func() bool {
		held, wrong = s.dump(t, experiment), nil
		for _, expected := range all {
			wrong = append(wrong, held.compare(expected, experiment)...)
		}
		return len(wrong) == 0
	}); err != nil {
		t.Fatalf("%v\n%v", err, wrong)
	}
	for _, more := range held.surplus(all) {
		t.Error(more)
	}
}
