package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/technoshare/commentator/internal/backup"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/plainjson"
)

type restoreCmd struct {
	Dir        string `arg:"" help:"A backup: a folder with a manifest.json."`
	Into       string `required:"" help:"Folder that is empty or not there yet." placeholder:"DIR"`
	NewStoreID bool   `name:"new-store-id" help:"Give the job database an identity of its own, for a copy that will work beside the original."`
	JSON       bool   `name:"json" help:"Print one JSON object."`
}

// Help is what --help says below the first line.
func (restoreCmd) Help() string {
	return `The backup is checked, copied, and the copy is compared with it byte by byte. Then the settings in .env that say where
something lies lead into the new folder, and so do MLflow's locations of artifacts that were paths of the original; rows
and integrity of the databases are compared once more. Start the programs in the new folder.`
}

// restored is what `mlflowctl restore --json` prints; the names are a contract.
type restored struct {
	Dir       string        `json:"dir"`
	Into      string        `json:"into"`
	StoreID   string        `json:"store_id,omitempty"`
	Counts    backup.Counts `json:"counts"`            // found there
	Relocated int64         `json:"relocated"`         // locations of artifacts that were paths of the original
	Foreign   []string      `json:"foreign,omitempty"` // folders that such locations name and the backup has not
	Settings  []string      `json:"settings,omitempty"`
	OpenJobs  int64         `json:"open_jobs"`
	Problems  []string      `json:"problems,omitempty"`
}

// Run restores a backup.
func (c *restoreCmd) Run(env environment) error {
	dir := env.path(c.Dir)
	r, err := backup.Restore(env.ctx, backup.RestoreConfig{From: dir, Into: env.path(c.Into), NewStoreID: c.NewStoreID})
	if errors.Is(err, backup.ErrNoBackup) {
		return notABackup(dir, err)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		if err := plainjson.Lines(env.stdout).Encode(restored{
			Dir: dir, Into: r.Into, StoreID: r.StoreID, Counts: r.Checked.Counts, Relocated: r.Relocated,
			Foreign: r.Foreign, Settings: r.Settings, OpenJobs: r.OpenJobs, Problems: r.Checked.Problems,
		}); err != nil {
			return err
		}
	}
	if len(r.Checked.Problems) > 0 {
		return verdict{exitFailed, fmt.Sprintf("%s is not what the backup holds; do not use it:\n  %s", r.Into, strings.Join(r.Checked.Problems, "\n  "))}
	}
	if !c.JSON {
		c.report(env, r)
	}
	return nil
}

func (c *restoreCmd) report(env environment, r backup.Restored) {
	say := func(key, format string, args ...any) {
		fmt.Fprintf(env.stdout, "%-9s %s\n", key, fmt.Sprintf(format, args...))
	}
	say("restored", "%s", r.Into)
	say("equal", "%s; checksums, rows and integrity compared", figures(r.Checked.Counts))
	switch {
	case r.StoreID == "":
	case c.NewStoreID:
		say("store id", "%s, its own", r.StoreID)
	default:
		say("store id", "%s, that of the original: only one of the two may work (else --new-store-id)", r.StoreID)
	}
	if r.Relocated > 0 {
		say("artifacts", "%s the new folder now", counted.Form(r.Relocated, "location in MLflow's database names", "locations in MLflow's database name"))
	}
	for _, folder := range r.Foreign {
		fmt.Fprintf(env.stderr, "warning: MLflow looks for artifacts in %s, which is not in the backup\n", folder)
	}
	for _, line := range r.Settings {
		say("settings", ".env: %s", line)
	}
	if r.OpenJobs > 0 {
		say("jobs", "%d are open; a worker that is started there works them off, and posts to Slack if it has SLACK_BOT_TOKEN", r.OpenJobs)
	}
	if m := r.Manifest; m.MLflow != nil {
		start := "scripts/start_mlflow.sh"
		root := "mlartifacts"
		if len(m.Artifacts) > 0 {
			root = m.Artifacts[0].Path
		}
		if m.MLflow.Path != "mlflow.db" || root != "mlartifacts" {
			start = fmt.Sprintf("MLFLOW_BACKEND_STORE=sqlite:///%s MLFLOW_ARTIFACT_ROOT=./%s %s", m.MLflow.Path, root, start)
		}
		say("start", "in %s: %s", filepath.Clean(r.Into), start)
		say("collector", "start it without its old folder (.otelcol-mlflow): what that remembers is of another MLflow")
	}
}
