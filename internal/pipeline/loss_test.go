package pipeline

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/test/dbtest"
)

// postedAs posts what no Slack would take.
type postedAs struct{ payload string }

func (p postedAs) Post(context.Context, commentator.Job, commentator.Message, commentator.Rendered) (commentator.Post, error) {
	return commentator.Post{Delivery: "print", Payload: []byte(p.payload)}, nil
}

// The message of a stage that cannot be made is counted as lost, and the job does not mind.
func TestAStageWhoseMessageCannotBeMadeIsCounted(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{mode: telemetry.ModeTracing, noContent: true})
	r.Poster = postedAs{"no JSON"}
	report := r.finish(t, r.jobs(t, web.URL+"/article/1")[0].ID)
	if report.Outcome != commentator.OutcomeSuccess || report.Attempts != 1 {
		t.Errorf("outcome %s (%s) after %d attempts", report.Outcome, report.Error, report.Attempts)
	}
	if n := r.Store.Stats().OutboxBuildFailed; n != 1 {
		t.Errorf("%d messages are counted as not made", n)
	}
	if kinds, _ := r.outbox(t); slices.Contains(kinds, string(commentator.StageSlackPost)) {
		t.Errorf("messages %v", kinds)
	}
}

// A defect in what ends the span of a stage is an error like others, and is logged with its place.
func TestAPanicOfTelemetryCostsTheMessageOnly(t *testing.T) {
	var log bytes.Buffer
	p := New(Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	end := telemetry.StageEnd{Record: commentator.StageRecord{JobID: 7, Stage: commentator.StageA, SpanID: "00f067aa0ba902b7"}}
	m, err := p.message(t.Context(), &telemetry.Stage{}, end) // of no provider, which it needs
	if err == nil || !strings.Contains(err.Error(), "stage_a: panic: ") || !m.Empty() {
		t.Errorf("message %v, error %v", m, err)
	}
	if text := log.String(); !strings.Contains(text, "job=7") || !strings.Contains(text, "telemetry.(*Stage).End") {
		t.Errorf("log is %s", text)
	}
}

// Spans that a Collector rejects of what it takes are counted for good.
func TestRejectedSpansAreAmongTheLosses(t *testing.T) {
	web, collector, database := newSite(t), newReceiver(t), dbtest.New(t)
	collector.rejects = 3
	r, end, err := openRig(t.Context(), rigConfig{database: database, mode: telemetry.ModeTracing, endpoint: collector.address})
	if err != nil {
		t.Fatal(err)
	}
	r.finish(t, r.jobs(t, web.URL+"/article/1")[0].ID)
	if err := end(); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	status, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int64{"in_part": 3}, status.Losses); diff != "" {
		t.Errorf("losses (-want +got):\n%s", diff)
	}
}
