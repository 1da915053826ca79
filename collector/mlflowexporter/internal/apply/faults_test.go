package apply_test

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

// faulty is an environment over a server in memory that a test can make fail.
func faulty(t *testing.T) (*env, *mlflowtest.Server) {
	s := mlflowtest.Start()
	t.Cleanup(s.Close)
	return newEnv(t, s.URL), s
}

// once gives a fault to the first request whose path ends so.
func once(suffix string, fault *mlflowtest.Fault) func(*http.Request) *mlflowtest.Fault {
	var mu sync.Mutex
	return func(r *http.Request) *mlflowtest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if fault == nil || !strings.HasSuffix(r.URL.Path, suffix) {
			return nil
		}
		f := fault
		fault = nil
		return f
	}
}

func TestAnyOrderRepetitionSplitAndFaultEndsInTheSameState(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := mlflowtest.Start()
		defer s.Close()
		e := newEnv(t, s.URL)
		jobs := rapid.IntRange(1, 3).Draw(rt, "jobs")
		var all []reduce.Plan
		var parts []reduce.Plan
		for n := range jobs {
			p := e.plan(n)
			if rapid.Bool().Draw(rt, "tracking only") {
				p.Traces = nil
			}
			all = append(all, p)
			parts = append(parts, split(p)...)
			if rapid.Bool().Draw(rt, "also whole") {
				parts = append(parts, p)
			}
		}
		for range rapid.IntRange(0, 10).Draw(rt, "repetitions") {
			parts = append(parts, rapid.SampledFrom(parts).Draw(rt, "repeated"))
		}
		parts = rapid.Permutation(parts).Draw(rt, "order")

		var mu sync.Mutex
		faults := rapid.IntRange(0, 25).Draw(rt, "faults")
		kinds := []*mlflowtest.Fault{nil, nil, nil, mlflowtest.Locked(), mlflowtest.Lost(), mlflowtest.Race(), mlflowtest.Internal(), {}}
		plan := rapid.SliceOfN(rapid.IntRange(0, len(kinds)-1), 200, 200).Draw(rt, "kinds")
		s.OnRequest = func(r *http.Request) *mlflowtest.Fault {
			mu.Lock()
			defer mu.Unlock()
			if len(plan) == 0 || faults == 0 {
				return nil
			}
			kind := kinds[plan[0]]
			plan = plan[1:]
			if kind != nil {
				faults--
			}
			return kind
		}
		diskFaults := rapid.IntRange(0, 3).Draw(rt, "disk faults")
		e.store.fail = func() error {
			mu.Lock()
			defer mu.Unlock()
			if diskFaults > 0 && len(plan)%7 == 0 {
				diskFaults--
				return errStorage
			}
			return nil
		}
		for len(parts) > 0 {
			n := rapid.IntRange(1, min(4, len(parts))).Draw(rt, "batch")
			batch := merge(parts[:n])
			for attempt := 0; ; attempt++ {
				err := e.Apply(t.Context(), batch)
				if err == nil {
					break
				}
				for _, item := range apply.Errors(err) {
					if item.Permanent {
						rt.Fatalf("permanent: %v", item)
					}
				}
				if attempt == 60 {
					rt.Fatalf("no end: %v", err)
				}
				if rapid.IntRange(0, 3).Draw(rt, "kill") == 0 {
					e.store.fail = nil
					e.restart(t)
				}
			}
			parts = parts[n:]
		}
		s.OnRequest = nil
		if diff := cmp.Diff(want(e.experimentID(t), all...), e.state(t)); diff != "" {
			rt.Fatalf("MLflow holds something else (-want +got):\n%s", diff)
		}
	})
}

// merge puts plans into one that names each run once, as Reduce does.
func merge(plans []reduce.Plan) reduce.Plan {
	var all reduce.Plan
	for _, p := range plans {
		for _, r := range p.Runs {
			at := -1
			for i := range all.Runs {
				if all.Runs[i].Key == r.Key {
					at = i
				}
			}
			switch {
			case at < 0:
				all.Runs = append(all.Runs, r)
			case all.Runs[at].Implied:
				all.Runs[at] = r
			}
		}
		all.Traces = append(all.Traces, p.Traces...)
	}
	return all
}

