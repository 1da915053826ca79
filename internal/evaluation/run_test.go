package evaluation_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/evaluation"
)

// requestsPerTry is what openaitest takes for one: a search, the facts, the comment.
const requestsPerTry = 3

func TestForgottenNoExampleOffline(t *testing.T) {
	start := time.Now()
	res, err := evaluate(t, "", func(c *evaluation.Config) { c.Repetitions = 3 })
	if err != nil {
		t.Fatal(err)
	}
	s := res.Summary()
	t.Logf("%d tries in %s, pass rate %.3f", len(res.Tries), time.Since(start), s.PassRate)
	if s.Total < 40 || s.Unknown != 0 || len(res.Tries) != 3*s.Total {
		t.Errorf("%d examples, %d of which nothing is known, %d tries", s.Total, s.Unknown, len(res.Tries))
	}
	if s.PassRate < 0.9 {
		t.Errorf("the offline analyser passes %.3f of the examples", s.PassRate)
	}
	for _, e := range res.ByExample() { // it is deterministic
		if rate, _ := e.PassRate(); rate != 0 && rate != 1 {
			t.Errorf("%s passes %g of its tries", e.ID, rate)
		}
	}
	m := res.Metrics()
	if m["total_examples"] != float64(s.Total) || m["hybrid-search_gates"] != 1 || m["hybrid-search_pass_rate"] != 1 || m["gates/mean"] == 0 {
		t.Errorf("metrics %v", m)
	}
}

// TestAKilledEvaluationPaysOnce kills the process while it waits for a model, twice, and lets
// another one end the evaluation: what was answered and kept is not asked again.
func TestAKilledEvaluationPaysOnce(t *testing.T) {
	m, url := startModel(t)
	database := filepath.Join(t.TempDir(), "eval.sqlite")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, self) // the context's end is SIGKILL
		cmd.Env = append(os.Environ(), childDatabase+"="+database, childServer+"="+url)
		cmd.Stderr = os.Stderr
		return cmd.Run()
	}
	for _, at := range []int{20, 50} {
		ctx, kill := context.WithCancel(t.Context())
		m.meet(func(n int, _ http.ResponseWriter) bool {
			if n == at {
				kill()
				<-ctx.Done()
			}
			return false
		})
		if err := run(ctx); err == nil {
			t.Fatal("the process was not killed")
		}
		kill()
	}
	m.meet(nil)
	if err := run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := evaluation.LookAtStore(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := s.Results(t.Context(), 0)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d results, %v", len(all), err)
	}
	n := len(all[0].Tries)
	// Of each killed process the stages are lost that were under way, at most two: of stage A two
	// requests, of stage B one.
	want, most := requestsPerTry*n, requestsPerTry*n+2*2*2
	if got := m.asked(); n < 40 || got < want || got > most {
		t.Errorf("%d tries took %d requests; %d to %d are right", n, got, want, most)
	}
}

