// Command configgen writes docs/CONFIGURATION.md from what the programs read: the settings of the
// worker, the variables of the embedded Collector configuration and of MLflow's start script, and
// the keys of the mlflow exporter.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/technoshare/commentator/internal/moduleroot"
)

func main() {
	root, err := moduleroot.Find()
	var text string
	if err == nil {
		text, err = page(root)
	}
	if err == nil {
		err = os.WriteFile(pagePath(root), []byte(text), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "configgen:", err)
		os.Exit(1)
	}
}

func pagePath(root string) string { return filepath.Join(root, "docs", "CONFIGURATION.md") }

// row is one setting: its names, what holds without it, and what it does.
type row struct{ names, value, text string }

// table writes rows as Markdown.
func table(b *strings.Builder, first string, rows []row) {
	fmt.Fprintf(b, "| %s | default | |\n|---|---|---|\n", first)
	cell := strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;")
	for _, r := range rows {
		value := ""
		if r.value != "" {
			value = "`" + cell.Replace(r.value) + "`"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", r.names, value, cell.Replace(r.text))
	}
	b.WriteString("\n")
}

const intro = `# Configuration

<!-- Written by go run ./internal/config/configgen from the code. Change the comments there, not this page. -->

Every setting of the three programs. ` + "`bin/commentator config`" + ` prints those of the worker as they are, with where each came
from and what is wrong with it; ` + "`bin/otelcol-mlflow print-config`" + ` what the Collector runs.

## Where settings come from

The environment, else the file .env in the working directory, else .env.PROFILE that ` + "`COMMENTATOR_PROFILE`" + ` names, else the
default. An empty value counts as unset. In .env a line is NAME=value; of a name that is there twice the last line holds, with
a warning; a name that nobody reads is warned of too, and one that hangs on the end of another line, for lack of a line break.
Nothing is expanded; docker compose replaces $NAME and $$ in the files, but for values in single quotes, so that such a value is warned of.
In the environment nothing ends a value: a comment behind one in a file of systemd's EnvironmentFile is a part of it, which is warned of too.
Each command prints the warnings. What is out of range or malformed ends the program with exit code 2 (` + "`commentator eval …`" + ` with 3,
otelcol-mlflow with 1), and each problem is named. Durations are Go's: 90s, 15m, 48h.

otelcol-mlflow takes OTLP_BACKEND and the variables that begin with MLFLOW_ and OTELCOL_ from the same files, and mlflowctl reads
them as the worker does.

`

// page makes the page of the sources below root.
func page(root string) (string, error) {
	var b strings.Builder
	b.WriteString(intro)
	if err := worker(&b, root); err != nil {
		return "", err
	}
	if err := collector(&b, root); err != nil {
		return "", err
	}
	if err := startScript(&b, root); err != nil {
		return "", err
	}
	if err := exporter(&b, root); err != nil {
		return "", err
	}
	return strings.TrimRight(b.String(), "\n") + "\n", nil
}
