package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/evaluation/reports"
	"github.com/technoshare/commentator/internal/evaluation/scorers"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/telemetry"
)

// evalDrain is how long eval run waits at its end for the Collector to take what is left.
const evalDrain = 10 * time.Second

type evalRunCommand struct {
	Dataset     string   `help:"The dataset; evidence is in eval/evidence beside it. Default: eval_dataset.json in DATA_DIR." placeholder:"FILE"`
	ID          []string `help:"Only these examples." sep:","`
	Tag         []string `help:"Only examples with one of these tags." sep:","`
	Repetitions int      `default:"1" help:"How often each example is tried."`
	Parallel    int      `default:"4" help:"Tries at one time."`
	Scorer      []string `help:"Only these scorers, and judge, which is applied only when it is named." sep:","`

	Analyser string `enum:"auto,offline,live" default:"auto" help:"What makes the comments: offline (sentences of the page), live (the model server of OPENAI_API_KEY), auto (live with a key, else offline)."`
	Cassette string `help:"Take the models' answers from a file; one that it lacks is an error. Needs no key and no network." placeholder:"FILE"`
	Record   string `help:"Ask the model server and record its answers in a file." placeholder:"FILE"`
	Retries  int    `default:"2" help:"How often a model is asked again that could not be heard."`

	Resume     bool    `help:"Go on with the evaluation that was interrupted last."`
	MaxCost    float64 `help:"Stop before all tries together cost more than this, in USD." placeholder:"USD"`
	MaxLatency float64 `help:"Let a try fail whose stages take longer, in seconds." placeholder:"SECONDS"`
	MaxTryCost float64 `help:"Let a try fail that costs more, in USD." placeholder:"USD"`
	Prices     string  `help:"Prices of models in the form of the exporter's prices_file, over the built-in ones." placeholder:"FILE"`
	JudgeModel string  `help:"Model of the scorer judge. Default: MODEL_STAGE_B." placeholder:"MODEL"`
	Threshold  float64 `default:"1" help:"Share of examples that must pass."`
	Out        string  `default:"eval_results.json" help:"Where the results go; empty: nowhere but the database." placeholder:"FILE"`
	JSON       bool    `name:"json" help:"Print the results as JSON."`
	Quiet      bool    `help:"Show no progress."`
}

// Help is shown below the flags.
func (evalRunCommand) Help() string {
	return `Scorers: schema_validity, tldr_sentence_count, summary_sentence_count, slack_formatting, projects_theme_prefix, expected_theme, facts_supported, gates; latency and cost are only measured unless they have limits; judge asks a model and keeps its verdicts.

An example passes when each of its tries passes. Tries that met an error of infrastructure say nothing and are left out.

Exit code: 0 when enough examples pass, 1 when too few do, 2 when too little is known to tell, 3 when it could not be carried out.`
}

// Run makes an evaluation.
func (c *evalRunCommand) Run(ctx context.Context, a *app) (err error) {
	defer func() { err = impossible(err) }()
	if err := c.check(); err != nil {
		return err
	}
	parts, err := c.prepare(ctx, a)
	if err != nil {
		return err
	}
	defer func() { err = closed(err, parts.close(ctx)) }()
	begun, err := c.begin(ctx, a, parts)
	if err != nil {
		return err
	}
	parts.progress = newProgress(c.progressTo(a))
	parts.config.Progress = parts.progress.show
	res, err := evaluation.Run(ctx, parts.config, begun)
	parts.progress.end()
	if err != nil {
		return c.interrupted(ctx, parts.config, err)
	}
	return c.finish(a, res)
}

// finish saves and prints the results. They may be dear: what cannot be written is printed all the same.
func (c *evalRunCommand) finish(a *app, res *evaluation.Results) error {
	var saving error
	if c.Out != "" {
		if err := res.Save(c.Out); err != nil {
			saving = fmt.Errorf("%w\nThe results are kept in %s as evaluation %s", err, a.cfg.EvalDBPath, res.ID)
		}
	}
	if err := errors.Join(saving, c.print(a, res)); err != nil {
		return err
	}
	return c.verdict(a.stderr, res)
}

