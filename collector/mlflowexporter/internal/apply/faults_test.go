package apply_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/technoshare/commentator/collector/mlflowexporter/deadletter"
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

// goesOn applies a plan that may fail, but not for good.
func (e *env) goesOn(t *testing.T, p reduce.Plan) {
	t.Helper()
	for _, item := range apply.Errors(e.Apply(t.Context(), p)) {
		if item.Permanent {
			t.Fatalf("given up: %v", item)
		}
	}
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
	s.Fail(once("/runs/create", mlflowtest.Lost()))
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
	items := apply.Errors(err) // of the run, and of the spans
	if len(items) == 0 || slices.ContainsFunc(items, func(i *apply.ItemError) bool { return i.Permanent }) {
		t.Fatalf("got %v", err)
	}
	if len(e.store.m) != 2 { // the head, and the record of job 0
		t.Errorf("the ledger holds %d records", len(e.store.m))
	}
}

func TestProgressIsKept(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(0))
	s.Fail(once("/v1/traces", mlflowtest.Locked()))
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
	s.Fail(once("/runs/log-batch", mlflowtest.Lost()))
	if err := e.Apply(t.Context(), p); err == nil {
		t.Fatal("no error")
	}
	// MLflow before 3.16 does not know the point again.
	s.Fail(once("/runs/log-batch", &mlflowtest.Fault{
		Status: http.StatusBadRequest,
		Body:   `{"error_code":"BAD_REQUEST","message":"(sqlite3.IntegrityError) UNIQUE constraint failed: metrics.key, metrics.timestamp"}`,
	}))
	e.mustApply(t, p)
	e.check(t, p)
}

func TestUndeliveredArtifact(t *testing.T) {
	e, s := faulty(t)
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/sources.txt") {
			return &mlflowtest.Fault{Status: http.StatusBadRequest, Body: `{"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid path"}`}
		}
		return nil
	})
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
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/sources.txt") {
			return &mlflowtest.Fault{Status: http.StatusInternalServerError, Body: "Internal Server Error"}
		}
		return nil
	})
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

// A directory that is here but takes no files, for whatever reason, leaves them to the server.
func TestDirectoryThatTakesNoFilesLeavesThemToTheServer(t *testing.T) {
	e, s := faulty(t)
	s.ArtifactRoot = t.TempDir()
	if _, err := e.client.CreateExperiment(t.Context(), e.experiment); err != nil {
		t.Fatal(err)
	}
	inTheWay := filepath.Join(s.ArtifactRoot, e.experimentID(t))
	if err := os.WriteFile(inTheWay, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var mended sync.Once
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		if strings.HasSuffix(r.URL.Path, "/upload-artifact") { // the server can
			mended.Do(func() { _ = os.Remove(inTheWay) })
		}
		return nil
	})
	if err := e.Apply(t.Context(), e.plan(1)); err != nil {
		t.Fatal(err)
	}
	if n := e.requests.get("POST /ajax-api/2.0/mlflow/upload-artifact"); n != 6 {
		t.Errorf("%d uploads", n)
	}
	e.check(t, e.plan(1))
}

// A file whose own name a directory cannot take is a dead letter, and costs no other one.
func TestFileThatNoDirectoryTakes(t *testing.T) {
	for name, path := range map[string]string{"a directory in its way": "stage", "too long": strings.Repeat("n", 300)} {
		t.Run(name, func(t *testing.T) {
			e, s := faulty(t)
			s.ArtifactRoot = t.TempDir()
			p := reduce.Plan{Runs: e.plan(1).Runs[:1]}
			p.Runs[0].Artifacts = []reduce.Artifact{artifact("stage/text.txt", "one")}
			e.mustApply(t, p)
			p.Runs[0].Artifacts = append(p.Runs[0].Artifacts, artifact(path, "two"))
			p.Runs[0].Version.EndUnixNano++
			refused(t, e.Apply(t.Context(), p))
			if got, err := e.client.GetArtifact(t.Context(), e.findRun(t, p.Runs[0].Key).Info.ID, "stage/text.txt"); err != nil || string(got) != "one" {
				t.Errorf("the other file: %q, %v", got, err)
			}
		})
	}
}

