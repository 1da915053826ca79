package apply_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/goleak"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// stopReal ends the real server, if one runs.
var stopReal = func() {}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { stopReal(); os.Exit(code) }),
		goleak.IgnoreAnyFunction("github.com/technoshare/commentator/internal/mlflow/mlflowtest.(*Real).collect"), // until stopReal
		goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// servers are what the contract tests run over: the server in memory, and the real one
// when it is built in with -tags realserver.
var servers = map[string]func(t *testing.T) (url string){
	"memory": func(t *testing.T) string { return inMemory(t, false) },
	"older":  func(t *testing.T) string { return inMemory(t, true) },
}

func inMemory(t *testing.T, oldTraces bool) string {
	s := mlflowtest.Start()
	if oldTraces {
		s.Version, s.OldTraces, s.ShortLinks, s.IntoFolders = "3.7.0", true, true, true
	}
	t.Cleanup(s.Close)
	return s.URL
}

// contract runs a test over every server.
func contract(t *testing.T, test func(t *testing.T, e *env)) {
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		t.Run(name, func(t *testing.T) { test(t, newEnv(t, servers[name](t))) })
	}
}

// env is a server with an experiment that no other test uses, and a bridge to it.
type env struct {
	*apply.Applier
	cfg        apply.Config
	experiment string
	client     *mlflow.Client
	store      *memory
	events     *counter
	requests   *counter
	sending    func(*http.Request) // is called before each request, unless nil
	retried    bool
}

