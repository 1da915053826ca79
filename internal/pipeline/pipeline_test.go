package pipeline

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/internal/wire"
)

func TestOutcomes(t *testing.T) {
	web := newSite(t)
	tests := []struct {
		name, link string
		outcome    commentator.Outcome
		errorType  string
		stages     []commentator.Stage
		attempts   int
	}{
		{"success", web.URL + "/article/1", commentator.OutcomeSuccess, "", commentator.Stages, 1},
		{"too little text", web.URL + "/thin", commentator.OutcomeGateFailed, "", commentator.Stages[:4], 1},
		{"no link", "", commentator.OutcomeNoURLs, "", nil, 1},
		{"404", web.URL + "/gone", commentator.OutcomeError, "http_404", commentator.Stages[:1], 1},
		{
			"down for good", web.URL + "/broken", commentator.OutcomeError, "http_500",
			[]commentator.Stage{"retrieval", "retrieval", "retrieval", "retrieval", "retrieval"},
			commentator.MaxFailures,
		},
		{
			"down for a moment", web.URL + "/flaky", commentator.OutcomeSuccess, "",
			slices.Concat([]commentator.Stage{"retrieval"}, commentator.Stages), 2,
		},
		{"private address", "http://10.255.255.1/", commentator.OutcomeError, "private_address", commentator.Stages[:1], 1},
		{"no address", "http://", commentator.OutcomeError, "bad_url", commentator.Stages[:1], 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, rigConfig{mode: telemetry.ModeTracing})
			var links []string
			if tt.link != "" {
				links = []string{tt.link}
			}
			report := r.finish(t, r.jobs(t, links...)[0].ID)
			if report.Outcome != tt.outcome || report.ErrorType != tt.errorType || report.Attempts != tt.attempts {
				t.Errorf("outcome %s, error %s (%s), %d attempts; want %s, %s, %d",
					report.Outcome, report.ErrorType, report.Error, report.Attempts, tt.outcome, tt.errorType, tt.attempts)
			}
			var got []commentator.Stage
			for _, s := range report.Stages {
				got = append(got, s.Stage)
			}
			if diff := cmp.Diff(tt.stages, got); diff != "" {
				t.Errorf("recorded stages (-want +got):\n%s", diff)
			}
			if (report.Comment != "") != (tt.outcome == commentator.OutcomeSuccess) {
				t.Errorf("comment %q", report.Comment)
			}
			if (len(report.GateFailures) > 0) != (tt.outcome == commentator.OutcomeGateFailed) {
				t.Errorf("gate failures %q", report.GateFailures)
			}
			// One message at the start, one per recorded stage, one at the end.
			kinds, _ := r.outbox(t)
			want := []string{wire.SpanJobStarted}
			for _, s := range tt.stages {
				want = append(want, string(s))
			}
			if diff := cmp.Diff(append(want, wire.SpanJob), kinds); diff != "" {
				t.Errorf("outbox (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSeveralLinksAreSeveralJobs(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{mode: telemetry.ModeTracking})
	jobs := r.jobs(t, web.URL+"/article/1", web.URL+"/gone", web.URL+"/article/2")
	var outcomes []commentator.Outcome
	traces := map[string]bool{}
	for _, j := range jobs {
		report := r.finish(t, j.ID)
		outcomes = append(outcomes, report.Outcome)
		traces[report.TraceID] = true
	}
	want := []commentator.Outcome{commentator.OutcomeSuccess, commentator.OutcomeError, commentator.OutcomeSuccess}
	if diff := cmp.Diff(want, outcomes); diff != "" || len(traces) != 3 {
		t.Errorf("%d traces, outcomes (-want +got):\n%s", len(traces), diff)
	}
}

// The comment is the same whatever is recorded, for thirty pages.
func TestCommentsAreByteIdenticalInEveryMode(t *testing.T) {
	web := newSite(t)
	comments := map[telemetry.Mode][]string{}
	for _, mode := range []telemetry.Mode{telemetry.ModeOff, telemetry.ModeTracking, telemetry.ModeTracing} {
		r := newRig(t, rigConfig{mode: mode})
		for n := range 30 {
			report := r.finish(t, r.jobs(t, fmt.Sprintf("%s/article/%d", web.URL, n))[0].ID)
			if report.Outcome != commentator.OutcomeSuccess {
				t.Fatalf("page %d: %s %s %v", n, report.Outcome, report.Error, report.GateFailures)
			}
			comments[mode] = append(comments[mode], report.Comment)
		}
	}
	for mode, got := range comments {
		if diff := cmp.Diff(comments[telemetry.ModeOff], got); diff != "" {
			t.Errorf("comments in mode %s (-off +got):\n%s", mode, diff)
		}
	}
	distinct := map[string]bool{}
	for _, c := range comments[telemetry.ModeOff] {
		distinct[c] = true
	}
	if len(distinct) != 30 {
		t.Errorf("%d distinct comments of 30 pages: the pages are too alike to prove anything", len(distinct))
	}
}

func TestOffStoresNoMessage(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{mode: telemetry.ModeOff})
	report := r.finish(t, r.jobs(t, web.URL+"/article/1")[0].ID)
	if kinds, _ := r.outbox(t); len(kinds) > 0 || report.TraceID != "" || report.Detail != commentator.DetailOff {
		t.Errorf("messages %q, trace %q, detail %q", kinds, report.TraceID, report.Detail)
	}
}

// faulty is an analyser that does what a test wants in stage A.
type faulty struct {
	commentator.Analyser
	inStageA func(ctx context.Context) error
}

func (f faulty) ExtractFacts(ctx context.Context, e commentator.Evidence) (commentator.Facts, commentator.Analysis, error) {
	if err := f.inStageA(ctx); err != nil {
		return commentator.Facts{}, commentator.Analysis{}, err
	}
	return f.Analyser.ExtractFacts(ctx, e)
}

func TestAPanicIsAFailedAttemptAndFinishedStagesAreNotRepeated(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{mode: telemetry.ModeTracing})
	calls := 0
	r.Analyser = faulty{r.Analyser, func(context.Context) error {
		if calls++; calls == 1 {
			panic("out of cheese")
		}
		return nil
	}}
	report := r.finish(t, r.jobs(t, web.URL+"/article/1")[0].ID)
	if report.Outcome != commentator.OutcomeSuccess || report.Attempts != 2 || web.count("/article/1") != 1 {
		t.Errorf("outcome %s after %d attempts and %d requests for the page", report.Outcome, report.Attempts, web.count("/article/1"))
	}
	if s := report.Stages[1]; s.Stage != commentator.StageA || s.ErrorType != CodePanic || strings.Contains(s.Error, "goroutine") {
		t.Errorf("second record is %+v", s)
	}
}

func TestAnInterruptedAttemptCountsAsNothingAndGoesOn(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{mode: telemetry.ModeTracing})
	ctx, cancel := context.WithCancel(t.Context())
	r.Analyser = faulty{r.Analyser, func(ctx context.Context) error {
		cancel()
		return ctx.Err()
	}}
	id := r.jobs(t, web.URL+"/article/1")[0].ID
	j, err := r.Attempt(ctx, id, nil)
	if !errors.Is(err, context.Canceled) || j.State == commentator.JobFinal {
		t.Fatalf("Attempt() = %s, %v", j.State, err)
	}
	report := r.finish(t, id)
	job, err := r.Store.Job(t.Context(), id)
	if err != nil || report.Outcome != commentator.OutcomeSuccess || job.Failures != 0 || job.Kills != 0 || len(report.Stages) != 5 {
		t.Errorf("outcome %s, %d failures, %d kills, %d records, %v", report.Outcome, job.Failures, job.Kills, len(report.Stages), err)
	}
}

