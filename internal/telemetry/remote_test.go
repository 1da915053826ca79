package telemetry

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/commentator"
)

// asker is the configuration of a process that asks, by a clock that stands.
func asker(log *safeLog) Config {
	c := Config{ServiceName: "worker", Logger: slog.New(slog.NewTextHandler(log, nil))}.withDefaults()
	c.Now = func() time.Time { return testStart }
	return c
}

// A strategy in Jaeger's form decides, a new one holds without a restart, and an address that
// answers no more is reported once and leaves what it said.
func TestRemoteStrategyDecides(t *testing.T) {
	var answer, asked atomic.Value
	answer.Store(`{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":1}}`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.URL.Query().Get("service"))
		if answer.Load() == "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(answer.Load().(string)))
	}))
	defer server.Close()
	logged := &safeLog{}
	remote := newByRemote(Remote{Endpoint: server.URL, Interval: 10 * time.Millisecond}, asker(logged), strategyTimeout)
	defer remote.close()
	becomes := func(what string, detail commentator.Detail) {
		t.Helper()
		eventually(t, what, func() bool {
			d := remote.decide(commentator.Job{}, commentator.Message{}, trace.TraceID{1})
			return d.Detail == detail && d.By == commentator.ByRemote && strings.HasPrefix(d.Rule, server.URL+": full for ")
		})
	}
	becomes("full", commentator.DetailFull)
	if asked.Load() != "worker" {
		t.Errorf("asked for service %v", asked.Load())
	}
	answer.Store(`{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0}}`)
	becomes("tracking", commentator.DetailTracking)
	answer.Store(`{"strategyType":"PROBABILISTIC","operationSampling":{"defaultSamplingProbability":0,"perOperationStrategies":[{"operation":"process jobs","probabilisticSampling":{"samplingRate":1}}]}}`)
	becomes("full by operation", commentator.DetailFull)
	answer.Store("")
	eventually(t, "a report", func() bool { return logged.count("no sampling strategy comes") > 0 })
	remote.sampler.UpdateSampler()
	remote.sampler.UpdateSampler()
	if n := logged.count("no sampling strategy comes"); n != 1 {
		t.Errorf("said %d times", n)
	}
	becomes("still full", commentator.DetailFull)

	// What is no strategy changes nothing.
	for _, wrong := range []string{
		`[]`, `{}`, `{"probabilisticSampling":{"samplingRate":7}}`, `{"probabilistic_sampling":{"sampling_rate":"NaN"}}`,
		`{"rateLimitingSampling":{"maxTracesPerSecond":-5}}`, `{"operationSampling":{"defaultSamplingProbability":-3}}`,
		`{"operationSampling":{"perOperationStrategies":[{"operation":"process jobs"}]}}`,
		`{"operationSampling":{"perOperationStrategies":[{}]}}`, `{"operationSampling":{"perOperationStrategies":[null]}}`,
		`{"operation_sampling":{"per_operation_strategies":[{"operation":"process jobs","probabilistic_sampling":{"sampling_rate":9}}]}}`,
	} {
		answer.Store(wrong)
		remote.sampler.UpdateSampler()
		if _, err := readStrategy([]byte(wrong)); err == nil {
			t.Errorf("%s is taken", wrong)
		}
		becomes("full in spite of "+wrong, commentator.DetailFull)
	}
}