func (c *evalRunCommand) check() error {
	var errs []error
	bad := func(ok bool, text string) {
		if !ok {
			errs = append(errs, errors.New(text))
		}
	}
	bad(c.Repetitions >= 1, "--repetitions must be 1 or more")
	bad(c.Parallel >= 1, "--parallel must be 1 or more")
	bad(c.Retries >= 0, "--retries must be 0 or more")
	bad(c.MaxCost >= 0 && c.MaxLatency >= 0 && c.MaxTryCost >= 0, "--max-cost, --max-latency and --max-try-cost must be above 0")
	bad(c.Threshold >= 0 && c.Threshold <= 1, "--threshold must be between 0 and 1")
	bad(c.Cassette == "" || c.Record == "", "--cassette gives back what --record recorded: name one of them")
	bad(c.Cassette == "" || c.Analyser == "auto", "--cassette says already what makes the comments: leave --analyser out")
	bad(c.Record == "" || c.Analyser != "offline", "--record needs a model server: leave --analyser offline out")
	bad(c.Analyser != evaluation.AnalyserOffline || !slices.Contains(c.Scorer, scorers.Judge), "--scorer judge asks a model: leave --analyser offline out")
	return errors.Join(errs...)
}

// begin notes a new evaluation, or finds the one that is to be gone on with.
func (c *evalRunCommand) begin(ctx context.Context, a *app, p *evalParts) (evaluation.Begun, error) {
	old, there, err := p.store.Unfinished(ctx)
	if err != nil {
		return old, err
	}
	if c.Resume {
		if !there {
			return old, fmt.Errorf("there is no interrupted evaluation in %s; leave --resume out", a.cfg.EvalDBPath)
		}
		if diff := old.Spec.Differences(p.spec); len(diff) > 0 {
			return old, fmt.Errorf("evaluation %s cannot be gone on with, since it was begun with other settings: %s; give it the same, or leave --resume out", old.ID, strings.Join(diff, "; "))
		}
		return old, nil
	}
	if there && !c.Quiet && len(old.Spec.Differences(p.spec)) == 0 {
		fmt.Fprintf(a.stderr, "Evaluation %s of the same settings was interrupted; --resume goes on with it. A new one begins.\n", old.ID)
	}
	b := evaluation.Begun{ID: uuid.NewString(), Spec: p.spec, StartedAt: time.Now().UTC().Truncate(time.Microsecond)}
	return b, p.store.Begin(ctx, b)
}

// interrupted says how to go on. What a cassette lacks it lacks the next time too.
func (c *evalRunCommand) interrupted(ctx context.Context, cfg evaluation.Config, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted; go on with --resume")
	}
	if cfg.Fatal != nil && cfg.Fatal() != nil {
		return err
	}
	return fmt.Errorf("%w\nWhat was done is kept; --resume goes on with it", err)
}

// print shows the results.
func (c *evalRunCommand) print(a *app, res *evaluation.Results) error {
	if c.JSON {
		return plainjson.Lines(a.stdout).Encode(res)
	}
	s := res.Summary()
	for _, t := range res.Tries {
		if t.Passed {
			continue
		}
		fmt.Fprintf(a.stdout, "%s, repetition %d: %s\n", t.Example, t.Repetition, reports.Printable(a.redactor.Text(whyNot(res, t))))
	}
	fmt.Fprintf(a.stdout, "\nevaluation %s\n", res.ID)
	fmt.Fprintf(a.stdout, "dataset %s, version %s, hash %.12s\n", res.Dataset.Name, res.Dataset.Version, res.Dataset.Hash)
	fmt.Fprintf(a.stdout, "total %d, passed %d, failed %d, unknown %d, pass rate %.3f\n", s.Total, s.Passed, s.Failed, s.Unknown, s.PassRate)
	_, err := fmt.Fprintf(a.stdout, "%s in %.1f s, %.4f USD%s\n", counted.Form(len(res.Tries), "try", "tries"), res.EndedAt.Sub(res.StartedAt).Seconds(), s.CostUSD, unknownCosts(s))
	return err
}

