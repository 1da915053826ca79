package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/retention"
	"github.com/technoshare/commentator/internal/wire"
)

// parallel is how many requests are on their way at a time: more do not help MLflow on SQLite.
const parallel = 4

// Server reads what MLflow holds through its API.
type Server struct {
	client      *mlflow.Client
	experiments map[string]mlflow.Experiment // by id
}

// NewServer looks up where to read: all experiments, since a job may name its own.
func NewServer(ctx context.Context, client *mlflow.Client) (*Server, error) {
	s := &Server{client: client}
	return s, s.Refresh(ctx)
}

// Refresh looks up the experiments again: the bridge makes those that jobs name.
func (s *Server) Refresh(ctx context.Context) error {
	all, err := s.client.SearchAllExperiments(ctx) // the runs of a deleted one are deleted, not lost
	if err != nil {
		return fmt.Errorf("list experiments: %w", err)
	}
	s.experiments = map[string]mlflow.Experiment{}
	for _, e := range all {
		s.experiments[e.ID] = e
	}
	return nil
}

// Retention returns up to when runs may have been removed from an experiment on purpose, by its
// name; zero for one without a mark.
func (s *Server) Retention() (map[string]time.Time, error) {
	marks := map[string]time.Time{}
	for _, e := range s.experiments {
		marks[e.Name] = time.Time{}
		for _, t := range e.Tags {
			if t.Key != retention.Mark {
				continue
			}
			at, err := time.Parse(time.RFC3339, t.Value)
			if err != nil {
				return nil, fmt.Errorf("read tag %s of experiment %q: %w", retention.Mark, e.Name, err)
			}
			marks[e.Name] = at
		}
	}
	return marks, nil
}