func TestServerWithoutTraceRoute(t *testing.T) {
	e, s := faulty(t)
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		if r.URL.Path == "/v1/traces" {
			return &mlflowtest.Fault{Status: http.StatusNotFound, Body: "<!doctype html><title>404 Not Found</title>"}
		}
		return nil
	})
	e.mustApply(t, e.plan(1), e.plan(2))
	if n := e.requests.get("POST /v1/traces"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestWrongCredentialsWait(t *testing.T) {
	e, s, now := clocked(t)
	for _, fault := range []*mlflowtest.Fault{
		{Status: http.StatusUnauthorized, Body: "You are not authenticated."},
		{Status: http.StatusForbidden, Body: "Invalid Host header - possible DNS rebinding attack detected"},
	} {
		s.Fail(func(*http.Request) *mlflowtest.Fault { return fault })
		for _, item := range apply.Errors(e.Apply(t.Context(), e.plan(1))) {
			if item.Permanent {
				t.Errorf("%d is final: %v", fault.Status, item)
			}
		}
	}
	s.Fail(nil)
	*now = now.Add(3 * time.Second)
	e.mustApply(t, e.plan(1))
	e.check(t, e.plan(0), e.plan(1))
}

// A wrong prefix, or a proxy without MLflow behind it: what comes waits until that is mended, also
// when MLflow was there before.
func TestAddressWithoutMLflowWaits(t *testing.T) {
	for _, fault := range []*mlflowtest.Fault{
		{Status: http.StatusNotFound, Body: "<!doctype html><title>404</title>"},
		{Status: http.StatusNotFound, Body: "default backend - 404"},
		{Status: http.StatusNotFound, Body: `{"error_code":"ENDPOINT_NOT_FOUND","message":"no such route"}`},
		{Status: http.StatusOK, Body: "<html>log in</html>"},
		{Status: http.StatusOK, Body: `{"experiment": {"experi`},
		{Status: http.StatusOK, Body: "{}"},
		{Status: http.StatusOK},
	} {
		for _, before := range []bool{false, true} {
			if before && fault.Body == "{}" {
				continue // what MLflow itself says to much
			}
			t.Run(fmt.Sprint(fault.Status, fault.Body, before), func(t *testing.T) {
				e, s := faulty(t)
				plans := []reduce.Plan{e.plan(1)}
				if before {
					e.mustApply(t, e.plan(0))
					plans = append(plans, e.plan(0))
				}
				s.Fail(func(*http.Request) *mlflowtest.Fault { return fault })
				for range 5 {
					e.goesOn(t, e.plan(1))
				}
				if state := e.State(); !state.Refuses || state.Away == "" {
					t.Errorf("state is %+v", state)
				}
				s.Fail(nil)
				e.restart(t)
				e.mustApply(t, e.plan(1))
				e.check(t, plans...)
			})
		}
	}
}

// From whichever request on there is no MLflow any more, nothing is given up.
func TestAddressThatLosesMLflowWaits(t *testing.T) {
	for _, fault := range []*mlflowtest.Fault{noRoute, {Status: http.StatusOK, Body: "<html>log in</html>"}} {
		for request := range 27 {
			t.Run(fmt.Sprint(fault.Status, " from request ", request), func(t *testing.T) {
				e, s, now := clocked(t)
				var count atomic.Int32
				s.Fail(func(*http.Request) *mlflowtest.Fault {
					if int(count.Add(1)) > request {
						return fault
					}
					return nil
				})
				for range 10 {
					e.goesOn(t, e.plan(1))
					*now = now.Add(3 * time.Second)
				}
				s.Fail(nil)
				*now = now.Add(3 * time.Second)
				e.mustApply(t, e.plan(1))
				e.check(t, e.plan(0), e.plan(1))
			})
		}
	}
}

func TestDeadLetterHoldsTheItem(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(0))
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		if strings.HasSuffix(r.URL.Path, "/traces") && r.URL.Path != "/v1/traces" {
			return &mlflowtest.Fault{Status: http.StatusBadRequest, Body: `{"error_code":"INVALID_PARAMETER_VALUE","message":"no"}`}
		}
		return nil
	})
	item := refused(t, e.Apply(t.Context(), e.plan(1)))
	var answer *mlflow.Error
	if !errors.As(item, &answer) || answer.Status != http.StatusBadRequest {
		t.Errorf("got %v", item)
	}
	letter := e.onlyLetter(t)
	if r := letter.Refused; letter.TraceID != jobID(e.experiment, 1) || len(r) != 1 || r[0].Kind != "trace_info" ||
		!strings.Contains(r[0].Reason, "HTTP 400") || !strings.Contains(string(letter.OTLP), `"resourceSpans"`) {
		t.Errorf("got %+v", letter)
	}
}

