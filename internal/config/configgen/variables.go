package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// helpLine is a line of a help text: a variable, what it is and its default, in columns.
var helpLine = regexp.MustCompile(`(?m)^\s{2}([A-Z][A-Z0-9_]+) {2,}(\S.*?)(?: {2,}(\S.*))?$`)

// lastWords are the paragraph below the table of a script's help.
var lastWords = regexp.MustCompile(`(?s)\n\n([A-Z][^\n]*(?:\n[^\n]+)*)\nTEXT\n`)

// variables reads the table of variables in a help text.
func variables(file string) ([]row, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read variables: %w", err)
	}
	var rows []row
	for _, m := range helpLine.FindAllStringSubmatch(string(text), -1) {
		rows = append(rows, row{"`" + m[1] + "`", m[3], m[2]})
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("read variables: none in %s", file)
	}
	return rows, nil
}

// collector writes the variables of the embedded Collector configuration. The help text says what
// each is for; the configuration has to use them all and no others.
func collector(b *strings.Builder, root string) error {
	dir := filepath.Join(root, "cmd", "otelcol-mlflow")
	rows, err := variables(filepath.Join(dir, "command.go"))
	if err != nil {
		return err
	}
	used, err := os.ReadFile(filepath.Join(dir, "default.yaml"))
	if err != nil {
		return fmt.Errorf("read variables: %w", err)
	}
	known := map[string]bool{}
	for _, r := range rows {
		name := strings.Trim(r.names, "`")
		known[name] = true
		if !strings.Contains(string(used), "${env:"+name+":-") {
			return fmt.Errorf("write variables: the Collector's configuration does not use %s", name)
		}
	}
	for _, m := range regexp.MustCompile(`\$\{env:(\w+)`).FindAllStringSubmatch(string(used), -1) {
		if !known[m[1]] {
			return fmt.Errorf("write variables: the help of otelcol-mlflow does not know %s", m[1])
		}
	}
	b.WriteString("## otelcol-mlflow\n\nThese change the embedded configuration, and the files of [otel-config](../otel-config) that use them. `--config FILE` takes any other; " +
		"the variables of other files there are in [ROUTING.md](ROUTING.md#variables).\n\n")
	table(b, "variable", rows)
	return nil
}

// startScript writes the variables of scripts/start_mlflow.sh.
func startScript(b *strings.Builder, root string) error {
	rows, err := variables(filepath.Join(root, "scripts", "start_mlflow.sh"))
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(root, "scripts", "start_mlflow.sh"))
	if err != nil {
		return fmt.Errorf("read variables: %w", err)
	}
	last := lastWords.FindSubmatch(text)
	if last == nil {
		return errors.New("write variables: the help of scripts/start_mlflow.sh does not say where they may stand")
	}
	b.WriteString("## scripts/start_mlflow.sh\n\n")
	table(b, "variable", rows)
	b.WriteString(strings.Join(strings.Fields(string(last[1])), " ") + "\n\n")
	return nil
}