// expiring is a context whose time is over when a test says so.
type expiring struct {
	context.Context
	over chan struct{}
}

func (e expiring) Done() <-chan struct{} { return e.over }

func (e expiring) Err() error {
	select {
	case <-e.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestAnAttemptThatTakesTooLongFails(t *testing.T) {
	web := newSite(t)
	for _, between := range []bool{false, true} {
		r := newRig(t, rigConfig{})
		ctx := expiring{t.Context(), make(chan struct{})}
		if between {
			r.reached = func(p point, s commentator.Stage) {
				if p == pointCommitted {
					close(ctx.over)
				}
			}
		} else {
			over := ctx.over
			r.Analyser = faulty{r.Analyser, func(ctx context.Context) error {
				close(over)
				<-ctx.Done()
				return ctx.Err()
			}}
		}
		j, err := r.Attempt(ctx, r.jobs(t, web.URL+"/article/1")[0].ID, nil)
		if commentator.ErrorCode(err) != CodeTime || j.Failures != 1 {
			t.Errorf("between two stages %v: Attempt() = %d failures, %v", between, j.Failures, err)
		}
	}
}

func TestAnAttemptThatLostItsJobWritesNothing(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{mode: telemetry.ModeTracing})
	id := r.jobs(t, web.URL+"/article/1")[0].ID
	rival := false
	r.Analyser = faulty{r.Analyser, func(context.Context) error {
		if !rival { // another process takes the job over
			rival = true
			_, err := r.Attempt(t.Context(), id, nil)
			return err
		}
		return nil
	}}
	if err := r.Handle(t.Context(), id, nil); err != nil {
		t.Errorf("Handle() = %v, want nil: the job is not ours any more", err)
	}
	if report := r.report(t, id); report.Outcome != commentator.OutcomeSuccess || len(report.Stages) != 5 {
		t.Errorf("outcome %s with %d records", report.Outcome, len(report.Stages))
	}
}

func TestAFinalJobIsLeftAlone(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{mode: telemetry.ModeTracking})
	id := r.jobs(t, web.URL+"/article/1")[0].ID
	r.finish(t, id)
	before, _ := r.outbox(t)
	if err := r.Handle(t.Context(), id, func(*sql.Tx) error { return errors.New("not to be called") }); err != nil {
		t.Error(err)
	}
	if err := r.Lost(t.Context(), id, queue.FateMissing); err != nil {
		t.Error(err)
	}
	if after, _ := r.outbox(t); len(after) != len(before) {
		t.Errorf("messages %q, before %q", after, before)
	}
}

