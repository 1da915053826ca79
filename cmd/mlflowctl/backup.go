package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/backup"
	"github.com/technoshare/commentator/internal/bytesize"
	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/plainjson"
)

type backupCmd struct {
	Create backupCreateCmd `cmd:"" default:"withargs" help:"Make a backup while everything runs, and check it (default)."`
	List   backupListCmd   `cmd:"" help:"List the backups in a folder."`
	Verify backupVerifyCmd `cmd:"" help:"Read a whole backup and compare it with its manifest."`
}

type backupCreateCmd struct {
	To      string   `help:"Folder of backups; each becomes a folder in it, named by its time. Default ./backups." default:"./backups" placeholder:"DIR"`
	Keep    int      `help:"Remove the oldest backups afterwards, so that this many stay; 0: remove none." default:"0" placeholder:"N"`
	Store   string   `name:"mlflow-store" help:"MLflow's database; default MLFLOW_BACKEND_STORE, else sqlite:///mlflow.db." placeholder:"URI"`
	Root    string   `name:"artifacts" help:"MLflow's artifacts; default MLFLOW_ARTIFACT_ROOT, else ./mlartifacts." placeholder:"DIR"`
	Without []string `help:"Parts to leave out: jobs, mlflow, artifacts, evaluations." enum:"jobs,mlflow,artifacts,evaluations" placeholder:"PART,…"`
	Include []string `help:"Further file to copy, such as the env file of the systemd unit; with - before it, it may be absent (--include=-FILE)." sep:"none" placeholder:"FILE"`
	DryRun  bool     `help:"Say whether a backup can be made, and make none."`
	JSON    bool     `name:"json" help:"Print one JSON object."`
}

// Help is what --help says below the first line.
func (backupCreateCmd) Help() string {
	return `Copied are the job database (DB_PATH), that of evaluations (EVAL_DB_PATH), MLflow's database and artifacts, prompts, themes,
rules and the evaluations' dataset of DATA_DIR, .env and the profile, the sampling and the redaction file, and what MLflow
refused for good. Relative paths are relative to this
folder, in which the programs are started. All files get the mode 0600: .env holds secrets.

The databases are copied as of one moment each, by SQLite's online backup; nothing has to be stopped. PostgreSQL and
buckets are refused: copy those with their own tools and leave them out here. Files that did not change since the
backup before are hard links to its files. The Collector's queue is not needed: what is in it is in the job database too.`
}

type backupListCmd struct {
	To   string `help:"Folder of backups. Default ./backups." default:"./backups" placeholder:"DIR"`
	JSON bool   `name:"json" help:"Print one JSON object a backup."`
}

type backupVerifyCmd struct {
	Dir  string `arg:"" help:"A backup: a folder with a manifest.json."`
	JSON bool   `name:"json" help:"Print one JSON object."`
}

// backedUp is what `mlflowctl backup --json` prints of a backup; the names are a contract.
type backedUp struct {
	Dir        string        `json:"dir"`
	StartedAt  time.Time     `json:"started_at,omitzero"`
	FinishedAt time.Time     `json:"finished_at,omitzero"`
	StoreID    string        `json:"store_id,omitempty"`
	Counts     backup.Counts `json:"counts"`
	Warnings   []string      `json:"warnings,omitempty"`
	Removed    []string      `json:"removed,omitempty"`  // older backups
	Problems   []string      `json:"problems,omitempty"` // what is wrong with it
}

func describe(dir string, m backup.Manifest) backedUp {
	b := backedUp{Dir: dir, StartedAt: m.StartedAt, FinishedAt: m.FinishedAt, Counts: m.Counts, Warnings: m.Warnings}
	if m.Jobs != nil {
		b.StoreID = m.Jobs.StoreID
	}
	return b
}

// Run makes a backup.
func (c *backupCreateCmd) Run(env environment) error {
	if c.Keep < 0 {
		return verdict{exitUsage, "--keep must not be below 0"}
	}
	cfg := backup.CreateConfig{
		Source: c.source(env), To: env.path(c.To), Keep: c.Keep, HasFiles: env.hasFiles, Program: "mlflowctl " + version, Now: time.Now,
	}
	if c.DryRun {
		return c.check(env, cfg)
	}
	made, err := backup.Create(env.ctx, cfg)
	if err != nil {
		return err
	}
	out := describe(made.Dir, made.Manifest)
	out.Removed = made.Removed
	if c.JSON {
		return plainjson.Lines(env.stdout).Encode(out)
	}
	for _, w := range out.Warnings {
		fmt.Fprintln(env.stderr, "warning:", w)
	}
	m := made.Manifest
	fmt.Fprintf(env.stdout, "backup    %s, made and checked in %s\n", out.Dir, out.FinishedAt.Sub(out.StartedAt).Round(time.Millisecond))
	fmt.Fprintf(env.stdout, "holds     %s\n", figures(out.Counts))
	if n := len(m.Secrets); n > 0 {
		verb := "holds"
		if n > 1 {
			verb = "hold"
		}
		fmt.Fprintf(env.stdout, "secrets   %s %s secrets; all files have the mode 0600, keep it so\n", strings.Join(m.Secrets, ", "), verb)
	}
	if len(m.Environment) > 0 {
		fmt.Fprintf(env.stdout, "not here  %s: settings of the environment, which are in no file\n", strings.Join(m.Environment, ", "))
	}
	for _, dir := range out.Removed {
		fmt.Fprintf(env.stdout, "removed   %s\n", dir)
	}
	return nil
}