func newEnv(t *testing.T, url string) *env {
	e := &env{store: &memory{m: map[string][]byte{}}, events: &counter{}, requests: &counter{}}
	e.experiment = fmt.Sprintf("%s %d", t.Name(), time.Now().UnixNano())
	counted, err := mlflow.New(mlflow.Config{Endpoint: url, Wrap: func(rt http.RoundTripper) (http.RoundTripper, error) {
		return watchedTransport{rt, e.see}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	e.client, err = mlflow.New(mlflow.Config{Endpoint: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { counted.Close(); e.client.Close() })
	e.cfg = apply.Config{Client: counted, DefaultExperiment: e.experiment, UIURL: "http://ui", DeadLetterDir: t.TempDir(), Count: e.events.add}
	e.restart(t)
	return e
}

// restart makes a new bridge on the same storage.
func (e *env) restart(t *testing.T) {
	t.Helper()
	l, err := ledger.Open(t.Context(), e.store, ledger.Scope{Endpoint: e.client.Endpoint()}, time.UnixMilli(startMS-1000))
	if err != nil {
		t.Fatal(err)
	}
	e.cfg.Ledger = l
	e.Applier = apply.New(e.cfg)
}

// lose makes a new bridge on an empty storage, born after the jobs.
func (e *env) lose(t *testing.T) {
	t.Helper()
	e.store.m = map[string][]byte{}
	l, err := ledger.Open(t.Context(), e.store, ledger.Scope{Endpoint: e.client.Endpoint()}, time.UnixMilli(startMS+1_000_000))
	if err != nil {
		t.Fatal(err)
	}
	e.cfg.Ledger = l
	e.Applier = apply.New(e.cfg)
}

// Apply gives the bridge a plan, with the spans of its traces as those that came.
func (e *env) Apply(ctx context.Context, p reduce.Plan) error {
	return e.ApplyFrom(ctx, p, func(traceID string) ptrace.Traces {
		for _, t := range p.Traces {
			if t.TraceID == traceID {
				return t.Spans
			}
		}
		return ptrace.NewTraces()
	})
}

func (e *env) plan(n int) reduce.Plan { return plan(e.experiment, n) }

func (e *env) mustApply(t *testing.T, plans ...reduce.Plan) {
	t.Helper()
	for _, p := range plans {
		err := e.Apply(t.Context(), p)
		for attempt := 0; attempt < 5 && slices.ContainsFunc(apply.Errors(err), func(i *apply.ItemError) bool { return !i.Permanent }); attempt++ {
			// A real server on a busy machine may time out.
			t.Logf("again after: %v", err)
			e.retried = true
			err = e.Apply(t.Context(), p)
		}
		if err != nil {
			t.Fatalf("apply: %v", err)
		}
	}
}

// took checks how many requests were made since the last call, unless some had to be
// repeated.
func (e *env) took(t *testing.T, want int64) {
	t.Helper()
	if n := e.requests.take(); n != want && !e.retried {
		t.Errorf("took %d requests, want %d", n, want)
	}
}

func (e *env) experimentID(t *testing.T) string {
	t.Helper()
	return e.idOf(t, e.experiment)
}

func (e *env) idOf(t *testing.T, experiment string) string {
	t.Helper()
	exp, err := e.client.GetExperimentByName(t.Context(), experiment)
	if err != nil {
		t.Fatal(err)
	}
	return exp.ID
}

func (e *env) state(t *testing.T) *mlflowtest.State {
	t.Helper()
	return e.stateOf(t, e.experiment)
}

func (e *env) stateOf(t *testing.T, experiment string) *mlflowtest.State {
	t.Helper()
	s, err := mlflowtest.Read(t.Context(), e.client, e.idOf(t, experiment))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (e *env) check(t *testing.T, plans ...reduce.Plan) {
	t.Helper()
	if diff := cmp.Diff(want(e.experimentID(t), plans...), e.state(t)); diff != "" {
		t.Errorf("MLflow holds something else (-want +got):\n%s", diff)
	}
}

// want is what MLflow must hold after plans that say different things.
func want(experimentID string, plans ...reduce.Plan) *mlflowtest.State {
	s := &mlflowtest.State{Runs: map[string]*mlflowtest.Run{}, Traces: map[string]*mlflowtest.Trace{}}
	for _, r := range join(plans...).Runs {
		one := &mlflowtest.Run{
			Parent: r.ParentKey, Name: r.Name, Status: r.Status, Stage: mlflow.Active, User: "somebody", Start: r.StartTime, End: r.EndTime,
			Params: map[string]string{}, Tags: map[string]string{}, Metrics: map[string][]string{}, Artifacts: map[string]string{},
		}
		fill := strings.NewReplacer("{{ui}}", "http://ui", "{{experiment_id}}", experimentID, "{{run_id}}", "<run id>")
		for _, p := range r.Params {
			one.Params[p.Key] = p.Value
		}
		for _, tag := range r.Tags {
			one.Tags[tag.Key] = fill.Replace(tag.Value)
		}
		for _, m := range r.Metrics {
			one.Metrics[m.Key] = append(one.Metrics[m.Key], fmt.Sprintf("%v@%d/%d", m.Value, m.TimestampMS, m.Step))
		}
		for _, a := range r.Artifacts {
			one.Artifacts[a.Path] = a.SHA256
		}
		for _, d := range r.Datasets {
			source := `code {"tags":{}}`
			switch {
			case strings.HasPrefix(d.Source, "https://"):
				source = `http {"url":"` + d.Source + `"}`
			case d.Source != "":
				source = `local {"uri":"` + d.Source + `"}`
			}
			one.Datasets = append(one.Datasets, d.Name+"@"+d.Digest+" "+source)
		}
		slices.Sort(one.Datasets)
		s.Runs[r.Key] = one
	}
	for _, t := range join(plans...).Traces {
		one := &mlflowtest.Trace{State: t.Info.State, Time: startMS, Duration: 2000, Request: t.Info.RequestPreview, Response: t.Info.ResponsePreview}
		one.Metadata = map[string]string{
			mlflow.MetaSourceRun: t.RunKey, mlflow.MetaSession: t.Info.Session, mlflow.MetaUser: t.Info.User,
			mlflow.MetaTokenUsage: `{"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"input_tokens":1,"output_tokens":2,"total_tokens":3}`,
		}
		one.Tags = map[string]string{mlflow.TagTraceName: t.Info.Name, "outcome": "success"}
		one.Spans = map[string]string{}
		for _, s := range t.Spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
			one.Spans[s.SpanID().String()] = strings.Join([]string{s.ParentSpanID().String(), s.Name(), "CHAIN", "STATUS_CODE_OK"}, " | ")
		}
		s.Traces["tr-"+t.TraceID] = one
	}
	return s
}

// memory is a storage client in memory.
type memory struct {
	mu    sync.Mutex
	m     map[string][]byte
	syncs int
	fail  func() error // before a batch
	after func() error // and after it
}

func (m *memory) Batch(_ context.Context, ops ...*storage.Operation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail(); err != nil {
			return err
		}
	}
	m.syncs++
	for _, op := range ops {
		switch op.Type {
		case storage.Get:
			op.Value = slices.Clone(m.m[op.Key])
		case storage.Set:
			m.m[op.Key] = slices.Clone(op.Value)
		case storage.Delete:
			delete(m.m, op.Key)
		}
	}
	if m.after != nil {
		return m.after()
	}
	return nil
}

// Walk implements storage.Walker.
func (m *memory) Walk(ctx context.Context, fn storage.WalkFunc) error {
	var ops []*storage.Operation
	for _, key := range slices.Sorted(maps.Keys(m.m)) {
		more, err := fn(key, m.m[key])
		if err != nil {
			return err
		}
		ops = append(ops, more...)
	}
	if len(ops) == 0 {
		return nil
	}
	return m.Batch(ctx, ops...)
}

// counter counts by name.
type counter struct {
	mu sync.Mutex
	n  map[string]int64
}

func (c *counter) add(name string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int64{}
	}
	c.n[name] += n
}

func (c *counter) get(name string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[name]
}

// take gives the total and begins anew.
func (c *counter) take() (total int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.n {
		total += n
	}
	c.n = nil
	return total
}

// see counts a request that is about to be sent.
func (e *env) see(r *http.Request) {
	e.requests.request(r)
	if e.sending != nil {
		e.sending(r)
	}
}

func (c *counter) request(r *http.Request) { c.add(r.Method+" "+r.URL.Path, 1) }

type watchedTransport struct {
	next http.RoundTripper
	see  func(*http.Request)
}

func (w watchedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	w.see(r)
	return w.next.RoundTrip(r)
}

// refused gives the one permanent error of err.
func refused(t *testing.T, err error) *apply.ItemError {
	t.Helper()
	items := apply.Errors(err)
	if len(items) != 1 || !items[0].Permanent {
		t.Fatalf("want one permanent error, got %v", err)
	}
	return items[0]
}

var errStorage = errors.New("disk full")
