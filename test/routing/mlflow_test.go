package routing

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

const experiment = "technoshare_commentator"

// tracker is an MLflow server that can be down.
type tracker struct {
	*mlflowtest.Server
	client  *mlflow.Client
	down    atomic.Bool
	refused atomic.Int64

	mu   sync.Mutex
	told strings.Builder
}

// startMLflow starts a server and points MLFLOW_TRACKING_URI to it.
func startMLflow(t *testing.T) *tracker {
	t.Helper()
	m := &tracker{Server: mlflowtest.Start()}
	t.Cleanup(m.Close)
	m.Fail(func(r *http.Request) *mlflowtest.Fault {
		if !m.down.Load() {
			m.listen(r)
			return nil
		}
		m.refused.Add(1)
		return &mlflowtest.Fault{Status: http.StatusServiceUnavailable}
	})
	var err error
	if m.client, err = mlflow.New(mlflow.Config{Endpoint: m.URL}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.client.Close)
	t.Setenv("MLFLOW_TRACKING_URI", m.URL)
	t.Setenv("MLFLOW_EXPERIMENT_NAME", experiment)
	return m
}

// listen notes what a request says.
func (m *tracker) listen(r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the server notices too
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if gz, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
		if plain, err := io.ReadAll(gz); err == nil {
			body = plain
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told.Write(body)
}

// text is all that MLflow was told.
func (m *tracker) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.told.String()
}

// state is what the experiment of jobs holds.
func (m *tracker) state(t *testing.T) *mlflowtest.State {
	t.Helper()
	return m.stateOf(t, experiment)
}

func (m *tracker) stateOf(t *testing.T, name string) *mlflowtest.State {
	t.Helper()
	exp, err := m.client.GetExperimentByName(t.Context(), name)
	if mlflow.IsCode(err, mlflow.CodeNotFound) {
		return &mlflowtest.State{}
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := mlflowtest.Read(t.Context(), m.client, exp.ID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// holds waits until MLflow has every one of the jobs whole, and checks that it has nothing
// else: no second run of any.
func (m *tracker) holds(t *testing.T, jobs ...job) {
	t.Helper()
	awaitWhy(t, fmt.Sprintf("%d jobs in MLflow", len(jobs)), func() string {
		s := m.state(t)
		for _, j := range jobs {
			if diff := j.missing(s); diff != "" {
				return diff
			}
		}
		return ""
	})
	want := map[string]bool{}
	for _, j := range jobs {
		for _, r := range j.expected.Runs {
			want[r.Key] = true
		}
		for _, tr := range j.expected.Traces {
			want[tr.ID] = true
		}
	}
	s := m.state(t)
	for _, key := range slices.Concat(slices.Collect(maps.Keys(s.Runs)), slices.Collect(maps.Keys(s.Traces))) {
		if !want[key] {
			t.Errorf("MLflow holds %s too", key)
		}
	}
}

// serves waits until MLflow has a service run of each of these processes, and checks that it
// has no second run of any.
func (m *tracker) serves(t *testing.T, instances ...string) {
	t.Helper()
	runs := func() map[string]int {
		found := map[string]int{}
		for _, r := range m.stateOf(t, experiment+"_service").Runs {
			found[r.Tags[wire.ResServiceInstanceID]]++
		}
		return found
	}
	want := map[string]int{}
	for _, instance := range instances {
		want[instance] = 1
	}
	awaitWhy(t, "the service runs", func() string {
		got := runs()
		for instance := range want {
			if got[instance] == 0 {
				return "none of " + instance
			}
		}
		return ""
	})
	if diff := cmp.Diff(want, runs()); diff != "" {
		t.Errorf("service runs by process (-want +got)\n%s", diff)
	}
}

// missing says what a state lacks of a job, or has otherwise.
func (j job) missing(s *mlflowtest.State) string {
	for _, want := range j.expected.Runs {
		got := s.Runs[want.Key]
		if got == nil {
			return "no run " + want.Key
		}
		type run struct {
			Parent, Name, Status string
			End                  int64
			Params, Artifacts    map[string]string
		}
		if diff := cmp.Diff(
			run{want.Parent, want.Name, want.Status, want.EndMS, want.Params, want.Artifacts},
			run{got.Parent, got.Name, got.Status, got.End, got.Params, got.Artifacts}, cmpopts.EquateEmpty(),
		); diff != "" {
			return "run " + want.Key + " (-want +got)\n" + diff
		}
	}
	for _, want := range j.expected.Traces {
		got := s.Traces[want.ID]
		if got == nil {
			return "no trace " + want.ID
		}
		spans := map[string]string{}
		for _, sp := range want.Spans {
			spans[sp.ID] = strings.Join([]string{sp.Parent, sp.Name, sp.Type}, " | ")
		}
		have := map[string]string{}
		for id, sp := range got.Spans {
			have[id] = sp[:strings.LastIndex(sp, " | ")]
		}
		if diff := cmp.Diff(spans, have); diff != "" || got.State != want.State || got.Metadata[mlflow.MetaSourceRun] != want.Run {
			return fmt.Sprintf("trace %s of run %s is %s of %s, want %s of %s (-want +got)\n%s",
				want.ID, want.Run, got.State, got.Metadata[mlflow.MetaSourceRun], want.State, want.Run, diff)
		}
		if len(want.Assessments) != len(got.Assessments) {
			return fmt.Sprintf("trace %s has the assessments %v, want %v", want.ID, got.Assessments, want.Assessments)
		}
	}
	return ""
}
