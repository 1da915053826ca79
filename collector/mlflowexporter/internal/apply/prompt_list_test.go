package apply_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// listedBy gives the tag by which pages list a prompt.
func (e *env) listedBy(t *testing.T, name string) string {
	t.Helper()
	p, err := e.client.GetPrompt(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return p.Tag(mlflow.TagPromptExperiments)
}

const (
	getPrompt = "GET /api/2.0/mlflow/registered-models/get"
	tagPrompt = "POST /api/2.0/mlflow/registered-models/set-tag"
)

// The page of an experiment lists the prompts that its jobs used, beside those of other experiments. The first
// job sees to it; a restart looks, and writes nothing.
func TestPromptsAreListedByTheirExperiments(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		first, _ := e.register(t, "extract", "text one")
		second, _ := e.register(t, "compose", "text two")
		if err := e.client.TagPrompt(t.Context(), first.Name, mlflow.KeyValue{Key: mlflow.TagPromptExperiments, Value: ",9007,"}); err != nil {
			t.Fatal(err)
		}
		e.mustApply(t, e.prompted(0, first, second))
		id := e.experimentID(t)
		check := func(want map[string]string) {
			t.Helper()
			for name, want := range want {
				if got := e.listedBy(t, name); got != want {
					t.Errorf("%s is listed by %q, want %q", name, got, want)
				}
			}
		}
		check(map[string]string{first.Name: ",9007," + id + ",", second.Name: "," + id + ","})
		e.requests.take()
		e.mustApply(t, e.prompted(1, first, second))
		e.took(t, 27)

		other := e.prompted(2, first, second)
		for i := range other.Runs {
			other.Runs[i].Experiment = e.experiment + " too"
		}
		other.Traces[0].Experiment = e.experiment + " too"
		e.mustApply(t, other)
		too := e.idOf(t, e.experiment+" too")
		check(map[string]string{first.Name: ",9007," + id + "," + too + ",", second.Name: "," + id + "," + too + ","})

		e.restart(t)
		e.requests.take()
		e.mustApply(t, e.prompted(3, first, second))
		if gets, sets := e.requests.get(getPrompt), e.requests.get(tagPrompt); gets != 2 || sets != 0 {
			t.Errorf("after a restart %d are read and %d written", gets, sets)
		}
	})
}

// Jobs without a trace, and traces of others' runs, as those of an evaluation, bring their prompts to the page too.
func TestRunsAndTracesAloneListTheirPrompts(t *testing.T) {
	e, _ := faulty(t)
	first, _ := e.register(t, "extract", "text one")
	second, _ := e.register(t, "compose", "text two")
	ofRun, ofTrace := e.plan(0), e.plan(1)
	ofRun.Runs[0].Prompts, ofRun.Traces = []reduce.Prompt{first}, nil
	ofTrace.Traces[0].Info.Prompts = []reduce.Prompt{second}
	e.mustApply(t, ofRun, ofTrace)
	for _, p := range []reduce.Prompt{first, second} {
		if got := e.listedBy(t, p.Name); got != ","+e.experimentID(t)+"," {
			t.Errorf("%s is listed by %q", p.Name, got)
		}
	}
}

// No page of MLflow before 3.7 asks, and none is told.
func TestOldServersListNoPrompts(t *testing.T) {
	e, s := faulty(t)
	s.Version = "3.6.0"
	e.restart(t)
	used, _ := e.register(t, "extract", "text")
	p := e.plan(0)
	p.Runs[0].Prompts, p.Traces = []reduce.Prompt{used}, nil
	e.mustApply(t, p)
	if len(e.linked(t, p.Runs[0].Key)) != 1 || e.listedBy(t, used.Name) != "" {
		t.Errorf("linked %v, listed by %q", e.linked(t, p.Runs[0].Key), e.listedBy(t, used.Name))
	}
}

