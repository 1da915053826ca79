package mlflowexporter

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/bytesize"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
)

// plannedRequest is a request that would be made.
type plannedRequest struct {
	method, path string
	run          string // id that plannedServer gave the run
	what         string // what it holds, for people
	rank         int    // of its operation, in the order in which a job takes them
}

// plannedServer answers every request as a server would that has every experiment and no
// run but those that it was asked to create, and remembers them.
type plannedServer struct {
	mu          sync.Mutex
	experiments []string          // names; the index is one less than the id
	names       map[string]string // of runs, by id
	runs        []mlflow.Run
	requests    []plannedRequest
}

// Ranks of operations.
const (
	rankProbe = iota
	rankExperiment
	rankSearch
	rankCreate
	rankLog
	rankArtifact
	rankSpans
	rankTrace
	rankUpdate
	rankScore
)

// RoundTrip implements http.RoundTripper.
func (s *plannedServer) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := plannedRequest{method: r.Method, path: r.URL.Path}
	answer, err := s.answer(&one, r, body)
	if err != nil {
		return nil, err
	}
	s.requests = append(s.requests, one)
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, Request: r, Body: io.NopCloser(strings.NewReader(answer)),
	}, nil
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Content-Encoding") != "gzip" {
		return body, err
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(unzipped)
}

// answer describes a request and answers it.
func (s *plannedServer) answer(one *plannedRequest, r *http.Request, body []byte) (string, error) {
	switch operation := mlflow.Call(one.path); {
	case strings.HasSuffix(one.path, "/version"):
		one.rank = rankProbe
		return "3.17.2", nil
	case operation == "experiments/get-by-name":
		name := r.URL.Query().Get("experiment_name")
		one.rank, one.what = rankExperiment, name
		return encodeJSON(map[string]any{"experiment": mlflow.Experiment{ID: s.experiment(name), Name: name, Stage: mlflow.Active, CreationTime: 1}})
	case operation == "runs/create":
		var in mlflow.CreateRun
		if err := json.Unmarshal(body, &in); err != nil {
			return "", err
		}
		if s.names == nil {
			s.names = map[string]string{}
		}
		one.run = fmt.Sprintf("run-%d", len(s.names)+1)
		s.names[one.run] = in.Name
		one.rank, one.what = rankCreate, in.Name+": "+counted.Of(len(in.Tags), "tag")
		info := mlflow.RunInfo{ID: one.run, Name: in.Name, ExperimentID: in.ExperimentID, Status: mlflow.StatusRunning, StartTime: in.StartTime, ArtifactURI: "mlflow-artifacts:/" + in.ExperimentID + "/" + one.run + "/artifacts", Stage: mlflow.Active}
		made := mlflow.Run{Info: info, Data: mlflow.RunData{Tags: in.Tags}}
		s.runs = append(s.runs, made)
		return encodeJSON(map[string]any{"run": made})
	case operation == "runs/log-batch":
		var in mlflow.Batch
		if err := json.Unmarshal(body, &in); err != nil {
			return "", err
		}
		one.rank, one.run = rankLog, in.RunID
		one.what = fmt.Sprintf("%s: %s, %s, %s", s.names[in.RunID], counted.Of(len(in.Params), "param"), counted.Of(len(in.Metrics), "metric"), counted.Of(len(in.Tags), "tag"))
	case operation == "runs/log-inputs":
		var in mlflow.LogInputs
		if err := json.Unmarshal(body, &in); err != nil {
			return "", err
		}
		one.rank, one.run, one.what = rankLog, in.RunID, s.names[in.RunID]+": "+counted.Of(len(in.Datasets), "dataset")
	case operation == "runs/update":
		var in mlflow.UpdateRun
		if err := json.Unmarshal(body, &in); err != nil {
			return "", err
		}
		one.rank, one.run = rankUpdate, in.RunID
		one.what = s.names[in.RunID] + ": " + in.Status
		if in.Name != "" {
			one.what += ", name " + in.Name
		}
	case operation == "runs/get":
		one.rank, one.run = rankLog, r.URL.Query().Get("run_id")
		one.what = s.names[one.run]
		return encodeJSON(map[string]any{"run": mlflow.Run{Info: mlflow.RunInfo{ID: one.run, Name: one.what, Stage: mlflow.Active}}})
	case operation == "runs/search":
		var in mlflow.SearchRuns
		if err := json.Unmarshal(body, &in); err != nil {
			return "", err
		}
		_, key, _ := strings.Cut(strings.TrimSuffix(in.Filter, "'"), " '")
		there := s.withKey(key)
		switch {
		case strings.HasSuffix(key, "%"):
			one.rank, one.what = rankSearch, "which runs of the job are there already?"
		case len(there) == 0:
			one.rank, one.what = rankSearch, "is the run there already?"
		default:
			one.rank, one.run = rankCreate, there[0].Info.ID
			one.what = there[0].Info.Name + ": is it the only one?"
		}
		return encodeJSON(map[string]any{"runs": there})
	case operation == "runs/delete-tag":
		var in struct {
			RunID string `json:"run_id"`
		}
		if err := json.Unmarshal(body, &in); err != nil {
			return "", err
		}
		one.rank, one.run = rankCreate, in.RunID
		one.what = s.names[in.RunID] + ": it is"
	case strings.Contains(one.path, "/mlflow-artifacts/artifacts/"):
		_, file, _ := strings.Cut(one.path, "/mlflow-artifacts/artifacts/")
		_, inside, _ := strings.Cut(file, "/") // the experiment
		run, path, _ := strings.Cut(inside, "/artifacts/")
		one.rank, one.run = rankArtifact, run
		one.path = strings.TrimSuffix(one.path, file) + "…"
		one.what = fmt.Sprintf("%s: %s, %s", s.names[run], path, bytesize.Format(int64(len(body))))
	case strings.HasSuffix(one.path, "/v1/traces"):
		in := ptraceotlp.NewExportRequest()
		if err := in.UnmarshalProto(body); err != nil {
			return "", err
		}
		one.rank, one.what = rankSpans, counted.Of(in.Traces().SpanCount(), "span")+", "+bytesize.Format(int64(len(body)))
	case operation == "traces" && r.Method == http.MethodPost:
		one.rank, one.what = rankTrace, "state, name, session, usage, link to the run"
	case operation == "model-versions/search":
		one.rank, one.what = rankProbe, "which versions of the prompt are there?"
	case strings.HasSuffix(operation, "/assessments"):
		one.rank, one.what = rankScore, "verdict"
		one.path = strings.TrimSuffix(one.path, operation) + "traces/…/assessments"
	default:
		one.rank, one.what = rankTrace, "is the trace there already?"
	}
	return "{}", nil
}