func TestInfrastructureIsNotTheModelsFault(t *testing.T) {
	m, url := startModel(t)
	m.meet(func(n int, w http.ResponseWriter) bool {
		if n%5 != 0 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	res, err := evaluate(t, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := res.Summary()
	if s.InfrastructureErrors == 0 || s.Unknown != s.InfrastructureErrors {
		t.Errorf("summary %+v", s)
	}
	for _, try := range res.Tries {
		if try.Error == evaluation.ErrorInfrastructure && (len(try.Scores) > 0 || try.Passed || !strings.Contains(try.Message, "is in trouble")) {
			t.Errorf("try %+v", try)
		}
	}
	res, err = evaluate(t, url, func(c *evaluation.Config) { c.Retries, c.Parallel = 5, 1 })
	if err != nil {
		t.Fatal(err)
	}
	if res.Summary().InfrastructureErrors != 0 {
		t.Errorf("with retries: %+v", res.Summary())
	}
}

// A model that answers nonsense half of the time fails half of the tries.
func TestAModelThatFailsHalfOfTheTime(t *testing.T) {
	m, url := startModel(t)
	m.meet(func(n int, w http.ResponseWriter) bool {
		if (n/6)%2 == 0 {
			return false
		}
		fmt.Fprint(w, `{"choices": [{"message": {"role": "assistant", "content": "I would rather not."}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}`)
		return true
	})
	res, err := evaluate(t, url, func(c *evaluation.Config) { c.Parallel = 1 })
	if err != nil {
		t.Fatal(err)
	}
	s, models := res.Summary(), 0
	for _, try := range res.Tries {
		if try.Error != evaluation.ErrorModel {
			continue
		}
		models++
		if score, ok := try.Score("schema_validity"); !ok || score.Pass || score.Value != 0 || try.Tokens.Calls == 0 || *try.CostUSD == 0 {
			t.Errorf("try %+v", try)
		}
	}
	if models < 10 || models > 30 || s.Failed < models || s.Unknown != 0 {
		t.Errorf("%d tries failed by the model's fault; summary %+v", models, s)
	}
}

func TestWhatMakesItUselessToGoOn(t *testing.T) {
	status := func(code int) func(int, http.ResponseWriter) bool {
		return func(_ int, w http.ResponseWriter) bool { w.WriteHeader(code); return true }
	}
	for name, tc := range map[string]struct {
		fault  func(int, http.ResponseWriter) bool
		change func(*evaluation.Config)
		want   string
		most   int // requests
	}{
		"a wrong key":           {status(http.StatusUnauthorized), nil, "check OPENAI_API_KEY", 4},
		"a server that is down": {status(http.StatusBadGateway), nil, "all of 1", 14},
		"no price": {nil, func(c *evaluation.Config) {
			c.MaxCostUSD, c.Price = 1, func(commentator.Analysis, time.Time) (float64, bool) { return 0, false }
		}, "the cost limit cannot be kept", 12},
		"a cassette's miss": {nil, func(c *evaluation.Config) { c.Fatal = func() error { return errors.New("miss") } }, "miss", 12},
	} {
		t.Run(name, func(t *testing.T) {
			m, url := startModel(t)
			m.meet(tc.fault)
			_, err := evaluate(t, url, tc.change)
			var fatal *evaluation.FatalError
			if !errors.As(err, &fatal) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to say %q", err, tc.want)
			}
			if n := m.asked(); n > tc.most {
				t.Errorf("%d requests were made", n)
			}
		})
	}
}

func TestCostLimitIsKept(t *testing.T) {
	_, url := startModel(t)
	const limit = 0.305 // a try costs 0.03
	res, err := evaluate(t, url, func(c *evaluation.Config) { c.MaxCostUSD, c.Parallel = limit, 1 })
	if err != nil {
		t.Fatal(err)
	}
	s := res.Summary()
	if s.CostUSD > limit || len(res.Tries) < 8 || !strings.Contains(res.Stopped, "cost limit of 0.305 USD: 10 of 40 tries") || s.Unknown == 0 {
		t.Errorf("%d tries cost %g USD; stopped by %q; %+v", len(res.Tries), s.CostUSD, res.Stopped, s)
	}
}

// Nobody knows what a try costs before the first one has ended.
func TestCostLimitIsKeptFromTheFirstTryOn(t *testing.T) {
	_, url := startModel(t)
	const limit = 0.05 // a try costs 0.03
	res, err := evaluate(t, url, func(c *evaluation.Config) { c.MaxCostUSD, c.Parallel = limit, 4 })
	if err != nil {
		t.Fatal(err)
	}
	if cost := res.Summary().CostUSD; cost > limit || len(res.Tries) != 1 || res.Stopped == "" {
		t.Errorf("%d tries cost %g USD, stopped by %q", len(res.Tries), cost, res.Stopped)
	}
}

// halfway is an analyser whose facts cost two calls and whose comment costs one, and which makes no
// comment while it is down.
type halfway struct {
	commentator.Analyser
	down bool
}

func (h *halfway) ExtractFacts(ctx context.Context, e commentator.Evidence) (commentator.Facts, commentator.Analysis, error) {
	f, a, err := h.Analyser.ExtractFacts(ctx, e)
	a.Usage.Calls = 2
	return f, a, err
}

func (h *halfway) Compose(ctx context.Context, e commentator.Evidence, f commentator.Facts) (commentator.Comment, commentator.Analysis, error) {
	if h.down {
		return commentator.Comment{}, commentator.Analysis{}, errors.New("down")
	}
	c, a, err := h.Analyser.Compose(ctx, e, f)
	a.Usage.Calls = 1
	return c, a, err
}

// A stage that an outage left behind is paid for once, and tries of the part before count as failed.
func TestResumingCountsEachStageOnce(t *testing.T) {
	var last evaluation.Progress
	var analyser *halfway
	cfg, b := newEvaluation(t, "", func(c *evaluation.Config) {
		analyser = &halfway{Analyser: c.Analyser}
		c.Analyser, c.Parallel = analyser, 1
		c.Progress = func(p evaluation.Progress) { last = p }
	})
	analyser.down = true
	if _, err := evaluation.Run(t.Context(), cfg, b); err == nil || !strings.Contains(err.Error(), "all of 10 tries") {
		t.Fatalf("got %v", err)
	}
	analyser.down = false
	res, err := evaluation.Run(t.Context(), cfg, b)
	if err != nil {
		t.Fatal(err)
	}
	if want := 0.03 * float64(len(cfg.Examples)); math.Abs(last.CostUSD-want) > 1e-9 || math.Abs(res.Summary().CostUSD-want) > 1e-9 {
		t.Errorf("it cost %g USD, the tries %g; want %g", last.CostUSD, res.Summary().CostUSD, want)
	}
	if last.Done != len(cfg.Examples) || last.NotPassed != res.Summary().Failed {
		t.Errorf("progress %+v, summary %+v", last, res.Summary())
	}
}

// What failed before an evaluation was interrupted is shown with what fails after.
func TestProgressGoesOnWithTheEvaluation(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	var last evaluation.Progress
	cfg, b := newEvaluation(t, "", func(c *evaluation.Config) {
		c.Parallel, c.Limits.TLDR = 1, 99 // nothing passes
		c.Progress = func(p evaluation.Progress) {
			if last = p; p.Done == 5 {
				interrupt()
			}
		}
	})
	if _, err := evaluation.Run(ctx, cfg, b); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if _, err := evaluation.Run(t.Context(), cfg, b); err != nil {
		t.Fatal(err)
	}
	if last.Done != len(cfg.Examples) || last.NotPassed != last.Done {
		t.Errorf("progress %+v", last)
	}
}

func TestAnInterruptedEvaluationKeepsWhatItHas(t *testing.T) {
	m, url := startModel(t)
	ctx, interrupt := context.WithCancel(t.Context())
	cfg, b := newEvaluation(t, url, nil)
	m.meet(func(n int, _ http.ResponseWriter) bool {
		if n == 30 {
			interrupt()
		}
		return false
	})
	if _, err := evaluation.Run(ctx, cfg, b); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	old, there, err := cfg.Store.Unfinished(t.Context())
	if err != nil || !there || old.ID != b.ID || len(old.Spec.Differences(cfg.Spec())) != 0 {
		t.Fatalf("unfinished: %+v, %v, %v", old, there, err)
	}
	other := cfg
	other.Repetitions = 2
	if diff := old.Spec.Differences(other.Spec()); len(diff) != 1 || !strings.Contains(diff[0], "repetitions (2, was 1)") {
		t.Errorf("differences %q", diff)
	}
	other = cfg
	other.Settings = "temperature 0.7"
	if diff := old.Spec.Differences(other.Spec()); len(diff) != 1 || !strings.Contains(diff[0], "settings (temperature 0.7, was temperature 0)") {
		t.Errorf("differences %q", diff)
	}
	m.meet(nil)
	if _, err := evaluation.Run(t.Context(), cfg, old); err != nil {
		t.Fatal(err)
	}
	if _, there, err = cfg.Store.Unfinished(t.Context()); there || err != nil {
		t.Errorf("it is still unfinished, %v", err)
	}
}

// What an outage cost an evaluation is made again when it goes on.
func TestTriesThatMetAnOutageAreMadeAgain(t *testing.T) {
	m, url := startModel(t)
	cfg, b := newEvaluation(t, url, nil)
	m.meet(func(_ int, w http.ResponseWriter) bool { w.WriteHeader(http.StatusBadGateway); return true })
	if _, err := evaluation.Run(t.Context(), cfg, b); err == nil || !strings.Contains(err.Error(), "all of 1") {
		t.Fatalf("got %v", err)
	}
	m.meet(nil)
	res, err := evaluation.Run(t.Context(), cfg, b)
	if err != nil {
		t.Fatal(err)
	}
	if s := res.Summary(); s.Unknown != 0 || s.Total != len(cfg.Examples) || len(res.Tries) != len(cfg.Examples) {
		t.Errorf("%d tries of %d examples: %+v", len(res.Tries), len(cfg.Examples), s)
	}
}

func TestOneProcessEvaluatesWithAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "eval.sqlite")
	first, err := evaluation.OpenStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := evaluation.OpenStore(t.Context(), path); !errors.Is(err, evaluation.ErrBusy) {
		t.Errorf("got %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := evaluation.OpenStore(t.Context(), path)
	if err != nil || second.ID() != first.ID() {
		t.Fatalf("the file is another one, or %v", err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
}
