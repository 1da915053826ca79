package prometheus

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// names lists the metrics that a query asks for.
func names(query string) ([]string, error) {
	e, err := promQL.ParseExpr(query)
	if err != nil {
		return nil, err
	}
	var out []string
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if s, is := n.(*parser.VectorSelector); is {
			out = append(out, s.Name)
		}
		return nil
	})
	return out, nil
}

// elsewhere are metrics that Prometheus makes itself.
var elsewhere = []string{"up"}

// fromNode is what needs node_exporter, which is not run here: its names are those of
// node_exporter's filesystem collector, https://github.com/prometheus/node_exporter/blob/master/collector/filesystem_common.go.
var fromNode = []string{"node_filesystem_avail_bytes", "node_filesystem_size_bytes"}

// Each metric that a rule or a query on a page asks for is exposed by a real worker or a real
// Collector, under this very name.
func TestMetricsThatAreAskedForExist(t *testing.T) {
	exposed := scrapeAll(t)
	asked := map[string][]string{} // by metric: where
	for _, g := range rules(t).Groups {
		for _, r := range g.Rules {
			found, err := names(r.Expr)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range found {
				asked[name] = append(asked[name], r.Alert)
			}
		}
	}
	for _, q := range queries(t) {
		found, err := names(q.text)
		if err != nil {
			t.Errorf("%s: %v", q.where, err)
		}
		for _, name := range found {
			asked[name] = append(asked[name], q.where)
		}
	}
	for _, m := range mentions(t) {
		asked[m.text] = append(asked[m.text], m.where)
	}
	for name, where := range asked {
		if !exposed[name] && !slices.Contains(elsewhere, name) && !slices.Contains(fromNode, name) {
			t.Errorf("nothing exposes %q, which %s asks for", name, strings.Join(where, ", "))
		}
	}
	if len(asked) < 15 {
		t.Errorf("found only %d metrics", len(asked))
	}
}

type excerpt struct{ where, text string }

// promqlBlock is a fenced block of a page with a query on each line.
var promqlBlock = regexp.MustCompile("(?s)```promql\n(.*?)```")

// queries finds the queries on the pages.
func queries(t *testing.T) []excerpt {
	t.Helper()
	var out []excerpt
	pages(t, func(name, text string) {
		for _, block := range promqlBlock.FindAllStringSubmatch(text, -1) {
			for line := range strings.Lines(block[1]) {
				if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
					out = append(out, excerpt{name, line})
				}
			}
		}
	})
	if len(out) == 0 {
		t.Error("no page has a query: this test looks at the wrong pages")
	}
	return out
}

// mention is a metric of the worker or the Collector in the running text of OPERATIONS.md.
var mention = regexp.MustCompile("`((?:job|telemetry|slack|feedback|otelcol)_[a-z0-9_]+)[`{]")

// mentions finds the metrics that OPERATIONS.md names in its text.
func mentions(t *testing.T) []excerpt {
	t.Helper()
	var out []excerpt
	pages(t, func(name, text string) {
		if name != "OPERATIONS.md" {
			return
		}
		for _, m := range mention.FindAllStringSubmatch(text, -1) {
			out = append(out, excerpt{name, m[1]})
		}
	})
	return out
}

func pages(t *testing.T, read func(name, text string)) {
	t.Helper()
	found, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(found, "../../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		read(filepath.Base(path), string(text))
	}
}
