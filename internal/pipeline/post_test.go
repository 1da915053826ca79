package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/internal/wire"
)

// thread is a Slack with one thread.
type thread struct {
	mu       sync.Mutex
	metadata []string // of each message
	calls    []string
}

func (s *thread) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	method := path.Base(r.URL.Path)
	s.calls = append(s.calls, method)
	switch method {
	case wire.SpanSlackCall:
		s.metadata = append(s.metadata, r.FormValue("metadata"))
		fmt.Fprintf(w, `{"ok":true,"channel":"C0123456789","ts":"1700000001.%06d"}`, len(s.metadata))
	case wire.SpanSlackSearch:
		fmt.Fprint(w, `{"ok":true,"messages":[{"ts":"1.0"}`)
		for i, m := range s.metadata {
			fmt.Fprintf(w, `,{"ts":"1700000001.%06d","metadata":%s}`, i+1, m)
		}
		fmt.Fprint(w, `]}`)
	default:
		fmt.Fprint(w, `{"ok":false,"error":"unknown_method"}`)
	}
}

// withThread has the rig post to a thread.
func (r *rig) withThread(t *testing.T, posts slack.Posts) *thread {
	t.Helper()
	s := &thread{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	r.Poster = slack.NewPoster(slack.PosterConfig{Posts: posts, API: slack.NewAPI(slack.APIConfig{
		Token: "xoxb-test", APIURL: server.URL + "/", Transport: telemetry.SlackTransport(transport),
	})})
	return s
}

// dying is a job database whose process dies before the first reply is noted, a minute ago.
type dying struct {
	*rig
	slack.Posts
	died bool
}

func (d *dying) Posted(ctx context.Context, jobID int64, part int, ts string, at time.Time) (string, error) {
	if !d.died {
		d.died = true
		if _, err := d.Store.DB().ExecContext(ctx, `UPDATE posts SET asked_at = asked_at - 60000000`); err != nil {
			return "", err
		}
		panic("killed")
	}
	return d.Posts.Posted(ctx, jobID, part, ts, at)
}

func TestACommentWhoseProcessDiedIsFoundInTheThread(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{mode: telemetry.ModeTracing})
	slackThread := r.withThread(t, &dying{rig: r, Posts: r.Store})
	report := r.finish(t, r.jobs(t, web.URL+"/article/1")[0].ID)
	if report.Outcome != commentator.OutcomeSuccess || report.Attempts != 2 || report.Comment == "" {
		t.Errorf("outcome %s (%s) after %d attempts", report.Outcome, report.Error, report.Attempts)
	}
	if diff := cmp.Diff([]string{wire.SpanSlackCall, wire.SpanSlackSearch}, slackThread.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if all := bytes.Join(r.bodies(t), nil); !bytes.Contains(all, []byte(wire.SpanSlackSearch)) {
		t.Error("the trace does not show that the thread was searched")
	}
}

// Another attempt takes the job over between the post and the record of the stage: it knows that
// the comment is there, without asking Slack.
func TestACommentThatIsNotedIsNotPostedAgain(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{mode: telemetry.ModeTracking})
	slackThread := r.withThread(t, r.Store)
	id := r.jobs(t, web.URL+"/article/1")[0].ID
	taken := false
	r.reached = func(p point, s commentator.Stage) {
		if p == pointWorked && s == commentator.StageSlackPost && !taken {
			taken = true
			if _, err := r.Attempt(t.Context(), id, nil); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := r.Attempt(t.Context(), id, nil); err == nil {
		t.Error("the first attempt was not fenced")
	}
	if report := r.report(t, id); report.Outcome != commentator.OutcomeSuccess {
		t.Errorf("outcome %s (%s)", report.Outcome, report.Error)
	}
	if diff := cmp.Diff([]string{wire.SpanSlackCall}, slackThread.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestAJobWhoseLinkIsTakenBackIsCancelledBeforeItPosts(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{mode: telemetry.ModeTracking})
	slackThread := r.withThread(t, r.Store)
	r.Failed = func(id int64) { t.Errorf("people are told of job %d", id) }
	r.Analyser = faulty{r.Analyser, func(ctx context.Context) error {
		_, err := r.Store.DB().ExecContext(ctx, `UPDATE jobs SET withdrawn_at = 7`)
		return err
	}}
	report := r.finish(t, r.jobs(t, web.URL+"/article/1")[0].ID)
	if report.Outcome != commentator.OutcomeCancelled || report.ErrorType != "withdrawn" || report.Attempts != 1 || len(slackThread.calls) != 0 {
		t.Errorf("outcome %s (%s) after %d attempts, calls %v", report.Outcome, report.ErrorType, report.Attempts, slackThread.calls)
	}
}

// Whoever waits for a comment that does not come is told so; a job without links, one that was
// cancelled and a comment are no failures.
func TestFailuresAreNotedWithTheEndOfTheJob(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{})
	var told, want []int64
	r.Failed = func(id int64) { told = append(told, id) }
	for _, tt := range []struct {
		link string
		fail bool
	}{{"/article/1", false}, {"/gone", true}, {"/thin", true}, {"", false}} {
		var links []string
		if tt.link != "" {
			links = []string{web.URL + tt.link}
		}
		id := r.jobs(t, links...)[0].ID
		r.finish(t, id)
		if tt.fail {
			want = append(want, id)
		}
	}
	for fate, fail := range map[queue.Fate]bool{queue.FateMissing: true, queue.FateCancelled: false} {
		id := r.jobs(t, web.URL+"/article/2")[0].ID
		if err := r.Lost(t.Context(), id, fate); err != nil {
			t.Fatal(err)
		}
		if fail {
			want = append(want, id)
		}
	}
	slices.Sort(told)
	due, err := r.Store.NoticesDue(t.Context())
	if err != nil || !slices.Equal(told, want) || !slices.Equal(due, want) {
		t.Errorf("told of %v, noted %v, want %v; %v", told, due, want, err)
	}
	r.Failed = nil
	r.finish(t, r.jobs(t, web.URL+"/gone")[0].ID)
	if due, _ := r.Store.NoticesDue(t.Context()); len(due) != len(want) {
		t.Errorf("noted %v though nobody tells", due)
	}
}

// posting is a poster that does what a test wants.
type posting func(ctx context.Context) (commentator.Post, error)

func (p posting) Post(ctx context.Context, _ commentator.Job, _ commentator.Message, _ commentator.Rendered) (commentator.Post, error) {
	return p(ctx)
}

var errLimited = &commentator.Error{Code: "slack_ratelimited", Message: "Slack asks to come later", Later: true}

// However often Slack asks to come later, the comment comes.
func TestAJobThatIsPutOffHasNotFailed(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{mode: telemetry.ModeTracing})
	calls := 0
	r.Poster = posting(func(context.Context) (commentator.Post, error) {
		if calls++; calls <= commentator.MaxFailures+1 {
			return commentator.Post{}, errLimited
		}
		return commentator.Post{Delivery: slack.DeliverySlack}, nil
	})
	id := r.jobs(t, web.URL+"/article/1")[0].ID
	if err := r.Handle(t.Context(), id, nil); !errors.Is(err, errLimited) {
		t.Errorf("Handle() = %v: the queue would not try it again after a pause", err)
	}
	report := r.finish(t, id)
	j, err := r.Store.Job(t.Context(), id)
	if err != nil || report.Outcome != commentator.OutcomeSuccess || j.Failures != 0 || j.Kills != 0 || web.count("/article/1") != 1 {
		t.Errorf("outcome %s (%s), %d failures, %d kills, %v", report.Outcome, report.Error, j.Failures, j.Kills, err)
	}
	// Each attempt at the stage is recorded, and the job ended once.
	kinds, _ := r.outbox(t)
	posts := 0
	for _, kind := range kinds {
		if kind == string(commentator.StageSlackPost) {
			posts++
		}
	}
	if posts != calls || kinds[len(kinds)-1] != wire.SpanJob {
		t.Errorf("%d attempts to post, recorded %v", calls, kinds)
	}
}

func TestAJobIsNotPutOffForEver(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{})
	r.Poster = posting(func(context.Context) (commentator.Post, error) { return commentator.Post{}, errLimited })
	id := r.jobs(t, web.URL+"/article/1")[0].ID
	if _, err := r.Store.DB().ExecContext(t.Context(), fmt.Sprintf(`UPDATE jobs SET attempt = %d`, mostPutOff-1)); err != nil {
		t.Fatal(err)
	}
	if report := r.finish(t, id); report.Outcome != commentator.OutcomeError || report.ErrorType != errLimited.Code || report.Attempts != mostPutOff-1+commentator.MaxFailures {
		t.Errorf("outcome %s (%s) after %d attempts", report.Outcome, report.ErrorType, report.Attempts)
	}
}

