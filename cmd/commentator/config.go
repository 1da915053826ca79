package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/technoshare/commentator/internal/config"
)

type configCommand struct {
	JSON bool `name:"json" help:"Print one JSON object."`
}

// Run shows the settings, also when some are wrong.
func (c *configCommand) Run(_ context.Context, a *app) error {
	mode, why := resolveMode(a.cfg)
	shown := struct {
		Settings  []config.Setting `json:"settings"`
		Telemetry struct {
			Mode    string `json:"mode"`
			Because string `json:"because"`
		} `json:"telemetry"`
		Hints []string `json:"hints"`
	}{Settings: a.cfg.Settings, Hints: append([]string{}, a.cfg.Hints()...)}
	shown.Telemetry.Mode, shown.Telemetry.Because = string(mode), why
	if c.JSON && a.cfgErr == nil {
		encoder := json.NewEncoder(a.stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(shown)
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, s := range shown.Settings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", s.Name, s.Value, s.Source)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if a.cfgErr != nil {
		return usageError{a.cfgErr}
	}
	fmt.Fprintf(a.stdout, "\nTelemetry is %s because %s.\n", mode, why)
	for _, h := range shown.Hints {
		fmt.Fprintln(a.stdout, "Hint:", h)
	}
	return nil
}
