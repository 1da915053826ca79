package apply_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

// prompted is a plan whose job used two prompts, one in each of two stages.
func (e *env) prompted(n int, first, second reduce.Prompt) reduce.Plan {
	p := e.plan(n)
	p.Runs[0].Prompts = []reduce.Prompt{first, second}
	p.Runs[2].Prompts, p.Runs[3].Prompts = p.Runs[0].Prompts[:1], p.Runs[0].Prompts[1:]
	p.Traces[0].Info.Prompts = p.Runs[0].Prompts
	return p
}

// register makes a version of a prompt that no other test uses.
func (e *env) register(t *testing.T, name, text string) (reduce.Prompt, mlflow.PromptVersion) {
	t.Helper()
	name += hash(e.experiment)[:12]
	v, err := e.client.CreatePromptVersion(t.Context(), mlflow.NewPromptVersion{Name: name, Text: text})
	if err != nil {
		t.Fatal(err)
	}
	return reduce.Prompt{Name: name, SHA256: hash(text)}, v
}

func (e *env) linked(t *testing.T, key string) (versions []mlflow.PromptVersion) {
	t.Helper()
	if tag := e.findRun(t, key).Tag(wire.TagPrompts); tag != "" {
		if err := json.Unmarshal([]byte(tag), &versions); err != nil {
			t.Fatal(err)
		}
	}
	return versions
}

// Runs and trace name the versions whose text was used, and the trace is found by them. That
// takes one request a job; which versions there are is asked for once.
func TestPromptsAreLinked(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.register(t, "compose", "an older text")
		first, firstVersion := e.register(t, "extract", "Extract {{ facts }}.\n")
		second, secondVersion := e.register(t, "compose", "Compose. \u00e4\n")
		e.register(t, "compose", "Compose. \u00e4\n") // the same text again: the first one counts
		if secondVersion.Version != "2" {
			t.Fatalf("registered %v", secondVersion)
		}
		e.mustApply(t, e.prompted(0, first, second))
		e.requests.take()
		p := e.prompted(1, first, second)
		e.mustApply(t, p)
		e.took(t, 27)
		e.mustApply(t, p, p)
		e.took(t, 0)
		for key, want := range map[string][]mlflow.PromptVersion{
			p.Runs[0].Key: {firstVersion, secondVersion}, p.Runs[2].Key: {firstVersion}, p.Runs[3].Key: {secondVersion}, p.Runs[1].Key: nil,
		} {
			if got := e.linked(t, key); !slices.Equal(got, want) {
				t.Errorf("run %s names %v, want %v", key, got, want)
			}
		}
		info, err := e.client.GetTraceInfo(t.Context(), "tr-"+p.Traces[0].TraceID)
		if err != nil || info.Tags[wire.TagPrompts] != e.findRun(t, p.Runs[0].Key).Tag(wire.TagPrompts) {
			t.Errorf("the trace names %s, %v", info.Tags[wire.TagPrompts], err)
		}
		for _, v := range []mlflow.PromptVersion{firstVersion, secondVersion} {
			found, _, err := e.client.SearchTraces(t.Context(), mlflow.SearchTraces{
				ExperimentIDs: []string{e.experimentID(t)}, Filter: "prompt = '" + v.Name + "/" + v.Version + "'",
			})
			if err != nil || len(found) != 2 {
				t.Errorf("%v finds %d traces, %v", v, len(found), err)
			}
		}
	})
}

// A text that the registry does not have is asked for once a minute; jobs from then on are linked.
func TestPromptThatIsRegisteredLater(t *testing.T) {
	e, _ := faulty(t)
	now := time.UnixMilli(startMS)
	e.cfg.Now = func() time.Time { return now }
	e.restart(t)
	known, version := e.register(t, "extract", "text")
	late := reduce.Prompt{Name: "late", SHA256: hash("late text")}
	e.mustApply(t, e.prompted(0, known, late))
	e.requests.take()
	e.mustApply(t, e.prompted(1, known, late))
	e.took(t, 27)
	if got := e.linked(t, jobID(e.experiment, 1)); !slices.Equal(got, []mlflow.PromptVersion{version}) {
		t.Errorf("linked %v", got)
	}
	lateVersion, err := e.client.CreatePromptVersion(t.Context(), mlflow.NewPromptVersion{Name: "late", Text: "late text"})
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	e.requests.take()
	e.mustApply(t, e.prompted(2, known, late))
	e.took(t, 30) // and it is listed
	if got := e.linked(t, jobID(e.experiment, 2)); !slices.Equal(got, []mlflow.PromptVersion{version, lateVersion}) {
		t.Errorf("linked %v", got)
	}
}

