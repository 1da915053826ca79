package mlflowtest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/technoshare/commentator/internal/mlflow"
)

type experimentState struct{ mlflow.Experiment }

type runState struct {
	info   mlflow.RunInfo
	params map[string]string
	tags   map[string]string
	points map[string][]mlflow.Metric
	inputs []mlflow.DatasetInput
}

const api2 = "/api/2.0/mlflow"

var validKey = regexp.MustCompile(`^[/\p{L}\p{N}_.\- :]*$`)

func (s *Server) runRoutes() {
	handle(s, "GET "+api2+"/experiments/get-by-name", func(_ struct{}, r *http.Request) (any, error) {
		name := r.URL.Query().Get("experiment_name")
		for _, e := range s.experiments {
			if e.Name == name {
				return map[string]any{"experiment": e.Experiment}, nil
			}
		}
		return nil, notFound("Could not find experiment with name '%s'", name)
	})
	handle(s, "GET "+api2+"/experiments/get", func(_ struct{}, r *http.Request) (any, error) {
		for _, e := range s.experiments {
			if e.ID == r.URL.Query().Get("experiment_id") {
				return map[string]any{"experiment": e.Experiment}, nil
			}
		}
		return nil, notFound("No Experiment with id=%s exists", r.URL.Query().Get("experiment_id"))
	})
	handle(s, "POST "+api2+"/experiments/search", func(_ struct{}, _ *http.Request) (any, error) {
		found := []mlflow.Experiment{}
		for _, e := range s.experiments {
			if e.Stage == mlflow.Active {
				found = append(found, e.Experiment)
			}
		}
		return map[string]any{"experiments": found}, nil
	})
	handle(s, "POST "+api2+"/experiments/create", func(in mlflow.Experiment, _ *http.Request) (any, error) {
		if slices.ContainsFunc(s.experiments, func(e *experimentState) bool { return e.Name == in.Name }) {
			return nil, failure{http.StatusBadRequest, mlflow.CodeAlreadyExists, "Experiment(name=" + in.Name + ") already exists. Error: UNIQUE constraint failed"}
		}
		in.ID, in.Stage, in.CreationTime = strconv.Itoa(len(s.experiments)+1), mlflow.Active, s.tick()
		switch {
		case in.ArtifactLocation != "":
		case s.ArtifactRoot != "":
			in.ArtifactLocation = s.ArtifactRoot + "/" + in.ID
		default:
			in.ArtifactLocation = "mlflow-artifacts:/" + in.ID
		}
		s.experiments = append(s.experiments, &experimentState{in})
		return map[string]string{"experiment_id": in.ID}, nil
	})
	for verb, stage := range map[string]string{"delete": mlflow.Deleted, "restore": mlflow.Active} {
		handle(s, "POST "+api2+"/experiments/"+verb, func(in mlflow.Experiment, _ *http.Request) (any, error) {
			for _, e := range s.experiments {
				if e.ID == in.ID {
					e.Stage = stage
				}
			}
			return nil, nil
		})
		handle(s, "POST "+api2+"/runs/"+verb, func(in mlflow.RunInfo, _ *http.Request) (any, error) {
			r, err := s.run(in.ID)
			if err == nil {
				r.info.Stage = stage
			}
			return nil, err
		})
	}
	handle(s, "POST "+api2+"/runs/create", s.createRun)
	handle(s, "POST "+api2+"/runs/update", func(in mlflow.UpdateRun, _ *http.Request) (any, error) {
		r, err := s.activeRun(in.RunID)
		if err != nil {
			return nil, err
		}
		if in.Status != "" {
			r.info.Status = in.Status
		}
		if in.EndTime != 0 {
			r.info.EndTime = in.EndTime
		}
		if in.Name != "" {
			r.info.Name, r.tags[mlflow.TagRunName] = in.Name, in.Name
		}
		return nil, nil
	})
	handle(s, "POST "+api2+"/runs/log-batch", s.logBatch)
	handle(s, "POST "+api2+"/runs/log-inputs", s.logInputs)
	handle(s, "POST "+api2+"/runs/set-tag", func(in struct {
		RunID string `json:"run_id"`
		mlflow.KeyValue
	}, _ *http.Request,
	) (any, error) {
		r, err := s.activeRun(in.RunID)
		if err == nil {
			r.tags[in.Key] = in.Value
		}
		return nil, err
	})
	handle(s, "POST "+api2+"/runs/delete-tag", func(in struct {
		RunID string `json:"run_id"`
		Key   string `json:"key"`
	}, _ *http.Request,
	) (any, error) {
		r, err := s.activeRun(in.RunID)
		if err != nil {
			return nil, err
		}
		if _, ok := r.tags[in.Key]; !ok {
			return nil, notFound("No tag with name: %s in run with id %s", in.Key, in.RunID)
		}
		delete(r.tags, in.Key)
		return nil, nil
	})
	handle(s, "GET "+api2+"/runs/get", func(_ struct{}, r *http.Request) (any, error) {
		run, err := s.run(r.URL.Query().Get("run_id"))
		if err != nil {
			return nil, err
		}
		return map[string]any{"run": run.entity()}, nil
	})
	handle(s, "POST "+api2+"/runs/search", s.searchRuns)
	handle(s, "GET "+api2+"/metrics/get-history", func(_ struct{}, r *http.Request) (any, error) {
		run, err := s.run(r.URL.Query().Get("run_id"))
		if err != nil {
			return nil, err
		}
		return map[string]any{"metrics": run.points[r.URL.Query().Get("metric_key")]}, nil
	})
	handle(s, "GET /ajax-api/2.0/mlflow/metrics/get-history-bulk", func(_ struct{}, r *http.Request) (any, error) {
		type point struct {
			mlflow.Metric
			RunID string `json:"run_id"`
		}
		found := []point{}
		for _, id := range r.URL.Query()["run_id"] {
			run, err := s.run(id)
			if err != nil {
				return nil, err
			}
			for _, m := range run.points[r.URL.Query().Get("metric_key")] {
				found = append(found, point{m, id})
			}
		}
		return map[string]any{"metrics": found}, nil
	})
}