// A decision says which answer it goes by, and what that asks for.
func TestRemoteDecisionsNameTheStrategy(t *testing.T) {
	var answer atomic.Value
	asked := make(chan struct{}, 1)
	answer.Store("")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(answer.Load().(string)))
		select {
		case asked <- struct{}{}:
		default:
		}
	}))
	defer server.Close()
	remote := newByRemote(Remote{Endpoint: server.URL, Interval: time.Hour, Initial: 1}, asker(&safeLog{}), strategyTimeout)
	defer remote.close()
	<-asked // by itself it asks no more
	decide := func(text string) commentator.Decision {
		answer.Store(text)
		remote.sampler.UpdateSampler()
		d := remote.decide(commentator.Job{}, commentator.Message{}, trace.TraceID{1})
		d.Detail = "" // a limit begins with as much as it likes
		return d
	}
	for _, tc := range []struct {
		answer string
		want   commentator.Decision
	}{
		{"", commentator.Decision{Rule: ", which had given none yet: full for all jobs", Ratio: 1}},
		{
			`{"probabilisticSampling":{"samplingRate":0.25}}`,
			commentator.Decision{Rule: ": full for a share of 0.25 of the jobs", Ratio: 0.25, Revision: "5fe1fda0"},
		},
		{
			`{"rateLimitingSampling":{"maxTracesPerSecond":3}}`,
			commentator.Decision{Rule: ": full for at most 3 jobs a second", Revision: "24a7dbab"},
		},
		{
			`{"operationSampling":{"defaultSamplingProbability":1,"defaultLowerBoundTracesPerSecond":0.5,"perOperationStrategies":[{"operation":"process jobs","probabilisticSampling":{"samplingRate":0.5}}]}}`,
			commentator.Decision{Rule: ": full for a share of 0.5 of the jobs, at least 0.5 a second", Ratio: 0.5, Revision: "ae373a25"},
		},
		{
			`{"operationSampling":{"defaultSamplingProbability":0}}`,
			commentator.Decision{Rule: ": full for none of the jobs", Revision: "5c812382"},
		},
	} {
		tc.want.By, tc.want.Rule = commentator.ByRemote, server.URL+tc.want.Rule
		if got := decide(tc.answer); got != tc.want {
			t.Errorf("%s: decision %+v, want %+v", tc.answer, got, tc.want)
		}
	}
}

// A source that takes connections and never answers does not hold up the end of the process,
// and its password is in no decision.
func TestSilentRemoteDoesNotHoldUpTheEnd(t *testing.T) {
	asked, quit := make(chan struct{}, 1), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		select {
		case <-quit:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(quit)
	address := strings.Replace(server.URL, "http://", "http://user:hunter2secret@", 1)
	remote := newByRemote(Remote{Endpoint: address, Interval: time.Hour}, asker(&safeLog{}), time.Hour)
	<-asked
	if d := remote.decide(commentator.Job{}, commentator.Message{}, trace.TraceID{1}); strings.Contains(d.Rule, "hunter2secret") {
		t.Errorf("rule %q", d.Rule)
	}
	ended := make(chan struct{})
	go func() {
		remote.close()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("it waits for the answer")
	}
}

func TestArgumentsOfTheRemoteSampler(t *testing.T) {
	for arg, want := range map[string]Remote{
		"": {DefaultRemoteEndpoint, 500 * time.Millisecond, 0},
		"endpoint=http://collector:5778/sampling,pollingIntervalMs=2000,initialSamplingRate=0.25": {"http://collector:5778/sampling", 2 * time.Second, 0.25},
	} {
		for _, name := range []string{"jaeger_remote", "parentbased_jaeger_remote"} {
			_, got, err := ResolveSampler(name, arg)
			if err != nil || got == nil || *got != want {
				t.Errorf("%s %q: %v, %v", name, arg, got, err)
			}
		}
	}
	for arg, want := range map[string]string{
		"endpoint=collector:5778":                 "is not an address",
		"endpoint=http://h/s?x=1":                 "without a query",
		"pollingIntervalMs=1":                     "at least 100",
		"initialSamplingRate=2":                   "from 0 to 1",
		"initialSamplingRate=NaN":                 "from 0 to 1",
		"endpoint=http://a/s,endpoint=http://b/s": "endpoint is given twice",
		"samplingServer=localhost":                "takes endpoint, pollingIntervalMs and initialSamplingRate",
	} {
		if _, _, err := ResolveSampler("jaeger_remote", arg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", arg, err)
		}
	}
}
