package main

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/backup"
	"github.com/technoshare/commentator/internal/config"
)

type rollbackCmd struct {
	Backup  string   `help:"The backup that was made after MLflow was stopped." placeholder:"DIR"`
	DryRun  bool     `help:"Say what would be removed, and remove nothing."`
	Store   string   `name:"mlflow-store" help:"As for backup." placeholder:"URI"`
	Root    string   `name:"artifacts" help:"As for backup." placeholder:"DIR"`
	Without []string `help:"As for backup: what is left out there is left alone here." enum:"jobs,mlflow,artifacts,evaluations" placeholder:"PART,…"`
}

// Help is what --help says below the first line.
func (rollbackCmd) Help() string {
	return `scripts/rollback.sh does all of it: it stops MLflow and the Collector, makes the backup and calls this command. Removed are
MLflow's database and artifacts, the Collector's folder, logs, and the MLFLOW_ lines of .env, of which a copy stays beside
it. Nothing is removed that the backup does not hold as it is now. The job database is left alone.`
}

// Run rolls back.
func (c *rollbackCmd) Run(env environment) error {
	if c.Backup == "" && !c.DryRun {
		return verdict{exitUsage, "name the backup that holds what is removed: --backup DIR; scripts/rollback.sh makes one"}
	}
	create := backupCreateCmd{Store: c.Store, Root: c.Root, Without: c.Without}
	source := create.source(env)
	set, err := env.settings()
	if err != nil {
		return err
	}
	// Whoever reaches an MLflow on this host by another name than localhost has it here too.
	if !c.DryRun && (loopback(env.ui) || source.HasStore()) {
		if v, err := env.client.Version(env.ctx); err == nil {
			return verdict{exitFailed, fmt.Sprintf("MLflow %s still answers on %s; stop it first, or name the one of this deployment by --tracking-uri if that is another", v, env.ui)}
		}
	}
	r, err := backup.Rollback(env.ctx, backup.RollbackConfig{
		Source: source, StateDir: cmp.Or(set["MLFLOW_STATE_DIR"], "./.mlflow"), Backup: env.path(c.Backup), DryRun: c.DryRun, Now: time.Now,
	})
	if err != nil {
		return err
	}
	say := func(done, would, format string, args ...any) {
		if c.DryRun {
			done = would
		}
		fmt.Fprintf(env.stdout, "%s %s\n", done, fmt.Sprintf(format, args...))
	}
	for _, path := range r.Removed {
		say("removed", "would remove", "%s", path)
	}
	if len(r.Lines) > 0 {
		say("taken out of .env:", "would take out of .env:", "%s; as it was it is %s", strings.Join(r.Lines, ", "), r.Copy)
	}
	if len(r.Removed)+len(r.Lines) == 0 {
		fmt.Fprintln(env.stdout, "There is nothing of MLflow here.")
	}
	return c.stillOn(env)
}

// loopback reports whether an address is one of this machine.
func loopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// stillOn says when something else than .env switches recording on.
func (c *rollbackCmd) stillOn(env environment) error {
	after, _, err := config.Load(config.Options{Environ: env.environ, Dir: env.dir})
	if err != nil || c.DryRun || !after.EnableTracking {
		return err
	}
	for _, s := range after.Settings {
		if s.Name == "MLFLOW_ENABLE_TRACKING" {
			fmt.Fprintf(env.stderr, "warning: MLFLOW_ENABLE_TRACKING is true still, in %s; take it out there too\n", s.Source)
		}
	}
	return nil
}
