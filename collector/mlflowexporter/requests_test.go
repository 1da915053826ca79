package mlflowexporter

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire/fixture"
	"github.com/technoshare/commentator/test/golden"
)

// sent is one request as the server got it.
type sent struct {
	method, path string
	header       http.Header
	body         []byte
}

// recorder keeps the requests that a server gets, in their order.
type recorder struct {
	t     *testing.T
	mu    sync.Mutex
	sent  []sent
	asked chan struct{} // closed with the first request
}

func (r *recorder) record(req *http.Request) *mlflowtest.Fault {
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		r.t.Error(err)
	}
	req.Body = io.NopCloser(bytes.NewReader(raw))
	body, err := readBody(&http.Request{Header: req.Header, Body: io.NopCloser(bytes.NewReader(raw))})
	if err != nil {
		r.t.Error(err)
	}
	path := req.URL.Path
	if req.URL.RawQuery != "" {
		query, err := url.QueryUnescape(req.URL.RawQuery)
		if err != nil {
			r.t.Error(err)
		}
		path += "?" + query
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sent = append(r.sent, sent{req.Method, path, req.Header, body}); r.asked != nil {
		close(r.asked)
		r.asked = nil
	}
	return nil
}

// take gives the requests since it was called last.
func (r *recorder) take() []sent {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.sent
	r.sent = nil
	return taken
}

// operations is the order in which the requests of one message are written down: they
// overlap, so that the order in which they came means little.
var operations = []string{"other", "experiments/get-by-name", "experiments/create", "model-versions/search", "runs/search", "runs/create", "runs/get", "runs/log-batch", "runs/log-inputs", "artifacts", "otlp", "traces", "traces/link-prompts", "runs/update"}

// sorted puts requests into the order of their operations, and those of one operation into
// that of the runs, so that what is compared is what was asked and not who was first.
func sorted(requests []sent, names *strings.Replacer) []string {
	type entry struct {
		rank int
		text string
	}
	entries := make([]entry, len(requests))
	for i, r := range requests {
		path, _, _ := strings.Cut(r.path, "?")
		entries[i] = entry{slices.Index(operations, operation(path)), names.Replace(r.String())}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.text, b.text))
	})
	texts := make([]string, len(entries))
	for i, e := range entries {
		texts[i] = e.text
	}
	return texts
}

// String writes a request with its body in a form that does not depend on how it was encoded.
func (s sent) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", s.method, s.path)
	for _, name := range []string{"X-Mlflow-Experiment-Id", "X-Mlflow-Run-Id"} {
		if value := s.header.Get(name); value != "" {
			fmt.Fprintf(&b, "%s: %s\n", strings.ToLower(name), value)
		}
	}
	body := s.body
	if strings.HasPrefix(s.path, "/v1/traces") {
		in := ptraceotlp.NewExportRequest()
		if err := in.UnmarshalProto(body); err != nil {
			return b.String() + err.Error()
		}
		body, _ = in.MarshalJSON()
	}
	var value any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if decoder.Decode(&value) == nil {
		body = []byte(pretty(value, ""))
	}
	b.Write(body)
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// pretty writes JSON with sorted keys; what fits into a line stands on one.
func pretty(value any, indent string) string {
	var short strings.Builder
	encoder := json.NewEncoder(&short)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // it was decoded from JSON
	line := strings.TrimSuffix(short.String(), "\n")
	if len(line) <= 120 {
		return line
	}
	var items []string
	brackets := "[]"
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			items = append(items, pretty(item, indent+" "))
		}
	case map[string]any:
		brackets = "{}"
		for _, key := range slices.Sorted(maps.Keys(v)) {
			items = append(items, fmt.Sprintf("%q: ", key)+pretty(v[key], indent+" "))
		}
	default:
		return line
	}
	return brackets[:1] + "\n" + indent + " " + strings.Join(items, ",\n"+indent+" ") + "\n" + indent + brackets[1:]
}