// backupCheck is what `mlflowctl backup --dry-run --json` prints; the names are a contract.
type backupCheck struct {
	To       string   `json:"to"`
	Warnings []string `json:"warnings,omitempty"`
}

// check says whether a backup can be made.
func (c *backupCreateCmd) check(env environment, cfg backup.CreateConfig) error {
	warnings, err := backup.Check(env.ctx, cfg)
	if err != nil {
		return err
	}
	if c.JSON {
		return plainjson.Lines(env.stdout).Encode(backupCheck{To: cfg.To, Warnings: warnings})
	}
	for _, w := range warnings {
		fmt.Fprintln(env.stderr, "warning:", w)
	}
	fmt.Fprintf(env.stdout, "would make a backup in %s\n", c.To)
	return nil
}

// hasFiles asks MLflow whether it keeps files of a run.
func (env environment) hasFiles(ctx context.Context, run string) (bool, error) {
	files, err := env.client.ListArtifacts(ctx, run, "")
	return len(files) > 0, err
}

// source is the deployment that the settings describe.
func (c *backupCreateCmd) source(env environment) backup.Source {
	s := backup.Source{
		Dir: env.dir, JobDatabase: env.config.Database(), Evaluations: env.config.EvalDBPath, DataDir: env.config.DataDir, Profile: env.config.Profile,
		SamplingFile: env.config.SamplingPath(), BaselineFile: env.config.BaselinePath(), RedactionFile: env.config.RedactionFile, Include: c.Include, Without: c.Without,
	}
	for _, setting := range env.config.Settings {
		if setting.Source == config.FromEnvironment {
			s.Environment = append(s.Environment, setting.Name)
		}
	}
	s.Store, s.ArtifactRoot = cmp.Or(c.Store, env.config.BackendStore), cmp.Or(c.Root, env.config.ArtifactRoot)
	s.CollectorDir = env.collector().DataDir
	return s
}

// path is a path that a person gave, relative to the folder that the program was started in.
func (env environment) path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(env.dir, path)
}

func figures(c backup.Counts) string {
	s := fmt.Sprintf("%s, %s, %s, %s; %s, %s", counted.Of(c.Jobs, "job"), counted.Of(c.Runs, "run"), counted.Of(c.Traces, "trace"), counted.Of(c.Artifacts, "artifact"), counted.Of(c.Files, "file"), bytesize.Format(c.Bytes))
	if c.Linked > 0 {
		s += fmt.Sprintf(", %d of them shared with the backup before", c.Linked)
	}
	return s
}

// Run lists backups.
func (c *backupListCmd) Run(env environment) error {
	all, err := backup.List(env.path(c.To))
	if err != nil {
		return err
	}
	if len(all) == 0 && !c.JSON {
		fmt.Fprintf(env.stdout, "There are no backups in %s.\n", c.To)
	}
	for _, l := range all {
		out := describe(l.Dir, l.Manifest)
		if l.Err != nil {
			out.Problems = []string{l.Err.Error()}
		}
		switch {
		case c.JSON:
			if err := plainjson.Lines(env.stdout).Encode(out); err != nil {
				return err
			}
		case l.Err != nil:
			fmt.Fprintf(env.stdout, "%s  damaged: %v\n", l.Dir, l.Err)
		default:
			fmt.Fprintf(env.stdout, "%s  %s\n", l.Dir, figures(out.Counts))
		}
	}
	return nil
}

// Run checks a backup.
func (c *backupVerifyCmd) Run(env environment) error {
	dir := env.path(c.Dir)
	checked, err := backup.Verify(env.ctx, dir)
	if err != nil {
		return notABackup(dir, err)
	}
	m, err := backup.ReadManifest(dir)
	if err != nil {
		return err
	}
	out := describe(dir, m)
	out.Counts, out.Problems = checked.Counts, checked.Problems
	if c.JSON {
		if err := plainjson.Lines(env.stdout).Encode(out); err != nil {
			return err
		}
	} else if len(out.Problems) == 0 {
		fmt.Fprintf(env.stdout, "%s is as it was made on %s: %s\n", dir, m.StartedAt.Format(time.RFC3339), figures(out.Counts))
	}
	if len(out.Problems) == 0 {
		return nil
	}
	if c.JSON {
		return verdict{code: exitFailed}
	}
	return verdict{exitFailed, fmt.Sprintf("%s is not as it was made:\n  %s", dir, strings.Join(out.Problems, "\n  "))}
}

// notABackup names the folder that was meant, if the one of all backups was given.
func notABackup(dir string, err error) error {
	if _, statErr := os.Stat(dir); errors.Is(statErr, fs.ErrNotExist) {
		return fmt.Errorf("there is no folder %s", dir)
	}
	if all, _ := backup.List(dir); errors.Is(err, backup.ErrNoBackup) && len(all) > 0 {
		return fmt.Errorf("%s is a folder of backups; name one of them, the newest is %s", dir, all[len(all)-1].Dir)
	}
	return err
}