func unknownCosts(s evaluation.Summary) string {
	if s.CostUnknown == 0 {
		return ""
	}
	return fmt.Sprintf(" and what %s cost whose model has no price", counted.Form(s.CostUnknown, "try", "tries"))
}

// whyNot says why a try does not pass.
func whyNot(res *evaluation.Results, t evaluation.Try) string {
	if t.Error != evaluation.ErrorNone {
		return fmt.Sprintf("%s: %s", t.Error, t.Message)
	}
	required := map[string]bool{}
	for _, s := range res.Scorers {
		required[s.Name] = s.Required
	}
	var why []string
	for _, s := range t.Scores {
		if required[s.Name] && !s.Pass {
			why = append(why, s.Name+": "+s.Reason)
		}
	}
	return strings.Join(why, " ")
}

// verdict turns the results into an exit code. What is not known may be good or bad: only when
// both lead to the same end there is one.
func (c *evalRunCommand) verdict(stderr io.Writer, res *evaluation.Results) error {
	s := res.Summary()
	total := float64(max(1, s.Total))
	worst, best := float64(s.Passed)/total, float64(s.Passed+s.Unknown)/total
	switch {
	case worst >= c.Threshold && s.Passed+s.Failed > 0:
		return nil
	case best < c.Threshold:
		return evalEnd{code: exitEvalFailed}
	}
	why := fmt.Sprintf("of %s nothing is known", counted.Of(s.Unknown, "example"))
	if s.InfrastructureErrors > 0 {
		why += fmt.Sprintf("; %s met an error of infrastructure", counted.Form(s.InfrastructureErrors, "try", "tries"))
	}
	if res.Stopped != "" {
		why += "; it was ended by " + res.Stopped
	}
	fmt.Fprintf(stderr, "inconclusive: %s\n", why)
	return evalEnd{code: exitEvalInconclusive}
}

// datasetPath is where the dataset is.
func (c *evalRunCommand) datasetPath(a *app) string {
	if c.Dataset != "" {
		return c.Dataset
	}
	return filepath.Join(a.cfg.DataDir, evalDatasetFile)
}

// evalDatasetFile is the name of the dataset in DATA_DIR.
const evalDatasetFile = "eval_dataset.json"

// progressTo is where progress is shown.
func (c *evalRunCommand) progressTo(a *app) io.Writer {
	if c.Quiet {
		return io.Discard
	}
	return a.stderr
}

// close ends the parts. What the Collector does not take in time stays in the database.
func (p *evalParts) close(ctx context.Context) error {
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), evalDrain)
	defer cancel()
	err := p.telemetry.Shutdown(drain)
	if left, _, _, depthErr := p.store.Depth(context.WithoutCancel(ctx)); depthErr == nil && left > 0 && p.telemetry != nil {
		p.app.log.WarnContext(ctx, "the Collector did not take everything in time; the rest is sent by the next evaluation", "messages", left)
	}
	if refused, reason, refusedErr := p.store.Refused(context.WithoutCancel(ctx)); refusedErr == nil && refused > 0 {
		p.app.log.WarnContext(ctx, "the Collector refused telemetry of evaluations; the next evaluation sends it once more", "messages", refused, "reason", reason)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // it was said
	}
	if p.cassette != nil {
		err = errors.Join(err, p.cassette.Close())
	}
	return errors.Join(err, p.store.Close())
}

// startTelemetry starts what the mode asks for.
func (p *evalParts) startTelemetry(ctx context.Context) error {
	settings, err := p.app.telemetryConfig()
	if err != nil {
		return err
	}
	settings.Evaluation, settings.StoreID, settings.Experiment = true, p.store.ID(), p.app.cfg.EvalExperiment
	settings.SamplingFile, settings.Remote = "", nil
	p.telemetry, err = telemetry.New(ctx, settings, p.store)
	return err
}
