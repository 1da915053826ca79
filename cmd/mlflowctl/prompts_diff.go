package main

import (
	"fmt"

	"github.com/rogpeppe/go-internal/diff"
)

type promptsDiffCmd struct {
	promptFiles `embed:""`
	Alias       string `default:"prod" help:"Alias, or number of a version."`
}

// Run shows the differences, from the registry's text to the file's.
func (c *promptsDiffCmd) Run(env environment) error {
	local, names, builtIn, err := c.readUsed(env)
	if err != nil {
		return err
	}
	listed, err := env.registered(names)
	if err != nil {
		return err
	}
	differ := false
	for _, l := range listed {
		p, ok := local[l.Name]
		if !ok {
			return missing(l.Name, c.folder(env))
		}
		name, text := l.Name+" (not registered)", ""
		if v, ok := l.At(c.Alias); ok {
			name, text = fmt.Sprintf("%s version %s (%s)", l.Name, v.Version, c.Alias), v.Text
		} else if len(l.Versions) > 0 {
			name = fmt.Sprintf("%s (no %s)", l.Name, c.Alias)
		}
		if text == p.Content {
			continue
		}
		differ = true
		here := l.Name + ".yaml (content)"
		if builtIn[l.Name] {
			here = l.Name + " (copy in the program)"
		}
		if _, err := env.stdout.Write(diff.Diff(name, []byte(text), here, []byte(p.Content))); err != nil {
			return err
		}
	}
	if differ {
		return verdict{code: exitFailed}
	}
	return nil
}
