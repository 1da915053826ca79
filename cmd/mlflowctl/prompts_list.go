package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/prompts"
)

type promptsListCmd struct {
	promptFiles `embed:""`
	JSON        bool `name:"json" help:"Print one JSON object a version."`
}

// listedPrompt is a line of `mlflowctl prompts list --json`; the names are a contract.
type listedPrompt struct {
	prompts.Version
	File bool `json:"file"` // the file has this text
}

// Run lists the versions, the newest first.
func (c *promptsListCmd) Run(env environment) error {
	local, names, err := c.read(env)
	if err != nil {
		return err
	}
	listed, err := env.registered(names)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(w, "prompt\tversion\taliases\thash\trevision\tcreated\tmessage")
	}
	for _, l := range listed {
		here := ""
		if p, ok := local[l.Name]; ok {
			here = p.SHA256()
		}
		if _, ok := l.WithText(here); here != "" && !ok && !c.JSON {
			fmt.Fprintf(w, "%s\t-\tnot pushed\t%.12s\t\t\t\n", l.Name, here)
		}
		for i := len(l.Versions) - 1; i >= 0; i-- {
			v := l.Versions[i]
			file := v.SHA256 == here
			if c.JSON {
				if err := plainjson.Lines(env.stdout).Encode(listedPrompt{v, file}); err != nil {
					return err
				}
				continue
			}
			aliases := v.Aliases
			if file {
				aliases = append(aliases[:len(aliases):len(aliases)], "(file)")
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%.12s\t%.12s\t%s\t%s\n", v.Name, v.Version, strings.Join(aliases, " "), v.SHA256, v.Revision,
				time.UnixMilli(v.Created).UTC().Format("2006-01-02 15:04"), strings.ReplaceAll(v.Message, "\n", " "))
		}
	}
	return w.Flush()
}
