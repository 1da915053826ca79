package telemetry

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// source is a source of strategies that is asked when the test says so.
type source struct {
	*strategies
	log   *safeLog
	now   time.Time
	noted []RemoteState
	wrong error // of noting
}

func newSource(t *testing.T, endpoint string) *source {
	s := &source{log: &safeLog{}, now: testStart}
	c := asker(s.log)
	c.Now = func() time.Time { return s.now }
	c.NoteRemote = func(_ context.Context, r RemoteState) error {
		if s.wrong == nil {
			s.noted = append(s.noted, r)
		}
		return s.wrong
	}
	s.strategies = &strategies{endpoint: endpoint, ctx: t.Context(), timeout: time.Minute, news: newStrategyNews(endpoint, c)}
	return s
}

func (s *source) lines(t *testing.T, when string, missing, again int) {
	t.Helper()
	if a, b := s.log.count("no sampling strategy comes"), s.log.count("sampling strategies come again"); a != missing || b != again {
		t.Errorf("%s: the log tells of %d problems and %d ends of them, want %d and %d:\n%s", when, a, b, missing, again, &s.log.b)
	}
}

// Each outage, and each other reason of one, has one line, and so has its end; the state that other
// processes show is noted with each of them, and not with each question.
func TestOutagesOfTheRemoteSourceAreToldOnceEach(t *testing.T) {
	const half, none = `{"probabilisticSampling":{"samplingRate":0.5}}`, `{"probabilisticSampling":{"samplingRate":0}}`
	var answer atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if text := answer.Load().(string); text != "" {
			_, _ = w.Write([]byte(text))
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	s := newSource(t, server.URL)
	for i, step := range []struct {
		answer         string
		missing, again int // lines until then
		noted          int
		state          RemoteState
	}{
		{"", 1, 0, 1, RemoteState{Since: testStart, Problem: "it answers 503 Service Unavailable"}},
		{half, 1, 1, 2, RemoteState{Since: testStart.Add(2 * time.Minute), Says: "full for a share of 0.5 of the jobs", Revision: "82298076"}},
		{none, 1, 1, 3, RemoteState{Since: testStart.Add(4 * time.Minute), Says: "full for none of the jobs", Revision: "3f13046f"}},
		{"", 2, 1, 4, RemoteState{Since: testStart.Add(6 * time.Minute), Problem: "it answers 503 Service Unavailable", Says: "full for none of the jobs", Revision: "3f13046f"}},
		{"{}", 3, 1, 5, RemoteState{Since: testStart.Add(6 * time.Minute), Problem: "its answer has neither probabilisticSampling nor rateLimitingSampling nor operationSampling", Says: "full for none of the jobs", Revision: "3f13046f"}},
		{none, 3, 2, 6, RemoteState{Since: testStart.Add(10 * time.Minute), Says: "full for none of the jobs", Revision: "3f13046f"}},
	} {
		answer.Store(step.answer)
		for range 4 {
			_, err := s.Fetch("worker")
			if (err != nil) != (step.state.Problem != "") {
				t.Fatalf("step %d: %v", i, err)
			}
			s.lines(t, step.answer, step.missing, step.again)
			s.now = s.now.Add(30 * time.Second)
		}
		step.state.Endpoint, step.state.Since = server.URL, step.state.Since.Truncate(time.Second)
		if got := s.noted[len(s.noted)-1]; len(s.noted) != step.noted {
			t.Errorf("step %d: noted %d times, want %d", i, len(s.noted), step.noted)
		} else if diff := cmp.Diff(step.state, got); diff != "" {
			t.Errorf("step %d: noted (-want +got):\n%s", i, diff)
		}
	}
}

// A source of which one answer in two is wrong does not fill the log, and what goes on is told.
func TestARemoteSourceThatComesAndGoesIsToldOnceAMinute(t *testing.T) {
	s := newSource(t, "http://h/sampling")
	refused, reset := errors.New("connection refused"), errors.New("read tcp 10.0.0.1:4711->10.0.0.2:80: connection reset by peer")
	for range 50 {
		s.news.heard(t.Context(), strategy{}, refused)
		s.news.heard(t.Context(), strategy{revision: "1"}, nil)
	}
	s.lines(t, "within a moment", 1, 1)
	s.news.heard(t.Context(), strategy{}, refused)
	s.now = s.now.Add(tellAgain)
	s.news.heard(t.Context(), strategy{}, refused)
	s.lines(t, "when it stays away", 2, 1)
	if got, want := s.noted[len(s.noted)-1].Since, testStart.Truncate(time.Second); !got.Equal(want) {
		t.Errorf("away since %v, want %v", got, want)
	}
	for _, port := range []string{"4711", "4712", "4713"} {
		s.news.heard(t.Context(), strategy{}, errors.New(strings.Replace(reset.Error(), "4711", port, 1)))
	}
	s.lines(t, "by another port each time", 3, 1)
	for range 120 {
		s.now = s.now.Add(tellAgain / 2)
		s.news.heard(t.Context(), strategy{}, refused)
		s.news.heard(t.Context(), strategy{}, reset)
	}
	s.lines(t, "with two reasons by turns", 3, 1)
	for i := range 10 * maxTold {
		s.news.heard(t.Context(), strategy{}, errors.New(strings.Repeat("x", i)))
	}
	s.lines(t, "with another reason each time", maxTold+1, 1)
}

// What could not be noted is noted with the next answer, though nothing changed.
func TestTheStateOfTheRemoteSourceIsNotedUntilItIsKept(t *testing.T) {
	s := newSource(t, "http://u:hunter2secret@h/sampling")
	s.wrong = errors.New("database is locked")
	s.news.heard(t.Context(), strategy{}, errors.New("bad api_key=sk-proj-abcdefghijklmnop0123456789\x00"))
	s.wrong = nil
	for range 3 {
		s.news.heard(t.Context(), strategy{}, errors.New("bad api_key=sk-proj-abcdefghijklmnop0123456789\x00"))
	}
	if len(s.noted) != 1 {
		t.Fatalf("noted %+v", s.noted)
	}
	if r := s.noted[0]; strings.Contains(r.Endpoint+r.Problem, "hunter2secret") || strings.Contains(r.Problem, "sk-proj") || strings.Contains(r.Problem, "\x00") {
		t.Errorf("noted %+v", r)
	}
}

// The settings name who is asked: who answers there may send nobody elsewhere.
func TestTheRemoteSourceIsNotFollowedElsewhere(t *testing.T) {
	var asked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(`{"probabilisticSampling":{"samplingRate":1}}`))
	}))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL+"/x", http.StatusFound))
	defer server.Close()
	s := newSource(t, server.URL)
	_, err := s.Fetch("worker")
	if err == nil || !strings.Contains(err.Error(), "it answers 302 Found, a redirect to") || asked.Load() != 0 {
		t.Errorf("%v, and the other one is asked %d times", err, asked.Load())
	}
	s.lines(t, "of a redirect", 1, 0)
}