// A registry that can be read and not written costs a job nothing, is not asked with every job, and
// does not count against MLflow; later it is tried again.
func TestListingThatFailsCostsNothingElse(t *testing.T) {
	for name, fault := range map[string]*mlflowtest.Fault{
		"403": {Status: http.StatusForbidden, Body: `{"error_code":"PERMISSION_DENIED","message":"no"}`}, "500": mlflowtest.Internal(), "502": {Status: http.StatusBadGateway, Body: "<html>"},
		"400": {Status: http.StatusBadRequest, Body: `{"error_code":"INVALID_PARAMETER_VALUE","message":"no"}`},
	} {
		t.Run(name, func(t *testing.T) {
			e, s := faulty(t)
			now := time.UnixMilli(startMS)
			e.cfg.Now = func() time.Time { return now }
			e.restart(t)
			var used []reduce.Prompt
			for _, name := range []string{"a", "b", "c", "d"} {
				one, _ := e.register(t, name, "text")
				used = append(used, one)
			}
			plan := func(n int) reduce.Plan {
				p := e.prompted(n, used[0], used[1])
				p.Runs[0].Prompts, p.Traces[0].Info.Prompts = used, used
				return p
			}
			s.Fail(failing(http.MethodGet, "/registered-models/get", fault))
			for n := range 3 {
				if err := e.Apply(t.Context(), plan(n)); err != nil {
					t.Fatal(err)
				}
			}
			if n := e.requests.get(getPrompt); n != 4 {
				t.Errorf("%d attempts for 4 prompts of 3 jobs", n)
			}
			if state := e.State(); state.Away != "" {
				t.Errorf("MLflow counts as away: %s", state.Away)
			}
			if got := e.linked(t, jobID(e.experiment, 0)); len(got) != 4 {
				t.Errorf("linked %v", got)
			}
			if n := e.events.get(apply.EventDeadLetter); n != 0 {
				t.Errorf("%d dead letters", n)
			}
			s.Fail(nil)
			now = now.Add(10 * time.Minute)
			e.mustApply(t, plan(3))
			for _, p := range used {
				if got := e.listedBy(t, p.Name); got != ","+e.experimentID(t)+"," {
					t.Errorf("%s is listed by %q", p.Name, got)
				}
			}
		})
	}
}

// A prompt that was made again is listed again: once its versions are seen to be others, and after a day
// when they look the same.
func TestPromptThatIsMadeAgainIsListedAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		before []string // texts of versions before the one that is used
		later  time.Duration
	}{
		"another number":  {[]string{"text A"}, 10 * time.Minute},
		"the same number": {nil, 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			e, s := faulty(t)
			now := time.UnixMilli(startMS)
			e.cfg.Now = func() time.Time { return now }
			e.restart(t)
			for _, text := range tc.before {
				e.register(t, "compose", text)
			}
			used, _ := e.register(t, "compose", "text B")
			other, _ := e.register(t, "extract", "text C")
			e.mustApply(t, e.prompted(0, used, other))
			s.DropPrompt(used.Name)
			e.register(t, "compose", "text B")
			now = now.Add(tc.later)
			e.mustApply(t, e.prompted(1, used, other))
			if got := e.listedBy(t, used.Name); got != ","+e.experimentID(t)+"," {
				t.Errorf("listed by %q", got)
			}
		})
	}
}

// Two jobs of two experiments at once: neither takes the other one's page away.
func TestListingsAtOnceKeepEachOther(t *testing.T) {
	e, s := faulty(t)
	used, _ := e.register(t, "extract", "text")
	var mu sync.Mutex
	under := 0
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case strings.HasSuffix(r.URL.Path, "/registered-models/get"):
			if under++; under > 1 {
				t.Error("read while another one is about to write")
			}
		case strings.HasSuffix(r.URL.Path, "/registered-models/set-tag"):
			under--
		}
		return nil
	})
	var jobs sync.WaitGroup
	names := []string{"x", "y", "z"}
	for n, name := range names {
		jobs.Go(func() {
			p := e.plan(n)
			p.Traces = nil
			p.Runs = p.Runs[:1]
			p.Runs[0].Prompts, p.Runs[0].Experiment = []reduce.Prompt{used}, e.experiment+name
			if err := e.Apply(context.WithoutCancel(t.Context()), p); err != nil {
				t.Error(err)
			}
		})
	}
	jobs.Wait()
	s.Fail(nil)
	got := e.listedBy(t, used.Name)
	for _, name := range names {
		if id := e.idOf(t, e.experiment+name); !strings.Contains(got, ","+id+",") {
			t.Errorf("listed by %q, not by %s", got, id)
		}
	}
}
