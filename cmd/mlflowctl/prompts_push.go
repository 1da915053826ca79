package main

import (
	"fmt"
	"os/exec"
	"strings"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/prompts"
)

type promptsPushCmd struct {
	promptFiles `embed:""`
	Alias       string `default:"candidate" enum:"candidate,staging,none" help:"What the pushed versions are called from then on: candidate, staging or none. Only promote makes prod."`
	Message     string `short:"m" help:"Why, as a commit message."`
	Revision    string `placeholder:"REV" help:"Git revision of the files; default that of the folder, none for copies in the program, with -dirty behind it when the file differs."`
	JSON        bool   `name:"json" help:"Print one JSON object a prompt."`
}

// Run pushes the files.
func (c *promptsPushCmd) Run(env environment) error {
	local, names, builtIn, err := c.readUsed(env)
	if err != nil {
		return err
	}
	push := prompts.Push{Alias: c.Alias, Message: c.Message, Revision: c.revision(env, builtIn)}
	if c.Alias == "none" {
		push.Alias = ""
	}
	if env.experiment != "" {
		e, err := env.client.GetExperimentByName(env.ctx, env.experiment)
		if err != nil && !mlflow.IsCode(err, mlflow.CodeNotFound) {
			return fmt.Errorf("read experiment: %w", err)
		}
		push.ExperimentID = e.ID
	}
	if push.ExperimentID == "" {
		fmt.Fprintln(env.stderr, "note:", unlisted(env.experiment))
	}
	for _, name := range names {
		p, ok := local[name]
		if !ok {
			return missing(name, c.folder(env))
		}
		done, err := push.Do(env.ctx, env.client, p)
		if err != nil {
			return err
		}
		if c.JSON {
			err = plainjson.Lines(env.stdout).Encode(done)
		} else {
			_, err = fmt.Fprintf(env.stdout, "%s  version %s  %.12s  %s\n", name, done.Version.Version, done.SHA256, pushed(done, push.Alias)+source[builtIn[name]])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unlisted says why no experiment's page lists what is pushed, and when it will.
func unlisted(experiment string) string {
	const then = "the Prompts tab of an experiment lists a prompt from its first job on that used it; the page of all prompts lists them now"
	if experiment == "" {
		return "no experiment is named, by MLFLOW_EXPERIMENT_NAME or --experiment: " + then
	}
	return "experiment " + experiment + " does not exist yet: " + then
}

// source says where a text is from that is in no file.
var source = map[bool]string{true: ", from the copy in the program"}

func pushed(p prompts.Pushed, alias string) string {
	text := "the registry had it"
	if p.New {
		text = "new"
	}
	switch {
	case p.Moved:
		text += ", now " + alias
	case alias != "":
		text += ", " + alias + " already"
	}
	return text
}

// revision tells the git revision of a prompt's file. Without git, or without a file, there is none.
func (c *promptsPushCmd) revision(env environment, builtIn map[string]bool) func(name string) string {
	folder := c.folder(env)
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(env.ctx, "git", append([]string{"-C", folder}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	return func(name string) string {
		if c.Revision != "" {
			return c.Revision
		}
		if builtIn[name] {
			return ""
		}
		head, err := git("rev-parse", "HEAD")
		if err != nil {
			return ""
		}
		if changed, err := git("status", "--porcelain", "--", name+".yaml"); err != nil || changed != "" {
			return head + "-dirty"
		}
		return head
	}
}
