package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

func scrape(t *testing.T, p *Provider) string {
	t.Helper()
	answer := httptest.NewRecorder()
	p.MetricsHandler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("status %d\n%s", answer.Code, answer.Body)
	}
	return answer.Body.String()
}

// A Prometheus sees the same in every mode, also when telemetry is off; then nothing is
// recorded.
func TestPrometheusSeesJobsInEveryMode(t *testing.T) {
	for _, mode := range []Mode{ModeOff, ModeTracking, ModeTracing} {
		t.Run(string(mode), func(t *testing.T) {
			p, err := New(context.Background(), Config{
				Mode: mode, Ratio: 1, StoreID: testStore, PseudonymKey: testKey, Prometheus: true, Endpoint: "http://127.0.0.1:1",
				Relay: RelayConfig{PollInterval: time.Hour},
			}, &memoryOutbox{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				end, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				if err := p.Shutdown(end); err != nil {
					t.Error(err)
				}
			}()
			if err := p.ObserveQueue(func(context.Context) (QueueState, error) {
				return QueueState{Depth: 3, OldestAge: 90 * time.Second}, nil
			}); err != nil {
				t.Fatal(err)
			}
			messages := play(t, p, testJob(p, 4711471147), testStages(10), commentator.OutcomeSuccess)
			if (len(messages) > 0) != (mode != ModeOff) {
				t.Errorf("%d messages", len(messages))
			}
			p.JobActive(2)
			p.OutboxDropped(5, "evicted")
			p.FeedbackSeen("verdict")
			p.SlackEvent(context.Background(), "accepted", "socket", false)
			p.Notify()

			page := scrape(t, p)
			for _, want := range []string{
				`job_duration_seconds_count{job_outcome="success"} 1`, `job_stage_duration_seconds_count{job_stage="retrieval"} 1`,
				`job_active 2`, `job_queue_depth 3`, `job_queue_oldest_age_seconds 90`,
				`telemetry_outbox_depth 0`, `telemetry_outbox_size_bytes 0`, `telemetry_outbox_dropped_total{reason="evicted"} 5`,
				`slack_event_count_total{slack_event_outcome="accepted",slack_event_retry="false",slack_event_source="socket"} 1`, `feedback_reaction_count_total{feedback_outcome="verdict"} 1`,
			} {
				if !strings.Contains(page, "\n"+want+"\n") {
					t.Errorf("no line %s", want)
				}
			}
			for _, name := range []string{"go_goroutines", "go_memory_used_bytes", "process_resident_memory_bytes", "process_open_fds", "target_info", "telemetry_outbox_age_seconds"} {
				if !regexp.MustCompile(`(?m)^` + name + `(\{| )`).MatchString(page) {
					t.Errorf("no metric %s", name)
				}
			}
			if strings.Contains(page, "4711471147") || strings.Contains(page, "otel_scope") {
				t.Error("the page names a job or scopes")
			}
			if t.Failed() {
				t.Log(page)
			}
		})
	}
}

// A job that an earlier process recorded is not recorded on by one that only measures.
func TestMeasuringAloneRecordsNothing(t *testing.T) {
	p, err := New(context.Background(), Config{Mode: ModeOff, StoreID: testStore, PseudonymKey: testKey, Prometheus: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	j := finish(commentator.Job{ID: 1, StoreID: testStore, Detail: commentator.DetailFull, CreatedAt: testStart, StartedAt: testStart}, commentator.OutcomeSuccess)
	ctx := p.JobContext(context.Background(), j)
	_, stage := p.StartStage(ctx, j, commentator.StageA)
	started, err1 := p.JobStarted(j, testMessage())
	ended, err2 := p.JobEnded(j, testMessage(), nil)
	said, err3 := p.Feedback(j, commentator.Verdict{User: "U1", Value: 1})
	if err1 != nil || err2 != nil || err3 != nil || !started.Empty() || !ended.Empty() || !said.Empty() || stage != nil || ctx != context.Background() {
		t.Errorf("%v %v %v: %d, %d and %d bytes, stage %v", err1, err2, err3, len(started.Body), len(ended.Body), len(said.Body), stage)
	}
	if d := p.Decide(j, testMessage()); d != (commentator.Decision{Detail: commentator.DetailOff}) {
		t.Errorf("decision %+v", d)
	}
	if err := p.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if page := scrape(t, p); strings.Contains(page, "job_duration") { // and nothing breaks
		t.Error(page)
	}
}

func TestWithoutPrometheusThereIsNoHandler(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	var off *Provider
	if p.MetricsHandler() != nil || off.MetricsHandler() != nil {
		t.Error("there is one")
	}
}

func TestLogLinesNameTheTraceOfARecordedJob(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	var text strings.Builder
	log := slog.New(TraceIDs(slog.NewJSONHandler(&text, nil))).With("a", 1)
	j := testJob(p, 7)
	id, _ := jobIdentity(j)
	line := func(ctx context.Context) string {
		text.Reset()
		log.InfoContext(ctx, "x")
		return text.String()
	}
	ctx := p.JobContext(context.Background(), j)
	inside, st := p.StartStage(ctx, j, commentator.StageA)
	for _, ctx := range []context.Context{ctx, inside, context.WithoutCancel(ctx)} {
		if got := line(ctx); !strings.Contains(got, `"a":1,"trace_id":"`+id.String()+`"}`) {
			t.Error(got)
		}
	}
	st.close(testStart)
	j.Detail = commentator.DetailOff
	for _, ctx := range []context.Context{context.Background(), p.JobContext(context.Background(), j)} {
		if got := line(ctx); strings.Contains(got, "trace_id") {
			t.Error(got)
		}
	}
}