func TestConcurrentPlansOfOneJob(t *testing.T) {
	e, _ := faulty(t)
	var wg sync.WaitGroup
	for range 4 {
		for _, p := range split(e.plan(1)) {
			wg.Go(func() {
				if err := e.Apply(t.Context(), p); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	e.check(t, e.plan(1))
}

func TestLostAnswerOfCreateMakesNoSecondRun(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(0))
	s.OnRequest = once("/runs/create", mlflowtest.Lost())
	err := e.Apply(t.Context(), e.plan(1))
	items := apply.Errors(err)
	if len(items) != 1 || items[0].Permanent || items[0].TraceID != jobID(e.experiment, 1) {
		t.Fatalf("got %v", err)
	}
	// Another message of the job comes first, after a restart.
	e.restart(t)
	e.mustApply(t, split(e.plan(1))[2], e.plan(1))
	e.check(t, e.plan(0), e.plan(1))
}

func TestKillBetweenCreateAndLedger(t *testing.T) {
	e, _ := faulty(t)
	e.mustApply(t, e.plan(0))
	writes := 0
	e.store.fail = func() error {
		if writes++; writes > 1 {
			return errStorage // intents are noted, results are not
		}
		return nil
	}
	if err := e.Apply(t.Context(), e.plan(1)); err == nil {
		t.Fatal("no error although the ledger was not written")
	}
	e.store.fail = nil
	e.restart(t)
	parts := split(e.plan(1))
	e.mustApply(t, parts[len(parts)-1], e.plan(1))
	e.check(t, e.plan(0), e.plan(1))
}

func TestRefusedConnectionNeedsNoSearch(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(0))
	s.Close()
	e.cfg.Client.Close() // else a request may go out on a connection that is being closed
	err := e.Apply(t.Context(), e.plan(1))
	if items := apply.Errors(err); len(items) != 1 || items[0].Permanent {
		t.Fatalf("got %v", err)
	}
	if len(e.store.m) != 2 { // the head, and the record of job 0
		t.Errorf("the ledger holds %d records", len(e.store.m))
	}
}

func TestProgressIsKept(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(0))
	s.OnRequest = once("/v1/traces", mlflowtest.Locked())
	if err := e.Apply(t.Context(), e.plan(1)); err == nil {
		t.Fatal("no error")
	}
	e.requests.take()
	e.mustApply(t, e.plan(1))
	if n := e.requests.take(); n != 3 {
		t.Errorf("the second attempt took %d requests, want spans, info and update: %v", n, s.Calls())
	}
	e.check(t, e.plan(0), e.plan(1))
}

func TestTwoLedgerWritesPerMessage(t *testing.T) {
	e, _ := faulty(t)
	e.mustApply(t, e.plan(0))
	e.store.syncs = 0
	e.mustApply(t, e.plan(1))
	if e.store.syncs != 2 {
		t.Errorf("a whole job took %d writes of the ledger", e.store.syncs)
	}
	e.store.syncs = 0
	e.mustApply(t, e.plan(1))
	if e.store.syncs != 0 {
		t.Errorf("the same again took %d", e.store.syncs)
	}
}

func TestNewDatabaseAtTheSameAddress(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(1))
	s.Wipe()
	err := e.Apply(t.Context(), e.plan(2)) // finds out
	for range 3 {
		if err != nil {
			err = e.Apply(t.Context(), e.plan(2))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	e.mustApply(t, e.plan(1))
	e.check(t, e.plan(1), e.plan(2))
}

func TestNaNIsStoredOnce(t *testing.T) {
	e, s := faulty(t)
	p := reduce.Plan{Runs: e.plan(1).Runs[:1]}
	p.Runs[0].Metrics = append(p.Runs[0].Metrics, reduce.Metric{Key: "nan", Value: math.NaN(), TimestampMS: startMS}, reduce.Metric{Key: "inf", Value: math.Inf(1), TimestampMS: startMS})
	e.mustApply(t, split(p)[0])
	s.OnRequest = once("/runs/log-batch", mlflowtest.Lost())
	if err := e.Apply(t.Context(), p); err == nil {
		t.Fatal("no error")
	}
	// MLflow before 3.16 does not know the point again.
	s.OnRequest = once("/runs/log-batch", &mlflowtest.Fault{
		Status: http.StatusBadRequest,
		Body:   `{"error_code":"BAD_REQUEST","message":"(sqlite3.IntegrityError) UNIQUE constraint failed: metrics.key, metrics.timestamp"}`,
	})
	e.mustApply(t, p)
	e.check(t, p)
}

func TestUndeliveredArtifact(t *testing.T) {
	e, s := faulty(t)
	s.OnRequest = func(r *http.Request) *mlflowtest.Fault {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/sources.txt") {
			return &mlflowtest.Fault{Status: http.StatusBadRequest, Body: `{"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid path"}`}
		}
		return nil
	}
	refused(t, e.Apply(t.Context(), e.plan(1)))
	e.mustApply(t, e.plan(1))
	p := e.plan(1)
	p.Runs[2].Artifacts = p.Runs[2].Artifacts[:1]
	p.Runs[2].Tags = append(p.Runs[2].Tags, reduce.KeyValue{Key: wire.TagUndelivered, Value: "sources.txt"})
	e.check(t, p)
	if n := e.events.get(apply.EventUndelivered); n != 1 {
		t.Errorf("counted %d", n)
	}
}

func TestRequestThatAlwaysFailsIsGivenUp(t *testing.T) {
	e, s := faulty(t)
	s.OnRequest = func(r *http.Request) *mlflowtest.Fault {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/sources.txt") {
			return &mlflowtest.Fault{Status: http.StatusInternalServerError, Body: "Internal Server Error"}
		}
		return nil
	}
	p := e.plan(1)
	for attempt := range 20 {
		err := e.Apply(t.Context(), p)
		items := apply.Errors(err)
		if len(items) == 1 && items[0].Permanent {
			if attempt < 5 {
				t.Errorf("given up after %d attempts", attempt+1)
			}
			return
		}
		e.mustApply(t, split(e.plan(attempt + 100))[1]) // the server serves others
	}
	t.Error("never given up")
}