// State reads what there is of some jobs.
func (s *Server) State(ctx context.Context, jobs []Job) (State, error) {
	var out State
	var mu sync.Mutex
	g, each := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, j := range jobs {
		g.Go(func() error {
			runs, err := s.runs(each, j.TraceID)
			if err != nil {
				return fmt.Errorf("read runs of job %d: %w", j.ID, err)
			}
			trace, err := s.trace(each, "tr-"+j.TraceID)
			if err != nil {
				return fmt.Errorf("read trace of job %d: %w", j.ID, err)
			}
			mu.Lock()
			defer mu.Unlock()
			out.Runs = append(out.Runs, runs...)
			if trace != nil {
				out.Traces = append(out.Traces, *trace)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return out, err
	}
	return out, s.points(ctx, out.Runs)
}

// arrived tells of which jobs the bridge has written everything: it brings a job's run to its
// final state last of all.
func (s *Server) arrived(ctx context.Context, jobs []Job) (map[int64]bool, error) {
	out := map[int64]bool{}
	var mu sync.Mutex
	g, each := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, j := range jobs {
		g.Go(func() error {
			found, _, err := s.client.SearchRuns(each, mlflow.SearchRuns{
				ExperimentIDs: slices.Sorted(maps.Keys(s.experiments)), Filter: "tags.`" + wire.TagKey + "` = '" + j.TraceID + "'",
			})
			if err != nil {
				return fmt.Errorf("look for the run of job %d: %w", j.ID, err)
			}
			mu.Lock()
			defer mu.Unlock()
			out[j.ID] = slices.ContainsFunc(found, func(r mlflow.Run) bool { return r.Info.Status == statusOf(j.Outcome) })
			return nil
		})
	}
	return out, g.Wait()
}

// runs are the runs of a job, deleted ones too.
func (s *Server) runs(ctx context.Context, traceID string) ([]Run, error) {
	in := mlflow.SearchRuns{
		ExperimentIDs: slices.Sorted(maps.Keys(s.experiments)), View: mlflow.ViewAll, Filter: "tags.`" + wire.TagKey + "` LIKE '" + traceID + "%'",
	}
	var all []Run
	for {
		page, next, err := s.client.SearchRuns(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			one, err := s.run(ctx, r)
			if err != nil {
				return nil, fmt.Errorf("run %s: %w", r.Info.ID, err)
			}
			all = append(all, one)
		}
		if in.PageToken = next; next == "" {
			return all, nil
		}
	}
}

func (s *Server) run(ctx context.Context, r mlflow.Run) (Run, error) {
	one := Run{
		ID: r.Info.ID, Experiment: s.experiments[r.Info.ExperimentID].Name, Name: r.Info.Name, Status: r.Info.Status,
		Deleted: r.Info.Stage == mlflow.Deleted, StartMS: r.Info.StartTime, EndMS: r.Info.EndTime,
		Params: map[string]string{}, Tags: map[string]string{}, Metrics: map[string][]Point{}, Artifacts: map[string]string{},
	}
	for _, p := range r.Data.Params {
		one.Params[p.Key] = p.Value
	}
	for _, t := range r.Data.Tags {
		one.Tags[t.Key] = t.Value
	}
	for _, m := range r.Data.Metrics {
		one.Metrics[m.Key] = nil // points follow
	}
	if one.Deleted {
		return one, nil // nothing more of it is compared
	}
	err := s.files(ctx, &one, "")
	return one, err
}

// files adds the hashes of the files of a run.
func (s *Server) files(ctx context.Context, r *Run, dir string) error {
	list, err := s.client.ListArtifacts(ctx, r.ID, dir)
	if err != nil {
		return fmt.Errorf("list artifacts: %w", err)
	}
	for _, f := range list {
		if f.IsDir {
			if err := s.files(ctx, r, f.Path); err != nil {
				return err
			}
			continue
		}
		r.Bytes += f.Size
		sum := sha256.New()
		err := s.client.DownloadArtifact(ctx, r.ID, f.Path, sum)
		var answer *mlflow.Error
		switch {
		case err == nil:
			r.Artifacts[f.Path] = hex.EncodeToString(sum.Sum(nil))
		case errors.As(err, &answer) && answer.Status != 0 && ctx.Err() == nil:
			r.Artifacts[f.Path] = "it cannot be read: " + answer.Error()
		default:
			return fmt.Errorf("read artifact %s: %w", f.Path, err)
		}
	}
	return nil
}

// points adds every point of the metrics of runs that are not deleted.
func (s *Server) points(ctx context.Context, runs []Run) error {
	byKey := map[string][]string{}
	byID := map[string]Run{}
	for _, r := range runs {
		byID[r.ID] = r
		for key := range r.Metrics {
			if !r.Deleted {
				byKey[key] = append(byKey[key], r.ID)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		for ids := range slices.Chunk(byKey[key], mlflow.MaxHistoryRuns) {
			found, err := s.client.MetricHistories(ctx, ids, key)
			if err != nil {
				return fmt.Errorf("read metric %s: %w", key, err)
			}
			for id, points := range found {
				for _, p := range points {
					byID[id].Metrics[key] = append(byID[id].Metrics[key], Point{Value: float64(p.Value), TimestampMS: p.Timestamp, Step: p.Step})
				}
			}
		}
	}
	for _, r := range byID { // one that went away meanwhile has none
		maps.DeleteFunc(r.Metrics, func(_ string, points []Point) bool { return len(points) == 0 })
	}
	return nil
}

// trace is a trace, nil when there is none.
func (s *Server) trace(ctx context.Context, id string) (*Trace, error) {
	t, err := s.client.GetTrace(ctx, id)
	if mlflow.IsMissing(err) {
		return nil, nil // nor does MLflow before 3.7 have one
	}
	if err != nil {
		return nil, err
	}
	one := &Trace{
		ID: id, Experiment: s.experiments[t.Info.Location.Experiment.ID].Name, State: t.Info.State,
		Tags: maps.Clone(t.Info.Tags), Metadata: maps.Clone(t.Info.Metadata),
	}
	at, err := time.Parse(time.RFC3339Nano, t.Info.RequestTime)
	if err != nil {
		return nil, fmt.Errorf("its time: %w", err)
	}
	one.StartMS = at.UnixMilli()
	if t.Info.Duration != "" { // it has none while its root is not there
		took, err := time.ParseDuration(t.Info.Duration)
		if err != nil {
			return nil, fmt.Errorf("its duration: %w", err)
		}
		one.DurationMS = took.Milliseconds()
	}
	for _, sp := range t.Spans {
		status := strings.TrimPrefix(sp.Status.Code, "STATUS_CODE_")
		if status == "" {
			status = "UNSET"
		}
		one.Spans = append(one.Spans, Span{ID: string(sp.ID), Parent: string(sp.ParentID), Name: sp.Name, Status: status})
	}
	return one, nil
}
