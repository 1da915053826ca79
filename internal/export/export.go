// Package export writes what MLflow holds of a job into a directory: its tree of runs, its
// artifacts, its traces, and a manifest with the hash of each file.
//
//	runs.json                    the job's run first, then those of its stages
//	artifacts/<run id>/<path>    files as they are
//	traces/<trace id>.json       info, assessments and spans, as MLflow says them
//	manifest.json                written last: a directory without it is not whole
package export

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
)

// Run is a run in runs.json.
type Run struct {
	ID         string             `json:"run_id"`
	Parent     string             `json:"parent_run_id,omitempty"`
	Name       string             `json:"run_name"`
	Experiment string             `json:"experiment_id"`
	Status     string             `json:"status"`
	Stage      string             `json:"lifecycle_stage"`
	User       string             `json:"user_id"`
	Start      int64              `json:"start_time"` // ms since 1970
	End        int64              `json:"end_time"`   // ms since 1970; 0 = none
	Params     map[string]string  `json:"params"`
	Tags       map[string]string  `json:"tags"`
	Metrics    map[string][]Point `json:"metrics"`
	Artifacts  []string           `json:"artifacts"` // paths below artifacts/<run id>
}

// Point is a point of a metric, in the order in which MLflow gives them.
type Point struct {
	Value     mlflow.Number `json:"value"`
	Timestamp int64         `json:"timestamp"` // ms since 1970
	Step      int64         `json:"step"`
}

