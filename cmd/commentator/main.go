// Command commentator is the worker: Slack messages with links in, comments out.
//
// Exit codes: 0 all went well; 1 it did not, such as a replayed job that ended in another
// way than success or no_urls; 2 the command line, a setting or an input file is wrong. The commands
// below eval have codes of their own, see their help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/negative"
	"github.com/technoshare/commentator/internal/redact"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

type commands struct {
	Replay  replayCommand  `cmd:"" help:"Run the five stages for links, or for a Slack event, and print the comment."`
	Serve   serveCommand   `cmd:"" help:"Take events from Slack and work off the queue until interrupted."`
	Jobs    jobsCommand    `cmd:"" help:"Look at jobs, repeat or cancel them."`
	Slack   slackCommand   `cmd:"" help:"Look at Slack."`
	Tracing tracingCommand `cmd:"" help:"Show or change, while the worker runs, how much of the jobs that start is recorded."`
	Status  statusCommand  `cmd:"" help:"Show whether a worker runs, the jobs, and what of their telemetry waits, was sent or was lost."`
	Outbox  outboxCommand  `cmd:"" help:"Look at telemetry that the Collector refused, and send it again."`
	Redact  redactCommand  `cmd:"" help:"Show what is masked in a text before it is recorded or logged."`
	Migrate migrateCommand `cmd:"" help:"Take over the database of the earlier Python deployment, or write one for going back."`
	Config  configCommand  `cmd:"" help:"Show every setting, where it comes from, and what it leads to."`
	Version versionCommand `cmd:"" help:"Show the version."`

	Eval     evalCommand     `cmd:"" help:"Evaluate comments on a dataset of recorded pages."`
	Feedback feedbackCommand `cmd:"" help:"Look at what people say of comments by their reactions."`
}

// command is one of the above, with its flags parsed.
type command interface {
	Run(ctx context.Context, a *app) error
}

// heapGrowth is how far the heap may grow, in percent, before garbage is collected. The
// worker holds a few megabytes, so that with Go's default it would be collected with every
// other job. GOGC wins.
const heapGrowth = 300

func main() {
	if given := debug.SetGCPercent(heapGrowth); given != 100 {
		debug.SetGCPercent(given)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// run is main with everything passed in.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c commands
	parser, err := kong.New(&c,
		kong.Name("commentator"),
		kong.Description("Comments on links that are shared in Slack. Settings are read from the environment and .env; `commentator config` shows them."),
		kong.Writers(stdout, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		return report(stderr, nil, err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	if err := refuseNegativeShare(args); err != nil {
		return report(stderr, nil, usageError{err})
	}
	parsed, err := parser.Parse(negative.Join(parser.Model, args))
	if err != nil {
		return report(stderr, nil, wrongInput(args, fmt.Errorf("%w\nRun \"commentator --help\" or \"commentator COMMAND --help\"", err)))
	}
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	if _, isVersion := parsed.Selected().Target.Addr().Interface().(*versionCommand); !isVersion {
		a.cfg, a.warnings, a.cfgErr = config.Load(config.Options{Environ: environ, Dir: "."})
		for _, w := range a.warnings {
			fmt.Fprintln(stderr, "warning:", w)
		}
		redactor, warnings, wrong := newRedactor(a.cfg)
		for _, w := range warnings {
			fmt.Fprintln(stderr, "warning:", w)
		}
		a.redactor = redactor
		a.cfgErr = errors.Join(a.cfgErr, wrong)
	}
	a.service = parsed.Command() == "serve"
	end, err := a.openLog()
	if err != nil {
		return report(stderr, a.redactor, wrongInput(args, fmt.Errorf("%s: %w", a.cfg.At("LOG_FILE"), err)))
	}
	defer end()
	if _, isConfig := parsed.Selected().Target.Addr().Interface().(*configCommand); !isConfig && a.cfgErr != nil {
		return report(stderr, a.redactor, wrongInput(args, problems{a.cfgErr}))
	}
	selected, ok := parsed.Selected().Target.Addr().Interface().(command)
	if !ok {
		return report(stderr, a.redactor, fmt.Errorf("command %q has no Run", parsed.Command()))
	}
	err = selected.Run(ctx, a)
	if args[0] != "eval" { // which has a database of its own; promote reads jobs, and says it itself
		err = a.damage(err)
	}
	return report(stderr, a.redactor, err)
}

// usageError is wrong input of the user: a flag, a setting, a file.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// problems joins what is wrong, such as with the settings. Each gets a line.
type problems struct{ error }

func (e problems) Unwrap() error { return e.error }

// wrongInput is an error of the command line or of a setting. The commands below eval have a code of
// their own for it.
func wrongInput(args []string, err error) error {
	if args[0] == "eval" {
		return evalEnd{exitEvalImpossible, err}
	}
	return usageError{err}
}

// errSaid ends with exit code 1 when everything has been said already.
var errSaid = errors.New("said already")

// report says what went wrong. An error may quote a page or a link, so it is masked like the
// log.
func report(stderr io.Writer, r *redact.Redactor, err error) int {
	if err == nil {
		return exitOK
	}
	var end evalEnd
	isEnd := errors.As(err, &end)
	if !errors.Is(err, errSaid) && (!isEnd || end.err != nil) {
		text := r.Text(err.Error())
		if errors.As(err, new(problems)) {
			text = strings.ReplaceAll(text, "\n", "\ncommentator: error: ")
		}
		fmt.Fprintln(stderr, "commentator: error:", text)
	}
	if isEnd {
		return end.code
	}
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}