// What MLflow, or who guards it, refuses to tell before something is written costs what was to be
// written, which then is in the directory.
func TestRefusedQuestionMakesADeadLetter(t *testing.T) {
	for name, c := range map[string]struct {
		before       func(e *env) reduce.Plan
		then         func(e *env) reduce.Plan
		method, path string
		kinds        []string
	}{
		"where the trace is": {
			then:   func(e *env) reduce.Plan { return e.plan(1) },
			method: http.MethodGet, path: "/traces/tr-", kinds: []string{"spans", "trace_info"},
		},
		"what the run has": {
			before: func(e *env) reduce.Plan { return split(e.plan(1))[0] },
			then:   func(e *env) reduce.Plan { return reduce.Plan{Runs: e.plan(1).Runs[:1]} },
			method: http.MethodGet, path: "/runs/get", kinds: []string{"run"},
		},
		"which run a verdict is about": {
			then:   func(e *env) reduce.Plan { return scored(e.score(1, "a", 1, new(1.0))) },
			method: http.MethodPost, path: "/runs/search", kinds: []string{"score"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, s := faulty(t)
			e.cfg.Shared = true
			e.restart(t)
			e.mustApply(t, e.plan(0))
			if c.before != nil {
				e.mustApply(t, c.before(e))
			}
			s.Fail(func(r *http.Request) *mlflowtest.Fault {
				if r.Method == c.method && strings.Contains(r.URL.Path, c.path) {
					return forbidden
				}
				return nil
			})
			refused(t, e.Apply(t.Context(), c.then(e)))
			var kinds []string
			for _, refusal := range e.onlyLetter(t).Refused {
				kinds = append(kinds, refusal.Kind)
			}
			if !slices.Equal(kinds, c.kinds) || e.events.get(apply.EventDeadLetter) != int64(len(c.kinds)) {
				t.Errorf("the letter has %q, counted are %d", kinds, e.events.get(apply.EventDeadLetter))
			}
		})
	}
}

// onlyLetter reads the one dead letter that there is.
func (e *env) onlyLetter(t *testing.T) (letter deadletter.Letter) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(e.cfg.DeadLetterDir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("got %v, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err == nil {
		err = json.Unmarshal(text, &letter)
	}
	if err != nil {
		t.Fatal(err)
	}
	return letter
}

// A server, or a proxy, that gives up waiting may have made the run all the same.
func TestCreateThatTookTooLongMakesNoSecondRun(t *testing.T) {
	for _, status := range []int{http.StatusRequestTimeout, 499} {
		e, s := faulty(t)
		e.mustApply(t, e.plan(0))
		s.Fail(once("/runs/create", &mlflowtest.Fault{Serve: true, Status: status}))
		if err := e.Apply(t.Context(), e.plan(1)); err == nil {
			t.Fatal("no error")
		}
		e.mustApply(t, e.plan(1))
		e.check(t, e.plan(0), e.plan(1))
		if ids := s.RunIDs(e.plan(1).Runs[0].Key); len(ids) != 1 {
			t.Errorf("%d: runs %v", status, ids)
		}
	}
}

func TestRetryAfterIsPassedOn(t *testing.T) {
	err := errors.Join(&apply.ItemError{Err: &mlflow.Error{Status: 429, RetryAfter: 3 * time.Second}}, &apply.ItemError{Err: errStorage})
	if got := apply.RetryAfter(err); got != 3*time.Second {
		t.Errorf("got %v", got)
	}
}

// A plan whose runs hang under each other, which Reduce makes none of, ends all the same, and what
// hangs nowhere is a dead letter.
func TestRunsAboveThemselvesHangNothing(t *testing.T) {
	e, _ := faulty(t)
	p := e.plan(1)
	p.Runs[0].ParentKey = p.Runs[5].Key
	p.Runs[5].ParentKey = p.Runs[0].Key
	p.Runs[4].ParentKey = p.Runs[4].Key
	if items := apply.Errors(e.Apply(t.Context(), p)); len(items) != 2 || !items[0].Permanent || !items[1].Permanent {
		t.Errorf("got %v", items)
	}
	if n := e.events.get(apply.EventDeadLetter); n != 6 { // all runs: four hang under the first
		t.Errorf("%d dead letters", n)
	}
	if files, err := os.ReadDir(e.cfg.DeadLetterDir); err != nil || len(files) != 1 {
		t.Errorf("dead letters: %v, %v", files, err)
	}
}

// A trace does not wait for the run of another job that is refused before it is made.
func TestTraceOfARefusedJobHangsNothing(t *testing.T) {
	e, _ := faulty(t)
	e.mustApply(t, e.plan(0)) // makes the one experiment that is allowed
	e.cfg.MaxExperiments = 1
	e.restart(t)
	suite, example := e.plan(1), e.plan(2)
	for i := range suite.Runs {
		suite.Runs[i].Experiment = e.experiment + " other"
	}
	suite.Traces = nil
	example.Runs, example.Traces[0].RunKey = nil, suite.Runs[0].Key
	if item := refused(t, e.Apply(t.Context(), join(suite, example))); item.TraceID != jobID(e.experiment, 1) {
		t.Errorf("got %v", item)
	}
}
