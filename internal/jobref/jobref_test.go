package jobref_test

import (
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/technoshare/commentator/internal/jobref"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

func TestParse(t *testing.T) {
	const trace = "f8b979a27c33ebfe3388ad789a6f6a86"
	for text, want := range map[string]jobref.Ref{
		"7":           {Job: "7"},
		trace:         {Trace: trace},
		"tr-" + trace: {Trace: trace},
		"https://x.slack.com/archives/C123/p1718000000000100":                                                 {Channel: "C123", Message: "1718000000.000100"},
		"https://x.enterprise.slack.com/archives/C123/p1718000000000200?thread_ts=1718000000.000100&cid=C123": {Channel: "C123", Message: "1718000000.000200", Thread: "1718000000.000100"},
	} {
		if got, err := jobref.Parse(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, says := range map[string]string{
		"job_7":                             "neither a job id",
		"-7":                                "neither a job id",
		"https://x.slack.com/archives/C123": "is no link to a message",
		"https://x.slack.com/archives/C123/p17?thread_ts=1":                   "is no link to a message",
		"https://x.slack.com/archives/C123/p1718000000000200?thread_ts=17180": "thread_ts is \"17180\"",
		"ftp://x.slack.com/archives/C123/p1718000000000100":                   "neither a job id",
	} {
		if _, err := jobref.Parse(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want %q", text, err, says)
		}
	}
}

// rig is a server with jobs of a channel.
type rig struct {
	*testing.T
	client     *mlflow.Client
	experiment string
}

// job makes the run of a job, and its trace if reply is not empty.
func (r rig) job(id, trace, channel, message, thread, reply string) string {
	r.Helper()
	run, err := r.client.CreateRun(r.Context(), mlflow.CreateRun{ExperimentID: r.experiment, Name: "job_" + id, StartTime: 1, Tags: []mlflow.KeyValue{{Key: wire.TagKey, Value: trace}}})
	if err != nil {
		r.Fatal(err)
	}
	params := []mlflow.KeyValue{{Key: "job_id", Value: id}, {Key: "channel_id", Value: channel}, {Key: "message_ts", Value: message}}
	if err := r.client.LogBatch(r.Context(), mlflow.Batch{RunID: run.Info.ID, Params: params}); err != nil {
		r.Fatal(err)
	}
	if reply == "" {
		return run.Info.ID
	}
	spans := ptrace.NewTraces()
	span := spans.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	var tid pcommon.TraceID
	for i := range tid {
		tid[i] = trace[2*i]<<4&0xf0 | trace[2*i+1]&0x0f // digits only
	}
	span.SetTraceID(tid)
	span.SetSpanID(pcommon.SpanID{1})
	span.Attributes().PutStr(wire.AttrSlackReplyTS, reply)
	body, err := ptraceotlp.NewExportRequestFromTraces(spans).MarshalProto()
	if err != nil {
		r.Fatal(err)
	}
	if err := r.client.ExportTraces(r.Context(), r.experiment, "", body); err != nil {
		r.Fatal(err)
	}
	info := mlflow.TraceInfo{
		TraceID: "tr-" + trace, Location: mlflow.InExperiment(r.experiment), RequestTime: "2026-01-01T00:00:00Z", State: "OK",
		Metadata: map[string]string{mlflow.MetaSession: channel + ":" + thread},
	}
	if err := r.client.StartTrace(r.Context(), info); err != nil {
		r.Fatal(err)
	}
	return run.Info.ID
}

func TestLinksLeadToTheJobsRuns(t *testing.T) {
	s := mlflowtest.Start()
	defer s.Close()
	client, err := mlflow.New(mlflow.Config{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r := rig{T: t, client: client}
	if r.experiment, err = client.CreateExperiment(t.Context(), "team"); err != nil {
		t.Fatal(err)
	}
	digits := func(n string) string { return strings.Repeat(n, 32) }
	one := r.job("1", digits("1"), "C1", "1718000000.000100", "1718000000.000100", "1718000000.000200")
	two := r.job("2", digits("2"), "C1", "1718000000.000100", "1718000000.000100", "1718000000.000300")
	inThread := r.job("3", digits("3"), "C1", "1718000000.000400", "1718000000.000050", "1718000000.000500")
	r.job("4", digits("4"), "C2", "1718000000.000100", "", "") // another channel, the same moment
	quiet := r.job("5", digits("5"), "C1", "1718000000.000600", "", "")
	const link = "https://x.slack.com/archives/C1/p"
	for name, c := range map[string]struct {
		link string
		want []string
	}{
		"message with two links":              {link + "1718000000000100", []string{two, one}},
		"message in a thread":                 {link + "1718000000000400?thread_ts=1718000000.000050&cid=C1", []string{inThread}},
		"reply to one of two links":           {link + "1718000000000300?thread_ts=1718000000.000100&cid=C1", []string{two}},
		"reply to the other":                  {link + "1718000000000200?thread_ts=1718000000.000100&cid=C1", []string{one}},
		"reply that no trace knows":           {link + "1718000000000999?thread_ts=1718000000.000100&cid=C1", []string{two, one}},
		"reply to a message in a thread":      {link + "1718000000000500?thread_ts=1718000000.000050&cid=C1", []string{inThread}},
		"reply of a job without trace":        {link + "1718000000000700?thread_ts=1718000000.000600&cid=C1", []string{quiet}},
		"message that nobody commented on":    {link + "1718000000000800", nil},
		"reply in a thread that is not known": {link + "1718000000000900?thread_ts=1718000000.000010", nil},
	} {
		ref, err := jobref.Parse(c.link)
		if err != nil {
			t.Fatal(err)
		}
		runs, err := ref.Find(t.Context(), client, []string{r.experiment})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, run := range runs {
			got = append(got, run.Info.ID)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: runs %v, want %v", name, got, c.want)
		}
	}
}
