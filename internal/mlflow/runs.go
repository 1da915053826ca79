package mlflow

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
)

const (
	api2 = "/api/2.0/mlflow"
	api3 = "/api/3.0/mlflow"
	// ajaxAPI is what the UI uses; some calls are there only.
	ajaxAPI = "/ajax-api/2.0/mlflow"
)

// Limits of one log-batch call and of what it holds. Values and keys are in characters.
const (
	MaxBatchParams   = 100
	MaxBatchTags     = 100
	MaxBatchMetrics  = 1000
	MaxBatchEntities = 1000
	MaxKey           = 250
	MaxParamValue    = 6000
	MaxTagValue      = 8000
	// MaxTagValueBefore217 is the same of MLflow before 2.17.
	MaxTagValueBefore217 = 5000
)

// Stages of life of runs and experiments.
const (
	Active  = "active"
	Deleted = "deleted"
)

// Statuses of a run.
const (
	StatusRunning  = "RUNNING"
	StatusFinished = "FINISHED"
	StatusKilled   = "KILLED"
)

// KeyValue is a tag or a param.
type KeyValue struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Number is a metric value on the wire, where NaN and the infinities are strings.
type Number float64

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) {
	switch f := float64(n); {
	case math.IsNaN(f):
		return []byte(`"NaN"`), nil
	case math.IsInf(f, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-Infinity"`), nil
	default:
		return json.Marshal(f)
	}
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Number) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return fmt.Errorf("parse metric value: %w", err)
		}
		*n = Number(f)
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

// Metric is one point of a metric. No field may be left out on the wire, zero or not.
type Metric struct {
	Key       string `json:"key"`
	Value     Number `json:"value"`
	Timestamp int64  `json:"timestamp"` // ms since 1970, ≥ 0
	Step      int64  `json:"step"`
}

// RunInfo is what is known of a run apart from its data.
type RunInfo struct {
	ID           string `json:"run_id"`
	Name         string `json:"run_name"`
	ExperimentID string `json:"experiment_id"`
	UserID       string `json:"user_id"`
	Status       string `json:"status"`
	StartTime    int64  `json:"start_time"` // ms since 1970
	EndTime      int64  `json:"end_time"`   // ms since 1970; 0 = none
	ArtifactURI  string `json:"artifact_uri"`
	Stage        string `json:"lifecycle_stage"`
}

// RunData is what was logged to a run. Of each metric it holds the latest point.
type RunData struct {
	Metrics []Metric   `json:"metrics"`
	Params  []KeyValue `json:"params"`
	Tags    []KeyValue `json:"tags"`
}

// InputDataset is data that a run is about. MLflow knows it by name and digest, within an
// experiment; 3.7.0 within the server.
type InputDataset struct {
	Name       string `json:"name"`   // at most MaxDatasetName characters
	Digest     string `json:"digest"` // at most MaxDatasetDigest characters
	SourceType string `json:"source_type"`
	Source     string `json:"source"` // JSON, of a form that SourceType tells; at most MaxDatasetSource characters
}

// Limits of an InputDataset, in characters (mlflow/utils/validation.py).
const (
	MaxDatasetName   = 500
	MaxDatasetDigest = 36
	MaxDatasetSource = 65535
)

// Types of the source of an InputDataset, and the key of its JSON.
const (
	SourceTypeHTTP  = "http"  // {"url": …}
	SourceTypeLocal = "local" // {"uri": …}, a path
	SourceTypeCode  = "code"  // {"tags": {…}}, what MLflow's SDK says of data that has no place
)

// DatasetInput is a dataset as input of a run.
type DatasetInput struct {
	Dataset InputDataset `json:"dataset"`
}

// RunInputs is what went into a run.
type RunInputs struct {
	Datasets []DatasetInput `json:"dataset_inputs,omitempty"`
}

// Run is a run as MLflow describes it.
type Run struct {
	Info   RunInfo   `json:"info"`
	Data   RunData   `json:"data"`
	Inputs RunInputs `json:"inputs"`
}

// Tag gives the value of a tag, and "" when there is none.
func (r Run) Tag(key string) string { return find(r.Data.Tags, key) }

// Param gives the value of a param, and "" when there is none.
func (r Run) Param(key string) string { return find(r.Data.Params, key) }

func find(kvs []KeyValue, key string) string {
	for _, kv := range kvs {
		if kv.Key == key {
			return kv.Value
		}
	}
	return ""
}

// CreateRun is what a new run begins with. MLflow checks neither keys nor values here.
type CreateRun struct {
	ExperimentID string     `json:"experiment_id"`
	Name         string     `json:"run_name,omitempty"`
	UserID       string     `json:"user_id,omitempty"`
	StartTime    int64      `json:"start_time"` // ms since 1970
	Tags         []KeyValue `json:"tags,omitempty"`
}

// CreateRun makes a run with status RUNNING. It is not idempotent: after a failure that
// leaves open whether the server acted (see Error.NotSent), look for the run first.
func (c *Client) CreateRun(ctx context.Context, in CreateRun) (Run, error) {
	var out struct {
		Run Run `json:"run"`
	}
	err := c.call(ctx, http.MethodPost, api2+"/runs/create", nil, in, &out)
	if err == nil && out.Run.Info.ID == "" {
		err = strangeError("POST "+api2+"/runs/create", []byte("no run"), nil)
	}
	return out.Run, err
}

// UpdateRun is what changes of a run; empty fields stay as they are.
type UpdateRun struct {
	RunID   string `json:"run_id"`
	Status  string `json:"status,omitempty"`
	EndTime int64  `json:"end_time,omitempty"` // ms since 1970
	Name    string `json:"run_name,omitempty"`
}