// experiment gives the id of an experiment, another one for each name.
func (s *plannedServer) experiment(name string) string {
	i := slices.Index(s.experiments, name)
	if i < 0 {
		i = len(s.experiments)
		s.experiments = append(s.experiments, name)
	}
	return strconv.Itoa(i + 1)
}

// withKey gives the runs of a key, or of those that begin like "begin%".
func (s *plannedServer) withKey(key string) []mlflow.Run {
	prefix, many := strings.CutSuffix(key, "%")
	return slices.DeleteFunc(slices.Clone(s.runs), func(r mlflow.Run) bool {
		has := r.Tag(wire.TagKey)
		return has != key && (!many || !strings.HasPrefix(has, prefix))
	})
}

func encodeJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

// take gives the requests of one plan, those of one kind together and in the order of its
// runs: they overlap, so that the order in which they came means little.
func (s *plannedServer) take(p reduce.Plan) []plannedRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	order := map[string]int{}
	for i, r := range p.Runs {
		if _, known := order[r.Name]; !known {
			order[r.Name] = i
		}
	}
	taken := s.requests
	s.requests = nil
	slices.SortStableFunc(taken, func(a, b plannedRequest) int {
		byRun := cmp.Compare(order[s.names[a.run]], order[s.names[b.run]])
		if a.rank == rankUpdate { // a run ends after those below it
			byRun = -byRun
		}
		return cmp.Or(cmp.Compare(a.rank, b.rank), byRun, cmp.Compare(a.what, b.what))
	})
	return taken
}
