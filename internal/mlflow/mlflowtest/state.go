package mlflowtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
)

// State is what an experiment holds, without anything that differs between two servers
// which were told the same: ids of runs are replaced by their keys.
type State struct {
	Runs   map[string]*Run // by key; a second run of one key appears as "<key> again"
	Traces map[string]*Trace
}

// Run is a run in a State.
type Run struct {
	Parent, Name, Status, Stage string
	User                        string
	Start, End                  int64 // ms since 1970
	Params, Tags                map[string]string
	Metrics                     map[string][]string // "value@timestamp/step", sorted
	Artifacts                   map[string]string   // path to SHA-256
	Datasets                    []string            // "name@digest type source", sorted
}

// Trace is a trace in a State.
type Trace struct {
	State             string
	Time, Duration    int64 // ms since 1970, and ms
	Request, Response string
	Metadata, Tags    map[string]string
	Spans             map[string]string // id to "parent name type status"
	// Assessments give each "value, source type, source, span, rationale" by name and source.
	Assessments map[string]string
}

// Read reads everything that an experiment holds, up to 5,000 runs and 500 traces, except
// runs that one of several bridges made and withdrew.
func Read(ctx context.Context, c *mlflow.Client, experimentID string) (*State, error) {
	runs, _, err := c.SearchRuns(ctx, mlflow.SearchRuns{ExperimentIDs: []string{experimentID}, View: mlflow.ViewAll, MaxResults: 5000})
	if err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	runs = slices.DeleteFunc(runs, func(r mlflow.Run) bool { return r.Info.Stage == mlflow.Deleted && r.Tag(wire.TagClaim) != "" })
	s := &State{Runs: map[string]*Run{}, Traces: map[string]*Trace{}}
	keys := map[string]string{}
	for _, r := range runs {
		keys[r.Info.ID] = r.Tag(wire.TagKey)
	}
	for _, r := range runs {
		one, err := readRun(ctx, c, r, keys)
		if err != nil {
			return nil, err
		}
		key := keys[r.Info.ID]
		for s.Runs[key] != nil {
			key += " again"
		}
		s.Runs[key] = one
	}
	traces, _, err := c.SearchTraces(ctx, mlflow.SearchTraces{ExperimentIDs: []string{experimentID}, MaxResults: 500})
	var e *mlflow.Error
	if errors.As(err, &e) && e.NoRoute() { // MLflow 2 has no such traces
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read traces: %w", err)
	}
	for _, t := range traces {
		if s.Traces[t.TraceID], err = readTrace(ctx, c, t.TraceID, keys); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func readRun(ctx context.Context, c *mlflow.Client, r mlflow.Run, keys map[string]string) (*Run, error) {
	one := &Run{
		Name: r.Info.Name, Status: r.Info.Status, Stage: r.Info.Stage, User: r.Info.UserID, Start: r.Info.StartTime, End: r.Info.EndTime,
		Params: map[string]string{}, Tags: map[string]string{}, Metrics: map[string][]string{}, Artifacts: map[string]string{},
	}
	for _, p := range r.Data.Params {
		one.Params[p.Key] = p.Value
	}
	for _, t := range r.Data.Tags {
		switch t.Key {
		case mlflow.TagParentRun:
			one.Parent = keys[t.Value]
		case mlflow.TagRunName, wire.TagKey:
		default:
			one.Tags[t.Key] = strings.ReplaceAll(t.Value, r.Info.ID, "<run id>")
		}
	}
	for _, in := range r.Inputs.Datasets {
		one.Datasets = append(one.Datasets, in.Dataset.Name+"@"+in.Dataset.Digest+" "+in.Dataset.SourceType+" "+in.Dataset.Source)
	}
	slices.Sort(one.Datasets)
	for _, m := range r.Data.Metrics {
		points, err := c.MetricHistory(ctx, r.Info.ID, m.Key)
		if err != nil {
			return nil, fmt.Errorf("read metric: %w", err)
		}
		for _, p := range points {
			one.Metrics[m.Key] = append(one.Metrics[m.Key], fmt.Sprintf("%v@%d/%d", float64(p.Value), p.Timestamp, p.Step))
		}
		slices.Sort(one.Metrics[m.Key])
	}
	return one, readFiles(ctx, c, r.Info.ID, "", one.Artifacts)
}

func readFiles(ctx context.Context, c *mlflow.Client, runID, dir string, into map[string]string) error {
	files, err := c.ListArtifacts(ctx, runID, dir)
	if err != nil {
		return fmt.Errorf("list artifacts: %w", err)
	}
	for _, f := range files {
		if f.IsDir {
			if err := readFiles(ctx, c, runID, f.Path, into); err != nil {
				return err
			}
			continue
		}
		b, err := c.GetArtifact(ctx, runID, f.Path)
		if err != nil {
			return fmt.Errorf("read artifact %s: %w", f.Path, err)
		}
		sum := sha256.Sum256(b)
		into[f.Path] = hex.EncodeToString(sum[:])
	}
	return nil
}

func readTrace(ctx context.Context, c *mlflow.Client, id string, keys map[string]string) (*Trace, error) {
	t, err := c.GetTrace(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read trace: %w", err)
	}
	one := &Trace{
		State: t.Info.State, Request: t.Info.RequestPreview, Response: t.Info.ResponsePreview,
		Metadata: map[string]string{}, Tags: map[string]string{}, Spans: map[string]string{},
	}
	for _, a := range t.Info.Assessments {
		if one.Assessments == nil {
			one.Assessments = map[string]string{}
		}
		said, how := a.Feedback, ""
		if said == nil {
			said, how = a.Expectation, "expected "
		}
		var value any
		if err := json.Unmarshal(said.Value, &value); err != nil {
			return nil, fmt.Errorf("read assessment: %w", err)
		}
		text := strings.Join([]string{fmt.Sprint(value), a.Source.Type, a.SpanID, a.Why}, " | ")
		if in := a.Metadata[mlflow.MetaAssessedIn]; in != "" {
			text += " | in " + keys[in]
		}
		one.Assessments[a.Name+" "+a.Source.ID] = how + text
	}
	at, err := time.Parse(time.RFC3339Nano, t.Info.RequestTime)
	if err != nil {
		return nil, fmt.Errorf("read time of trace: %w", err)
	}
	took, err := time.ParseDuration(t.Info.Duration)
	if err != nil {
		return nil, fmt.Errorf("read duration of trace: %w", err)
	}
	one.Time, one.Duration = at.UnixMilli(), took.Milliseconds()
	for k, v := range t.Info.Metadata {
		switch k {
		case mlflow.MetaSourceRun:
			one.Metadata[k] = keys[v]
		case mlflow.MetaSession, mlflow.MetaUser:
			one.Metadata[k] = v
		case mlflow.MetaTokenUsage: // MLflow writes it anew, in another order
			var usage map[string]int64
			if err := json.Unmarshal([]byte(v), &usage); err != nil {
				return nil, fmt.Errorf("read token usage: %w", err)
			}
			sorted, err := json.Marshal(usage)
			if err != nil {
				return nil, fmt.Errorf("write token usage: %w", err)
			}
			one.Metadata[k] = string(sorted)
		}
	}
	for k, v := range t.Info.Tags {
		if k == mlflow.TagTraceName || !strings.HasPrefix(k, "mlflow.") {
			one.Tags[k] = v
		}
	}
	for _, sp := range t.Spans {
		one.Spans[string(sp.ID)] = strings.Join([]string{string(sp.ParentID), sp.Name, sp.Attribute("mlflow.spanType"), sp.Status.Code}, " | ")
	}
	return one, nil
}