func (s *Server) activeExperiment(id string) (*experimentState, error) {
	for _, e := range s.experiments {
		if e.ID == id {
			if e.Stage != mlflow.Active {
				return nil, invalid("The experiment %s must be in the 'active' state. Current state is %s.", id, e.Stage)
			}
			return e, nil
		}
	}
	return nil, notFound("No Experiment with id=%s exists", id)
}

func (s *Server) run(id string) (*runState, error) {
	for _, r := range s.runs {
		if r.info.ID == id {
			return r, nil
		}
	}
	return nil, notFound("Run with id=%s not found", id)
}

func (s *Server) activeRun(id string) (*runState, error) {
	r, err := s.run(id)
	if err == nil && r.info.Stage != mlflow.Active {
		return nil, invalid("The run %s must be in the 'active' state. Current state is %s.", id, r.info.Stage)
	}
	return r, err
}

func (s *Server) createRun(in mlflow.CreateRun, _ *http.Request) (any, error) {
	e, err := s.activeExperiment(in.ExperimentID)
	if err != nil {
		return nil, err
	}
	if err := s.checkTags(in.Tags); err != nil {
		return nil, err
	}
	var id [16]byte
	_, _ = rand.Read(id[:])
	r := &runState{params: map[string]string{}, tags: map[string]string{}, points: map[string][]mlflow.Metric{}}
	r.info = mlflow.RunInfo{
		ID: hex.EncodeToString(id[:]), Name: in.Name, ExperimentID: e.ID, UserID: in.UserID,
		Status: mlflow.StatusRunning, StartTime: in.StartTime, Stage: mlflow.Active,
	}
	r.info.ArtifactURI = e.ArtifactLocation + "/" + r.info.ID + "/artifacts"
	for _, t := range in.Tags {
		if _, twice := r.tags[t.Key]; twice {
			return nil, failure{http.StatusBadRequest, "BAD_REQUEST", "(sqlite3.IntegrityError) UNIQUE constraint failed: tags.key, tags.run_uuid"}
		}
		r.tags[t.Key] = t.Value
	}
	r.tags[mlflow.TagRunName] = in.Name
	s.runs = append(s.runs, r)
	return map[string]any{"run": r.entity()}, nil
}

func (s *Server) logBatch(in mlflow.Batch, _ *http.Request) (any, error) {
	r, err := s.activeRun(in.RunID)
	if err != nil {
		return nil, err
	}
	if len(in.Params) > mlflow.MaxBatchParams || len(in.Tags) > mlflow.MaxBatchTags || len(in.Metrics) > mlflow.MaxBatchMetrics ||
		len(in.Params)+len(in.Tags)+len(in.Metrics) > mlflow.MaxBatchEntities {
		return nil, invalid("A batch logging request can contain at most …")
	}
	if err := s.checkTags(in.Tags); err != nil {
		return nil, err
	}
	for _, kvs := range [][]mlflow.KeyValue{in.Params, in.Tags} {
		for _, kv := range kvs {
			if err := checkKey(kv.Key); err != nil {
				return nil, err
			}
		}
	}
	for _, m := range in.Metrics {
		if err := checkKey(m.Key); err != nil {
			return nil, err
		}
	}
	if err := r.checkParams(in.Params); err != nil {
		return nil, err
	}
	for _, m := range in.Metrics {
		if !slices.ContainsFunc(r.points[m.Key], func(o mlflow.Metric) bool { return same(m, o) }) {
			r.points[m.Key] = append(r.points[m.Key], m)
		}
	}
	for _, p := range in.Params {
		r.params[p.Key] = cut(p.Value, mlflow.MaxParamValue)
	}
	for _, t := range in.Tags {
		r.tags[t.Key] = cut(t.Value, mlflow.MaxTagValue)
	}
	return nil, nil
}

