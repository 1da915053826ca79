package main

import (
	"fmt"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/prompts"
)

type promptsPromoteCmd struct {
	promptFiles `embed:""`
	From        string `default:"candidate" help:"Alias, or number of a version, that is promoted."`
	To          string `default:"prod" enum:"prod,staging" help:"Alias that it gets: prod or staging. Staging needs no verdict."`
	Verdict     string `placeholder:"FILE" help:"verdict.json of \"commentator eval gate --out DIR\" about these very texts."`
	Force       bool   `help:"Without a verdict, or in spite of it. The version is tagged as promoted by force."`
}

// Help is shown below the flags.
func (promptsPromoteCmd) Help() string {
	return "What prod is afterwards has to be what was evaluated: the texts are compared by their hashes.\n\nExit code: 0; 1 when the verdict does not permit it, or it could not be done; 2 for wrong usage."
}

// Run checks everything before it changes anything.
func (c *promptsPromoteCmd) Run(env environment) error {
	_, names, err := c.read(env)
	if err != nil {
		return err
	}
	listed, err := env.registered(names)
	if err != nil {
		return err
	}
	plan, err := prompts.Plan(listed, c.From, c.To)
	if err != nil {
		return err
	}
	note, err := c.permit(env, plan)
	if err != nil {
		return err
	}
	for _, p := range plan {
		if !p.Needed() {
			fmt.Fprintf(env.stdout, "%s  version %s is %s already\n", p.Name, p.From.Version, c.To)
			continue
		}
		if err := prompts.Carry(env.ctx, env.client, p, c.To, note); err != nil {
			return err
		}
		before := "there was none"
		if p.Old != "" {
			before = "it was version " + p.Old
		}
		fmt.Fprintf(env.stdout, "%s  version %s  %.12s  is %s now; %s\n", p.Name, p.From.Version, p.From.SHA256, c.To, before)
	}
	return nil
}

// permit returns what is noted at the versions.
func (c *promptsPromoteCmd) permit(env environment, plan []prompts.Promotion) (note mlflow.KeyValue, err error) {
	if c.To != prompts.Prod {
		return note, nil
	}
	forced := mlflow.KeyValue{Key: prompts.TagForced, Value: "true"}
	if c.Verdict == "" {
		if c.Force {
			return forced, nil
		}
		return note, verdict{exitFailed, "promoting to prod needs --verdict FILE with a PASS of `commentator eval gate`, or --force"}
	}
	r, err := prompts.ReadVerdict(c.Verdict)
	if err != nil {
		return note, err
	}
	planned := map[string]bool{}
	for _, p := range plan {
		planned[p.Name] = true
	}
	others := map[string]string{}
	for _, p := range r.Cand.Prompts {
		if planned[p.Name] {
			continue
		}
		l, err := prompts.Read(env.ctx, env.client, p.Name)
		if err != nil {
			return note, err
		}
		if v, ok := l.At(prompts.Prod); ok {
			others[p.Name] = v.SHA256
		}
	}
	if err := prompts.Permit(r, plan, others); err != nil {
		if c.Force {
			fmt.Fprintln(env.stderr, "warning: promoted by force:", err)
			return forced, nil
		}
		return note, verdict{exitFailed, fmt.Sprintf("not promoted: %v", err)}
	}
	return mlflow.KeyValue{Key: prompts.TagEvaluation, Value: r.Cand.EvaluationID}, nil
}