func TestLostJobsEnd(t *testing.T) {
	r := newRig(t, rigConfig{mode: telemetry.ModeTracking})
	for fate, want := range map[queue.Fate]commentator.Outcome{
		queue.FateMissing: commentator.OutcomeError, queue.FateCancelled: commentator.OutcomeCancelled,
	} {
		id := r.jobs(t, "https://example.com/")[0].ID
		if err := r.Lost(t.Context(), id, fate); err != nil {
			t.Fatal(err)
		}
		if report := r.report(t, id); report.Outcome != want || report.Error == "" {
			t.Errorf("%s: outcome %s (%s), want %s", fate, report.Outcome, report.Error, want)
		}
	}
}

func TestExhausted(t *testing.T) {
	failedStage := commentator.StageRecord{Stage: commentator.StageA, ErrorType: "http_500", ErrorMessage: "It is down."}
	tests := []struct {
		name    string
		attempt store.Attempt
		want    string
	}{
		{"kills", store.Attempt{Job: commentator.Job{Kills: commentator.MaxKills}, Stages: []commentator.StageRecord{failedStage}}, CodeKilled},
		{"failures", store.Attempt{Job: commentator.Job{Failures: 5}, Stages: []commentator.StageRecord{failedStage}}, "http_500"},
		{"failures outside stages", store.Attempt{Job: commentator.Job{Failures: 5}}, CodeFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			end := exhausted(tt.attempt)
			if end.Outcome != commentator.OutcomeError || end.ErrorType != tt.want || end.ErrorMessage == "" {
				t.Errorf("exhausted() = %+v, want %s", end, tt.want)
			}
		})
	}
}