// busySite is a retriever of a site that takes no more requests for as long as somebody waits.
type busySite struct {
	commentator.Retriever
	after time.Duration
	left  []time.Duration // what the job might still be put off for, by attempt
}

func (b *busySite) Retrieve(ctx context.Context, link string) (commentator.Evidence, error) {
	left := commentator.Patience(ctx)
	b.left = append(b.left, left)
	if b.after > left {
		return b.Retriever.Retrieve(ctx, link)
	}
	err := &commentator.Error{Code: "rate_limited", Message: "The site asks to come later.", Later: true, After: b.after}
	return commentator.Evidence{Coverage: commentator.CoverageFailed}, err
}

// A site's limit of requests costs a job none of its tries, and what it is put off for is counted from
// its first attempt, so that it ends.
func TestALimitOfASiteIsNoFailureAndWaitedForOnlySoLong(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{})
	busy := &busySite{Retriever: r.Retriever, after: time.Minute}
	now := time.Now().Truncate(time.Microsecond) // as the job database keeps times
	r.Retriever, r.Patience, r.Now = busy, 10*time.Minute, func() time.Time { return now }
	id := r.jobs(t, web.URL+"/article/1")[0].ID
	for try := 0; ; try++ {
		j, err := r.Attempt(t.Context(), id, nil)
		if j.State == commentator.JobFinal {
			break
		}
		if !commentator.IsLater(err) || commentator.After(err) != time.Minute || try > commentator.MaxFailures+10 {
			t.Fatalf("attempt %d: %v", try, err)
		}
		now = now.Add(time.Minute)
	}
	j, err := r.Store.Job(t.Context(), id)
	if err != nil || j.Outcome != commentator.OutcomeSuccess || j.Failures != 0 {
		t.Errorf("outcome %s (%s), %d failures, %v", j.Outcome, j.ErrorMessage, j.Failures, err)
	}
	if len(busy.left) != 11 || busy.left[0] != 10*time.Minute || busy.left[9] != time.Minute || busy.left[10] != 0 {
		t.Errorf("the job might wait for %v", busy.left)
	}
}

