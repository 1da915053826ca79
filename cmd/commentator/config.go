package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/telemetry"
)

type configCommand struct {
	JSON bool `name:"json" help:"Print one JSON object."`
}

// shownConfig is the JSON of the command; its names are a contract.
type shownConfig struct {
	Settings  []config.Setting `json:"settings"`
	Telemetry struct {
		Mode    string `json:"mode"`
		Because string `json:"because"`
	} `json:"telemetry"`
	Sampling *samplingState `json:"sampling,omitempty"` // absent with problems
	Hints    []string       `json:"hints"`
	// Warnings are about what looks like a mistake. With problems no other command begins.
	Warnings []string `json:"warnings"`
	Problems []string `json:"problems"`
}

// Run shows the settings, also when some are wrong.
func (c *configCommand) Run(ctx context.Context, a *app) error {
	shown := shownConfig{Settings: a.cfg.Settings, Hints: []string{}, Warnings: []string{}, Problems: []string{}}
	for _, w := range a.warnings {
		shown.Warnings = append(shown.Warnings, w.String())
	}
	var wrong error
	if a.cfgErr == nil {
		mode, why := a.cfg.Mode()
		shown.Telemetry.Mode, shown.Telemetry.Because = string(mode), why
		sampling := a.sampling(ctx, time.Now())
		shown.Sampling = &sampling
		shown.Hints = append(shown.Hints, a.cfg.Hints()...)
	} else { // of settings that are wrong there is no saying what they lead to
		shown.Telemetry.Mode, shown.Telemetry.Because = string(telemetry.ModeOff), "no command starts with these settings"
		shown.Problems = strings.Split(a.redactor.Text(a.cfgErr.Error()), "\n")
		wrong = usageError{problems{a.cfgErr}}
	}
	if c.JSON {
		return cmp.Or(plainjson.Indented(a.stdout).Encode(shown), wrong)
	}
	return cmp.Or(writeTable(a.stdout, shown), wrong)
}

func writeTable(w io.Writer, shown shownConfig) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range shown.Settings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", s.Name, s.Value, s.Source)
	}
	if err := table.Flush(); err != nil || len(shown.Problems) > 0 {
		return err
	}
	fmt.Fprintf(w, "\nTelemetry is %s because %s.\n", shown.Telemetry.Mode, shown.Telemetry.Because)
	for i, line := range shown.Sampling.lines(telemetry.Mode(shown.Telemetry.Mode)) {
		fmt.Fprintf(w, "%s%s\n", []string{"Sampling: ", "  "}[min(i, 1)], line)
	}
	for _, h := range shown.Hints {
		fmt.Fprintln(w, "Hint:", h)
	}
	return nil
}