func (s *Server) checkTags(tags []mlflow.KeyValue) error {
	for _, t := range tags {
		if s.MaxTag > 0 && len([]rune(t.Value)) > s.MaxTag {
			return failure{http.StatusBadRequest, "BAD_REQUEST", "(psycopg2.errors.StringDataRightTruncation) value too long for type character varying"}
		}
	}
	return nil
}

func checkKey(key string) error {
	if !validKey.MatchString(key) || len([]rune(key)) > mlflow.MaxKey || strings.HasPrefix(key, "/") || strings.Contains(key, "//") || strings.Contains(key, "..") {
		return invalid("Invalid value for parameter 'key': %q", key)
	}
	return nil
}

func (r *runState) checkParams(in []mlflow.KeyValue) error {
	batch := map[string]string{}
	for _, p := range in {
		if old, ok := batch[p.Key]; ok && old != p.Value {
			return invalid("Duplicate parameter keys have been submitted: ['%s']", p.Key)
		}
		batch[p.Key] = p.Value
		if old, ok := r.params[p.Key]; ok && old != cut(p.Value, mlflow.MaxParamValue) {
			return invalid("Changing param values is not allowed. Params were already logged='[{'key': '%s', 'old_value': '%s', 'new_value': '%s'}]' for run ID='%s'.", p.Key, old, p.Value, r.info.ID)
		}
	}
	return nil
}

func same(a, b mlflow.Metric) bool {
	nan := math.IsNaN(float64(a.Value)) && math.IsNaN(float64(b.Value))
	return a.Key == b.Key && a.Timestamp == b.Timestamp && a.Step == b.Step && (a.Value == b.Value || nan)
}

func cut(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n])
	}
	return s
}

var keyFilter = regexp.MustCompile("^(tags|params)\\.`?([^`= ]+)`? (=|LIKE) '([^']*)'$")

func (s *Server) searchRuns(in mlflow.SearchRuns, _ *http.Request) (any, error) {
	var kind, key string
	var matches func(string) bool
	if in.Filter != "" {
		m := keyFilter.FindStringSubmatch(in.Filter)
		if m == nil {
			return nil, invalid("Invalid filter %q", in.Filter)
		}
		kind, key = m[1], m[2]
		matches = func(value string) bool { return value == m[4] }
		if prefix, ok := strings.CutSuffix(m[4], "%"); ok && m[3] == "LIKE" {
			matches = func(value string) bool { return strings.HasPrefix(value, prefix) }
		}
	}
	found := []mlflow.Run{}
	for _, r := range slices.Backward(s.runs) {
		wanted := in.View == mlflow.ViewAll || (in.View == mlflow.ViewDeleted) == (r.info.Stage == mlflow.Deleted)
		if wanted && slices.Contains(in.ExperimentIDs, r.info.ExperimentID) && (key == "" || matches(r.said(kind)[key])) {
			found = append(found, r.entity())
		}
	}
	if in.MaxResults > 0 && len(found) > in.MaxResults {
		return nil, fmt.Errorf("pages are not built")
	}
	return map[string]any{"runs": found}, nil
}

// Finished counts the runs that ended well by their value of a tag. It is for tests with more
// runs than an answer may list.
func (s *Server) Finished(tag string) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := map[string]int{}
	for _, r := range s.runs {
		if r.info.Status == mlflow.StatusFinished && r.info.Stage != mlflow.Deleted {
			count[r.tags[tag]]++
		}
	}
	return count
}

// Active counts all runs of an experiment by their value of a tag, however they are, but for those that
// are deleted: two of which one never ends are two.
func (s *Server) Active(experiment, tag string) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := map[string]int{}
	i := slices.IndexFunc(s.experiments, func(e *experimentState) bool { return e.Name == experiment })
	if i < 0 {
		return count
	}
	for _, r := range s.runs {
		if r.info.ExperimentID == s.experiments[i].ID && r.info.Stage != mlflow.Deleted {
			count[r.tags[tag]]++
		}
	}
	return count
}

// said gives the run's tags or params.
func (r *runState) said(kind string) map[string]string {
	if kind == "params" {
		return r.params
	}
	return r.tags
}

func (r *runState) entity() mlflow.Run {
	out := mlflow.Run{Info: r.info, Inputs: mlflow.RunInputs{Datasets: r.inputs}}
	for k, v := range r.params {
		out.Data.Params = append(out.Data.Params, mlflow.KeyValue{Key: k, Value: v})
	}
	for k, v := range r.tags {
		out.Data.Tags = append(out.Data.Tags, mlflow.KeyValue{Key: k, Value: v})
	}
	for _, points := range r.points {
		latest := points[0]
		for _, p := range points[1:] {
			if p.Step > latest.Step || (p.Step == latest.Step && (p.Timestamp > latest.Timestamp || (p.Timestamp == latest.Timestamp && p.Value > latest.Value))) {
				latest = p
			}
		}
		out.Data.Metrics = append(out.Data.Metrics, latest)
	}
	return out
}