// That the message is gone is told by the post alone, and the reply is deleted by then: the job
// must not post again because the worker stops.
func TestAJobWhoseMessageIsGoneEndsThoughTheWorkerStops(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	r.Poster = posting(func(context.Context) (commentator.Post, error) {
		cancel()
		return commentator.Post{}, commentator.ErrWithdrawn
	})
	j, err := r.Attempt(ctx, r.jobs(t, web.URL+"/article/1")[0].ID, nil)
	if err != nil || j.Outcome != commentator.OutcomeCancelled || j.ErrorType != "withdrawn" {
		t.Errorf("Attempt() = %s (%s), %v", j.Outcome, j.ErrorType, err)
	}
}

// lateContext is one whose deadline has passed once it is late.
type lateContext struct {
	context.Context
	late atomic.Bool
}

func (c *lateContext) Err() error {
	if c.late.Load() {
		return context.DeadlineExceeded
	}
	return c.Context.Err()
}

// The same holds for a reply that stands in the channel and could not be deleted: another attempt
// would put a second one beside it.
func TestAJobWhoseReplyCouldNotBeTakenBackEndsWhateverEndsMeanwhile(t *testing.T) {
	web := newSite(t)
	stays := &commentator.Error{Code: "slack_not_taken_back", Final: true, Message: "It stands there", Err: commentator.ErrNotTakenBack}
	for _, what := range []string{"the worker stops", "the time of the attempt is over"} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t, rigConfig{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			late := &lateContext{Context: ctx}
			r.Poster = posting(func(context.Context) (commentator.Post, error) {
				if what == "the worker stops" {
					cancel()
				} else {
					late.late.Store(true)
				}
				return commentator.Post{}, stays
			})
			j, err := r.Attempt(late, r.jobs(t, web.URL+"/article/1")[0].ID, nil)
			if err != nil || j.State != commentator.JobFinal || j.Outcome != commentator.OutcomeError || j.ErrorType != stays.Code {
				t.Errorf("Attempt() = %s, %s (%s), %v", j.State, j.Outcome, j.ErrorType, err)
			}
		})
	}
}