// UpdateRun changes status, end time or name. It is idempotent.
func (c *Client) UpdateRun(ctx context.Context, in UpdateRun) error {
	return c.call(ctx, http.MethodPost, api2+"/runs/update", nil, in, nil)
}

// Batch is what one log-batch call holds; see the Max constants for its limits.
type Batch struct {
	RunID   string     `json:"run_id"`
	Metrics []Metric   `json:"metrics,omitempty"`
	Params  []KeyValue `json:"params,omitempty"`
	Tags    []KeyValue `json:"tags,omitempty"`
}

// LogBatch logs metrics, params and tags of one run. It is idempotent with two
// exceptions: a param never changes its value (Error.ParamConflict), and servers before
// 3.16 take a NaN point once only (Error.MetricExists).
func (c *Client) LogBatch(ctx context.Context, in Batch) error {
	return c.call(ctx, http.MethodPost, api2+"/runs/log-batch", nil, in, nil)
}

// LogInputs is what a LogInputs call holds.
type LogInputs struct {
	RunID    string         `json:"run_id"`
	Datasets []DatasetInput `json:"datasets"`
}

// LogInputs says which data a run is about. It is idempotent: what the run has stays as it is.
func (c *Client) LogInputs(ctx context.Context, in LogInputs) error {
	return c.call(ctx, http.MethodPost, api2+"/runs/log-inputs", nil, in, nil)
}

// SetTag sets one tag of a run.
func (c *Client) SetTag(ctx context.Context, runID, key, value string) error {
	in := struct {
		RunID string `json:"run_id"`
		KeyValue
	}{runID, KeyValue{key, value}}
	return c.call(ctx, http.MethodPost, api2+"/runs/set-tag", nil, in, nil)
}

// DeleteTag removes one tag of a run.
func (c *Client) DeleteTag(ctx context.Context, runID, key string) error {
	in := struct {
		RunID string `json:"run_id"`
		Key   string `json:"key"`
	}{runID, key}
	return c.call(ctx, http.MethodPost, api2+"/runs/delete-tag", nil, in, nil)
}

// DeleteRun marks a run as deleted; RestoreRun takes that back.
func (c *Client) DeleteRun(ctx context.Context, runID string) error {
	return c.call(ctx, http.MethodPost, api2+"/runs/delete", nil, map[string]string{"run_id": runID}, nil)
}

// RestoreRun takes back DeleteRun.
func (c *Client) RestoreRun(ctx context.Context, runID string) error {
	return c.call(ctx, http.MethodPost, api2+"/runs/restore", nil, map[string]string{"run_id": runID}, nil)
}

// GetRun reads a run, deleted or not.
func (c *Client) GetRun(ctx context.Context, runID string) (Run, error) {
	var out struct {
		Run Run `json:"run"`
	}
	err := c.call(ctx, http.MethodGet, api2+"/runs/get", url.Values{"run_id": {runID}}, nil, &out)
	if err == nil && out.Run.Info.ID == "" {
		err = strangeError("GET "+api2+"/runs/get", []byte("no run"), nil)
	}
	return out.Run, err
}

// Views of SearchRuns.
const (
	ViewActive  = "ACTIVE_ONLY"
	ViewDeleted = "DELETED_ONLY"
	ViewAll     = "ALL"
)

// SearchRuns asks for one page of runs.
type SearchRuns struct {
	ExperimentIDs []string `json:"experiment_ids"`
	Filter        string   `json:"filter,omitempty"`
	View          string   `json:"run_view_type,omitempty"` // empty means ViewActive
	MaxResults    int      `json:"max_results,omitempty"`   // 0 means 1000
	OrderBy       []string `json:"order_by,omitempty"`
	PageToken     string   `json:"page_token,omitempty"`
}

// SearchRuns gives one page, and the token of the next, which is empty on the last one.
func (c *Client) SearchRuns(ctx context.Context, in SearchRuns) ([]Run, string, error) {
	var out struct {
		Runs []Run  `json:"runs"`
		Next string `json:"next_page_token"`
	}
	err := c.call(ctx, http.MethodPost, api2+"/runs/search", nil, in, &out)
	return out.Runs, out.Next, err
}

// MetricHistory reads every point of one metric of a run.
func (c *Client) MetricHistory(ctx context.Context, runID, key string) ([]Metric, error) {
	var all []Metric
	q := url.Values{"run_id": {runID}, "metric_key": {key}, "max_results": {"25000"}}
	for {
		var out struct {
			Metrics []Metric `json:"metrics"`
			Next    string   `json:"next_page_token"`
		}
		if err := c.call(ctx, http.MethodGet, api2+"/metrics/get-history", q, nil, &out); err != nil {
			return nil, err
		}
		all = append(all, out.Metrics...)
		if out.Next == "" {
			return all, nil
		}
		q.Set("page_token", out.Next)
	}
}

// MaxHistoryRuns is how many runs MetricHistories takes.
const MaxHistoryRuns = 100

// MetricHistories reads the points of one metric of several runs, up to 25,000 in all, by run id.
// It is the endpoint behind the charts of MLflow's own UI.
func (c *Client) MetricHistories(ctx context.Context, runIDs []string, key string) (map[string][]Metric, error) {
	var out struct {
		Metrics []struct {
			Metric
			RunID string `json:"run_id"`
		} `json:"metrics"`
	}
	q := url.Values{"run_id": runIDs, "metric_key": {key}}
	if err := c.call(ctx, http.MethodGet, ajaxAPI+"/metrics/get-history-bulk", q, nil, &out); err != nil {
		return nil, err
	}
	points := map[string][]Metric{}
	for _, m := range out.Metrics {
		points[m.RunID] = append(points[m.RunID], m.Metric)
	}
	return points, nil
}