// File is a file of the manifest.
type File struct {
	Path   string `json:"path"` // relative to the directory, with slashes
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Manifest is manifest.json.
type Manifest struct {
	Job      string    `json:"job"`
	RunID    string    `json:"run_id"`
	Server   string    `json:"server"`
	MLflow   string    `json:"mlflow_version"`
	Exported time.Time `json:"exported_at"`
	Runs     int       `json:"runs"`
	Traces   []string  `json:"traces"`
	Files    []File    `json:"files"` // all but the manifest, by path
}

// ErrNotEmpty says that there is something where the export shall go.
var ErrNotEmpty = errors.New("is not empty")

// Write exports the job whose run is given. The directory is made; if it is there it must be empty.
func Write(ctx context.Context, c *mlflow.Client, job mlflow.Run, dir string, now time.Time) (*Manifest, error) {
	root, err := prepare(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	w := &writer{client: c, root: root}
	m := &Manifest{Job: job.Param("job_id"), RunID: job.Info.ID, Server: c.Endpoint(), Exported: now.UTC(), Traces: []string{}}
	if m.MLflow, err = c.Version(ctx); err != nil {
		return nil, fmt.Errorf("read version: %w", err)
	}
	tree, err := w.tree(ctx, job)
	if err != nil {
		return nil, err
	}
	runs := make([]Run, len(tree))
	for i, run := range tree {
		if runs[i], err = w.run(ctx, run); err != nil {
			return nil, err
		}
	}
	m.Runs = len(runs)
	if err := w.json("runs.json", runs); err != nil {
		return nil, err
	}
	if m.Traces, err = w.traces(ctx, job); err != nil {
		return nil, err
	}
	m.Files = w.files
	slices.SortFunc(m.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return m, w.json("manifest.json", m)
}

// prepare opens an empty directory, which it makes if need be.
func prepare(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read directory: %w", err)
	}
	if len(there) > 0 {
		return nil, fmt.Errorf("%s %w (it holds %s): name a directory that is not there yet", dir, ErrNotEmpty, there[0].Name())
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	return root, nil
}

type writer struct {
	client *mlflow.Client
	root   *os.Root
	files  []File
}

// tree gives a run and all below it, parents before children.
func (w *writer) tree(ctx context.Context, job mlflow.Run) ([]mlflow.Run, error) {
	all := []mlflow.Run{job}
	seen := map[string]bool{job.Info.ID: true}
	for i := 0; i < len(all); i++ {
		in := mlflow.SearchRuns{
			ExperimentIDs: []string{job.Info.ExperimentID}, MaxResults: 1000,
			Filter: "tags.`" + mlflow.TagParentRun + "` = '" + all[i].Info.ID + "'", OrderBy: []string{"attributes.start_time ASC"},
		}
		for {
			runs, next, err := w.client.SearchRuns(ctx, in)
			if err != nil {
				return nil, fmt.Errorf("search nested runs: %w", err)
			}
			for _, run := range runs {
				if !seen[run.Info.ID] { // a run may be tagged as its own parent
					seen[run.Info.ID] = true
					all = append(all, run)
				}
			}
			if in.PageToken = next; next == "" {
				break
			}
		}
	}
	return all, nil
}

func (w *writer) run(ctx context.Context, run mlflow.Run) (Run, error) {
	out := Run{
		ID: run.Info.ID, Parent: run.Tag(mlflow.TagParentRun), Name: run.Info.Name, Experiment: run.Info.ExperimentID, Status: run.Info.Status,
		Stage: run.Info.Stage, User: run.Info.UserID, Start: run.Info.StartTime, End: run.Info.EndTime,
		Params: map[string]string{}, Tags: map[string]string{}, Metrics: map[string][]Point{}, Artifacts: []string{},
	}
	for _, p := range run.Data.Params {
		out.Params[p.Key] = p.Value
	}
	for _, t := range run.Data.Tags {
		out.Tags[t.Key] = t.Value
	}
	for _, m := range run.Data.Metrics {
		history, err := w.client.MetricHistory(ctx, run.Info.ID, m.Key)
		if err != nil {
			return out, fmt.Errorf("read metric %s of run %s: %w", m.Key, run.Info.ID, err)
		}
		for _, p := range history {
			out.Metrics[m.Key] = append(out.Metrics[m.Key], Point{p.Value, p.Timestamp, p.Step})
		}
	}
	err := w.artifacts(ctx, run.Info.ID, "", &out.Artifacts)
	slices.Sort(out.Artifacts)
	return out, err
}

func (w *writer) artifacts(ctx context.Context, runID, dir string, paths *[]string) error {
	files, err := w.client.ListArtifacts(ctx, runID, dir)
	if err != nil {
		return fmt.Errorf("list artifacts of run %s: %w", runID, err)
	}
	for _, f := range files {
		if !filepath.IsLocal(filepath.FromSlash(f.Path)) {
			return fmt.Errorf("artifact %q of run %s would lie outside of the directory", f.Path, runID)
		}
		if f.IsDir {
			if f.Path == dir {
				continue
			}
			if err := w.artifacts(ctx, runID, f.Path, paths); err != nil {
				return err
			}
			continue
		}
		err := w.write(path.Join("artifacts", runID, f.Path), func(to io.Writer) error { return w.client.DownloadArtifact(ctx, runID, f.Path, to) })
		if err != nil {
			return err
		}
		*paths = append(*paths, f.Path)
	}
	return nil
}

// traces writes the traces that belong to the job's run.
func (w *writer) traces(ctx context.Context, job mlflow.Run) ([]string, error) {
	ids := []string{}
	in := mlflow.SearchTraces{ExperimentIDs: []string{job.Info.ExperimentID}, Filter: "run_id = '" + job.Info.ID + "'", MaxResults: 500}
	for {
		found, next, err := w.client.SearchTraces(ctx, in)
		var e *mlflow.Error
		if errors.As(err, &e) && e.NoRoute() { // MLflow 2 has no such traces
			return ids, nil
		}
		if err != nil {
			return nil, fmt.Errorf("search traces: %w", err)
		}
		for _, t := range found {
			ids = append(ids, t.TraceID)
		}
		if in.PageToken = next; next == "" {
			break
		}
	}
	// One that is not complete yet is not linked to its run.
	if key := "tr-" + job.Tag(wire.TagKey); len(key) > 3 && !slices.Contains(ids, key) {
		_, err := w.client.GetTraceInfo(ctx, key)
		if err == nil {
			ids = append(ids, key)
		} else if !mlflow.IsCode(err, mlflow.CodeNotFound) {
			return nil, fmt.Errorf("read trace: %w", err)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		if strings.ContainsAny(id, `/\`) {
			return nil, fmt.Errorf("trace id %q is no file name", id)
		}
		text, err := w.client.GetTraceJSON(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("read trace %s: %w", id, err)
		}
		if err := w.json("traces/"+id+".json", text); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

func (w *writer) json(name string, v any) error {
	return w.write(name, func(to io.Writer) error {
		e := json.NewEncoder(to)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(v)
	})
}

// write makes a file and notes its size and hash.
func (w *writer) write(name string, fill func(io.Writer) error) error {
	local := filepath.FromSlash(name)
	if err := w.root.MkdirAll(filepath.Dir(local), 0o750); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	f, err := w.root.OpenFile(local, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	hash, size := sha256.New(), counter(0)
	err = fill(io.MultiWriter(f, hash, &size))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	w.files = append(w.files, File{Path: name, Size: int64(size), SHA256: hex.EncodeToString(hash.Sum(nil))})
	return nil
}

// counter counts what is written to it, in bytes.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}