func TestArtifactsGoThroughTheServer(t *testing.T) {
	e, s := faulty(t)
	elsewhere := t.TempDir()
	for _, root := range []string{"s3://bucket/x", filepath.Join(elsewhere, "missing", "root")} {
		s.ArtifactRoot = root
		p := plan(e.experiment+root, 1)
		e.requests.take()
		e.mustApply(t, p)
		uploads := e.requests.get("POST /ajax-api/2.0/mlflow/upload-artifact")
		if uploads != 6 {
			t.Errorf("%s: %d uploads", root, uploads)
		}
	}
}

func TestOldServerGetsRunsOnly(t *testing.T) {
	e, s := faulty(t)
	s.Version = "2.22.5"
	e.mustApply(t, e.plan(1))
	p := e.plan(1)
	p.Traces = nil
	e.check(t, p)
	if e.events.get(apply.EventTracesOff) == 0 || e.requests.get("POST /v1/traces") != 0 {
		t.Errorf("events %v, requests %v", e.events.n, e.requests.n)
	}
}

func TestServerWithoutTraceRoute(t *testing.T) {
	e, s := faulty(t)
	s.OnRequest = func(r *http.Request) *mlflowtest.Fault {
		if r.URL.Path == "/v1/traces" {
			return &mlflowtest.Fault{Status: http.StatusNotFound, Body: "<!doctype html><title>404 Not Found</title>"}
		}
		return nil
	}
	e.mustApply(t, e.plan(1), e.plan(2))
	if n := e.requests.get("POST /v1/traces"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestWrongCredentialsWait(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(0))
	for _, fault := range []*mlflowtest.Fault{
		{Status: http.StatusUnauthorized, Body: "You are not authenticated."},
		{Status: http.StatusForbidden, Body: "Invalid Host header - possible DNS rebinding attack detected"},
	} {
		s.OnRequest = func(*http.Request) *mlflowtest.Fault { return fault }
		for _, item := range apply.Errors(e.Apply(t.Context(), e.plan(1))) {
			if item.Permanent {
				t.Errorf("%d is final: %v", fault.Status, item)
			}
		}
	}
	s.OnRequest = nil
	e.mustApply(t, e.plan(1))
	e.check(t, e.plan(0), e.plan(1))
}

func TestDeadLetterHoldsTheItem(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(0))
	s.OnRequest = func(r *http.Request) *mlflowtest.Fault {
		if strings.HasSuffix(r.URL.Path, "/traces") && r.URL.Path != "/v1/traces" {
			return &mlflowtest.Fault{Status: http.StatusBadRequest, Body: `{"error_code":"INVALID_PARAMETER_VALUE","message":"no"}`}
		}
		return nil
	}
	item := refused(t, e.Apply(t.Context(), e.plan(1)))
	var answer *mlflow.Error
	if !errors.As(item, &answer) || answer.Status != http.StatusBadRequest {
		t.Errorf("got %v", item)
	}
	files, err := os.ReadDir(e.cfg.DeadLetterDir)
	if err != nil || len(files) != 1 {
		t.Fatalf("got %v, %v", files, err)
	}
	text, err := os.ReadFile(filepath.Join(e.cfg.DeadLetterDir, files[0].Name()))
	if err != nil || !strings.Contains(string(text), fmt.Sprintf(`"trace_id": "%s"`, jobID(e.experiment, 1))) {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestRetryAfterIsPassedOn(t *testing.T) {
	err := errors.Join(&apply.ItemError{Err: &mlflow.Error{Status: 429, RetryAfter: 3 * time.Second}}, &apply.ItemError{Err: errStorage})
	if got := apply.RetryAfter(err); got != 3*time.Second {
		t.Errorf("got %v", got)
	}
}
