package main

import (
	"errors"
	"fmt"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/prompts"
)

type promptsPullCmd struct {
	promptFiles `embed:""`
	Alias       string `default:"prod" help:"Alias, or number of a version."`
	Force       bool   `help:"Also replace texts that the registry does not have."`
}

// Run writes the files, all of them or none.
func (c *promptsPullCmd) Run(env environment) error {
	local, names, err := c.read(env)
	if err != nil {
		return err
	}
	listed, err := env.registered(names)
	if err != nil {
		return err
	}
	var write []data.Prompt
	var lines []string
	var errs []error
	for _, l := range listed {
		var here *data.Prompt
		if p, ok := local[l.Name]; ok {
			here = &p
		}
		p, v, changed, err := prompts.Pull(l, here, c.Alias, c.Force)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		what := "as it was"
		if changed {
			write, what = append(write, p), "written"
		}
		lines = append(lines, fmt.Sprintf("%s  version %s  %.12s  %s", l.Name, v.Version, v.SHA256, what))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if len(write) > 0 {
		if err := data.WritePrompts(c.folder(env), write...); err != nil {
			return err
		}
	}
	for _, line := range lines {
		fmt.Fprintln(env.stdout, line)
	}
	return nil
}
