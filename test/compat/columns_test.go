//go:build unix

package main

import (
	"testing"

	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// visited is a server in memory to which the exporter wrote the job.
func visited(t *testing.T, version string) *visit {
	t.Helper()
	server := mlflowtest.Start()
	t.Cleanup(server.Close)
	server.Version = version
	v, err := newVisit(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.close)
	if err := v.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	return v
}

// Every check holds on a server that has everything, and sees when one thing is not as it
// must be.
func TestEveryCheckSeesWhatIsWrong(t *testing.T) {
	v := visited(t, "3.17.2")
	run, trace := v.want.Runs[1].Key, v.want.Traces[0].ID
	other := *v.again // what differs is put into a copy, one per check
	damages := map[string]func() (undo func()){
		"runs":          change(&v.after.Runs[run].Status, "RUNNING"),
		"nested runs":   change(&v.after.Runs[run].Parent, ""),
		"params":        add(v.after.Runs[run].Params, "more", "x"),
		"metrics":       add(v.after.Runs[run].Metrics, "latency_seconds", []string{"0.421@1/0", "0.421@2/0"}),
		"tags":          add(v.after.Runs[run].Tags, "mlflow.user", "another"),
		"artifacts":     add(v.after.Runs[run].Artifacts, "evidence.json", "0"),
		"traces":        add(v.after.Traces[trace].Spans, "0", ""),
		"trace name":    add(v.after.Info.Tags, "mlflow.traceName", "x"),
		"run link":      change(&v.after.Linked, nil),
		"session, user": add(v.after.Info.Metadata, "mlflow.trace.user", `"quoted"`),
		"tokens":        add(v.after.Info.Metadata, "mlflow.trace.tokenUsage", `{"input_tokens":1}`),
		"cost":          add(v.after.Info.Metadata, "mlflow.trace.cost", `{"total_cost":1}`),
		"late spans":    change(&v.before.Traces[trace].Spans, v.after.Traces[trace].Spans),
		"assessment":    add(v.after.Traces[trace].Assessments, "helpful u-5d41402abc4b2a76", "0 | HUMAN |  | no"),
		"prompts":       change(&v.after.Prompted, nil),

		"resend costs nothing":   change(&v.resent, 1),
		"resend doubles nothing": change(&v.again, &held{State: other.State, Linked: other.Linked}),
	}
	for _, c := range columns {
		if c.name == "contract" { // needs a real server
			continue
		}
		if got := v.cell(t.Context(), c); got != (cell{}) {
			t.Errorf("%s: %+v", c.name, got)
		}
		damage, ok := damages[c.name]
		if !ok {
			t.Errorf("%s: nothing shows that its check can fail", c.name)
			continue
		}
		undo := damage()
		if got := v.cell(t.Context(), c); got.Wrong == "" {
			t.Errorf("%s: nothing was seen", c.name)
		}
		undo()
	}
}

func change[T any](at *T, to T) func() func() {
	return func() func() {
		before := *at
		*at = to
		return func() { *at = before }
	}
}

func add[V any](m map[string]V, key string, value V) func() func() {
	return func() func() {
		before, was := m[key]
		m[key] = value
		return func() {
			if m[key] = before; !was {
				delete(m, key)
			}
		}
	}
}

// On an old server the columns of traces say that they were refused, unless the log says
// more than one line about it, or something else.
func TestTracesAreRefusedByOldServers(t *testing.T) {
	v := visited(t, "2.22.5")
	for _, c := range columns {
		if got := v.cell(t.Context(), c); got.Wrong != "" || got.Refused != c.traces {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	v.log = append(v.log, v.log...)
	if got := v.cell(t.Context(), columns[len(columns)-1]); got.Wrong == "" {
		t.Errorf("with two lines in the log: %+v", got)
	}
}