// named replaces the ids that the server drew for runs by their names: of two runs of one
// name, such as attempts at a stage, the later one has a number.
func named(t *testing.T, server *mlflowtest.Server) *strings.Replacer {
	t.Helper()
	client := clientOf(t, server)
	runs, _, err := client.SearchRuns(t.Context(), mlflow.SearchRuns{ExperimentIDs: []string{"1"}})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(runs, func(a, b mlflow.Run) int {
		return cmp.Or(cmp.Compare(a.Info.StartTime, b.Info.StartTime), cmp.Compare(a.Info.Name, b.Info.Name))
	})
	times := map[string]int{}
	var pairs []string
	for _, r := range runs {
		name := r.Info.Name
		if times[name]++; times[name] > 1 {
			name += fmt.Sprint(" ", times[name])
		}
		pairs = append(pairs, r.Info.ID, "<"+name+">")
	}
	return strings.NewReplacer(pairs...)
}

// The requests that a job takes, to the last byte, message by message as the worker sends
// them.
func TestGoldenRequests(t *testing.T) {
	for _, name := range []string{"success", "gate_failed", "retried", "model", "tracking_only", "late_feedback"} {
		for _, layout := range []string{"nested", "flat"} {
			t.Run(name+"_"+layout, func(t *testing.T) {
				file := filepath.Join("testdata", "requests", name+"_"+layout+".txt")
				got := requestsOf(t, name, layout)
				golden.Equal(t, file, []byte(got))
				for range 2 { // whoever is first of the requests that overlap
					if diff := gocmp.Diff(got, requestsOf(t, name, layout)); diff != "" {
						t.Fatal(diff)
					}
				}
			})
		}
	}
}

// requestsOf sends a fixture and writes down what MLflow was asked.
func requestsOf(t *testing.T, name, layout string) string {
	t.Helper()
	server := mlflowtest.Start()
	defer server.Close()
	register(t, server)
	asked := make(chan struct{})
	rec := &recorder{t: t, asked: asked}
	server.Fail(rec.record)
	cfg := testConfig(server.URL)
	cfg.Layout, cfg.UIURL = layout, "http://ui"
	kept := &memory{data: map[string][]byte{}}
	olderThanJobs(t, kept, server.URL)
	e := startExporter(t, cfg, exportertest.NewNopSettings(metadata.Type), host{storageID: kept})
	defer stop(t, e)
	<-asked // after MLflow itself, once at the start
	rec.take()
	messages, _ := loadFixture(t, name)
	var all [][]sent
	for _, td := range messages {
		if err := e.ConsumeTraces(t.Context(), td); err != nil {
			t.Fatal(err)
		}
		all = append(all, rec.take())
	}
	server.Fail(nil)
	names := named(t, server)
	var out strings.Builder
	for i, requests := range all {
		inOrder(t, requests)
		fmt.Fprintf(&out, "==== message %d: %s\n", i+1, counted.Of(messages[i].SpanCount(), "span"))
		for _, text := range sorted(requests, names) {
			out.WriteString("\n" + text)
		}
		out.WriteString("\n")
	}
	return out.String()
}

// register puts the prompts that fixtures name into the registry.
func register(t *testing.T, server *mlflowtest.Server) {
	t.Helper()
	client := clientOf(t, server)
	for name, text := range fixture.Prompts {
		if _, err := client.CreatePromptVersion(t.Context(), mlflow.NewPromptVersion{Name: name, Text: text}); err != nil {
			t.Fatal(err)
		}
	}
}

// olderThanJobs begins a ledger that is older than the jobs of the fixtures, so that none of
// their runs has to be searched for.
func olderThanJobs(t *testing.T, kept *memory, endpoint string) {
	t.Helper()
	if _, err := ledger.Open(t.Context(), kept, ledger.Scope{Endpoint: endpoint}, time.UnixMilli(0)); err != nil {
		t.Fatal(err)
	}
}

// inOrder checks the order of the requests of one message as they came: a run is made
// before it is written to, and finished after everything else of it; spans come before the
// info of their trace, and the job's run is finished last of all.
func inOrder(t *testing.T, requests []sent) {
	t.Helper()
	finished := map[string]bool{}
	told := false
	for i, r := range requests {
		op := operation(r.path)
		var body struct {
			RunID string `json:"run_id"`
		}
		_ = json.Unmarshal(r.body, &body) // artifacts and spans have no such field
		for id := range finished {
			if body.RunID == id || strings.Contains(r.path, id) {
				t.Errorf("request %d, %s %s, comes after the run was finished", i, r.method, r.path)
			}
		}
		switch op {
		case "runs/update":
			finished[body.RunID] = true
		case "traces":
			told = true
		case "otlp":
			if told {
				t.Errorf("request %d: spans come after the info of their trace", i)
			}
		}
	}
}
