// Command mlflowctl is for operators: it does what needs MLflow's API and nothing else.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/negative"
	"github.com/technoshare/commentator/internal/redact"
)

// Set by the linker, see the Makefile.
var (
	version  = "dev"
	revision = ""
)

// Exit codes.
const (
	exitFailed = 1 // what was asked for could not be done
	exitUsage  = 2 // the command line or a setting is wrong
)

type cli struct {
	TrackingURI string           `help:"MLflow's address; default MLFLOW_TRACKING_URI from the environment or .env." placeholder:"URL"`
	Experiment  string           `help:"Experiment to look in; default MLFLOW_EXPERIMENT_NAME, else all of them. Its Prompts tab lists what prompts push brings." placeholder:"NAME"`
	Version     kong.VersionFlag `help:"Print the version and exit."`

	Doctor  doctorCmd  `cmd:"" help:"Look for what keeps worker, Collector, MLflow, Slack and model from working together."`
	Open    openCmd    `cmd:"" help:"Print the addresses of a job's run and trace in the MLflow UI."`
	Export  exportCmd  `cmd:"" help:"Write a job's runs, artifacts and traces into a directory."`
	Backup  backupCmd  `cmd:"" help:"Back up job database, MLflow, artifacts, prompts and settings; list and verify backups."`
	Restore restoreCmd `cmd:"" help:"Put a backup into an empty folder, and prove that all of it is there."`

	Rollback rollbackCmd `cmd:"" help:"Remove MLflow and its settings from this deployment; scripts/rollback.sh calls it."`

	Reconcile reconcileCmd `cmd:"" help:"Compare the jobs of the job database with what MLflow holds; with --repair, send again what it lacks."`
	Validate  validateCmd  `cmd:"" help:"Let test jobs run on the real way into MLflow, and show that they are recorded and not slower."`

	Dataset datasetCmd `cmd:"" help:"Make MLflow's evaluation datasets hold what is in git."`
	Prompts promptsCmd `cmd:"" help:"Keep the prompts in data/prompts and MLflow's registry in step."`

	Retention retentionCmd `cmd:"" help:"Remove runs, traces and artifacts that were kept for long enough, and what has no owner any more."`
}

// environment is what a command needs from outside.
type environment struct {
	ctx        context.Context
	stdout     io.Writer
	stderr     io.Writer
	dir        string // whose .env was read
	environ    []string
	config     config.Config
	client     *mlflow.Client
	ui         string
	experiment string // empty: all

	// What doctor looks at.
	warnings []config.Warning // of the settings
	problem  error            // with the settings; other commands do not begin with one
	given    string           // --experiment
}

// verdict is the error of a command that was carried out and says no: it ends the program
// with a code of its own. Its text, if any, goes to stderr.
type verdict struct {
	code int
	text string
}

func (v verdict) Error() string { return v.text }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(ctx, os.Args[1:], os.Environ(), ".", os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// masks keeps out of errors what looks like a secret: they quote addresses, which may have a token in
// their query.
var masks = redact.New(nil)

// run is main with everything from outside passed in: arguments, environment, the folder
// whose .env is read, and where to print. It returns the exit code.
func run(ctx context.Context, args, environ []string, dir string, stdout, stderr io.Writer) int {
	var c cli
	exited := -1
	say := func(text string) { fmt.Fprintln(stderr, "mlflowctl:", masks.Text(text)) }
	parser, err := kong.New(&c, kong.Name("mlflowctl"), kong.Description("Operate what the commentator keeps in MLflow."),
		kong.Vars{"version": version + " " + revision}, kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }), kong.UsageOnError())
	if err != nil {
		say(err.Error())
		return exitFailed
	}
	parsed, err := parser.Parse(negative.Join(parser.Model, args))
	if exited >= 0 {
		return exited // --help, --version
	}
	if err != nil {
		say(err.Error() + "\nTry: mlflowctl --help")
		return exitUsage
	}
	env := environment{ctx: ctx, stdout: stdout, stderr: stderr, dir: dir, environ: environ, given: c.Experiment}
	if err := env.load(c, parsed.Command() == "doctor"); err != nil {
		for problem := range strings.SplitSeq(err.Error(), "\n") {
			say(problem)
		}
		return exitUsage
	}
	if env.client != nil {
		defer env.client.Close()
	}
	err = parsed.Run(env)
	var v verdict
	switch {
	case errors.As(err, &v):
		if v.text != "" {
			say(v.text)
		}
		return v.code
	case err != nil:
		say(explain(err, env.ui))
		return exitFailed
	}
	return 0
}

// load reads the settings and makes the client. Doctor looks at what is wrong with them itself:
// then an error is only kept, and the client is nil when the address is none.
func (env *environment) load(c cli, doctor bool) (err error) {
	env.config, env.warnings, env.problem = config.Load(env.options())
	if !doctor {
		for _, w := range env.warnings {
			fmt.Fprintln(env.stderr, "warning:", w)
		}
		if env.problem != nil {
			return env.problem
		}
	}
	env.experiment = cmp.Or(c.Experiment, env.config.Experiment)
	env.ui = cmp.Or(c.TrackingURI, env.config.TrackingURI)
	env.config.TrackingURI = env.ui
	env.client, err = mlflow.New(mlflow.Config{Endpoint: env.ui, UserAgent: "mlflowctl/" + version})
	if err != nil {
		env.client = nil
		if !doctor || c.TrackingURI != "" {
			return err
		}
		if env.problem == nil { // else it is said already
			env.problem = fmt.Errorf("%s: %w", env.config.At("MLFLOW_TRACKING_URI"), err)
		}
		return nil
	}
	env.ui = env.client.Endpoint() // without credentials
	return nil
}

// options say where the settings are read.
func (env environment) options() config.Options {
	return config.Options{Environ: env.environ, Dir: env.dir}
}

// settings are all variables of the environment and, behind them, of .env.
func (env environment) settings() (map[string]string, error) { return config.Values(env.options()) }

// collector is what the settings say of otelcol-mlflow. That one of its addresses is wrong, which
// need not be the one that a command uses, is doctor's to tell.
func (env environment) collector() config.Collector {
	c, _ := config.LoadCollector(env.options())
	return c
}

// explain adds what to do about an error that says only what happened.
func explain(err error, endpoint string) string {
	var e *mlflow.Error
	if errors.As(err, &e) && e.Status == 0 {
		return fmt.Sprintf("%v\nIs MLflow running on %s? scripts/start_mlflow.sh --status tells; MLFLOW_TRACKING_URI says where it is.", err, endpoint)
	}
	return err.Error()
}