// A prompt whose name is too long for a database to link is named by the tags all the same, and
// the others are linked.
func TestPromptsWithLongNames(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		short, shortVersion := e.register(t, "short", "text one")
		long, longVersion := e.register(t, strings.Repeat("long_", 8), "text two")
		p := e.prompted(1, short, long)
		e.mustApply(t, p)
		if got, want := e.linked(t, p.Runs[0].Key), []mlflow.PromptVersion{shortVersion, longVersion}; !slices.Equal(got, want) {
			t.Errorf("the run names %v, want %v", got, want)
		}
		found, _, err := e.client.SearchTraces(t.Context(), mlflow.SearchTraces{
			ExperimentIDs: []string{e.experimentID(t)}, Filter: "prompt = '" + shortVersion.Name + "/" + shortVersion.Version + "'",
		})
		if err != nil || len(found) != 1 {
			t.Errorf("found %d traces, %v", len(found), err)
		}
		if n := e.events.get(apply.EventDeadLetter); n != 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// Versions that are deleted, or have other numbers since the prompt was made anew, are noticed
// within ten minutes.
func TestPromptThatIsRegisteredAnew(t *testing.T) {
	e, s := faulty(t)
	now := time.UnixMilli(startMS)
	e.cfg.Now = func() time.Time { return now }
	e.restart(t)
	e.register(t, "compose", "text A")
	used, second := e.register(t, "compose", "text B")
	other, _ := e.register(t, "extract", "text C")
	e.mustApply(t, e.prompted(0, used, other))
	if got := e.linked(t, jobID(e.experiment, 0)); !slices.Contains(got, second) || second.Version != "2" {
		t.Fatalf("linked %v", got)
	}
	s.DropPrompt(used.Name)
	used, first := e.register(t, "compose", "text B")
	now = now.Add(10 * time.Minute)
	e.mustApply(t, e.prompted(1, used, other))
	if got := e.linked(t, jobID(e.experiment, 1)); !slices.Contains(got, first) || first.Version != "1" {
		t.Errorf("linked %v, want %v", got, first)
	}
}

// A registry that fails while the rest of MLflow works delays a job, and no more of them once it
// was given up; when it is back jobs are linked.
func TestRegistryThatFailsKeepsNoJob(t *testing.T) {
	for name, fault := range map[string]*mlflowtest.Fault{
		"500": mlflowtest.Internal(), "503": mlflowtest.Locked(), "a page": {Status: http.StatusOK, Body: "<html>log in</html>"},
	} {
		t.Run(name, func(t *testing.T) {
			e, s := faulty(t)
			now := time.UnixMilli(startMS)
			e.cfg.Now = func() time.Time { return now }
			e.restart(t)
			used, version := e.register(t, "extract", "text")
			other, _ := e.register(t, "compose", "text")
			e.mustApply(t, e.plan(0))
			s.Fail(failing(http.MethodGet, "/model-versions/search", fault))
			attempts := 0
			for ; ; attempts++ {
				if err := e.Apply(t.Context(), e.prompted(1, used, other)); err == nil {
					break
				}
				if attempts > 500 {
					t.Fatal("the job waits for ever")
				}
				e.mustApply(t, reduce.Plan{Runs: e.plan(attempts + 100).Runs[:1]})
			}
			if attempts < 5 {
				t.Errorf("given up after %d attempts", attempts)
			}
			now = now.Add(2 * time.Minute)
			if err := e.Apply(t.Context(), e.prompted(2, used, other)); err != nil {
				t.Errorf("the next job waits too: %v", err)
			}
			s.Fail(nil)
			now = now.Add(2 * time.Minute)
			e.mustApply(t, e.prompted(3, used, other))
			if got := e.linked(t, jobID(e.experiment, 3)); !slices.Contains(got, version) {
				t.Errorf("linked %v", got)
			}
			if n := e.events.get(apply.EventDeadLetter); n != 0 {
				t.Errorf("%d dead letters", n)
			}
		})
	}
}
