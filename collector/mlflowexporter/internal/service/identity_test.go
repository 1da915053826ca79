package service

import (
	"strings"
	"testing"
)

// A list of runs shows some twenty characters of a name: the day and who it is.
func TestNamesOfRunsBeginWithWhatTellsThemApart(t *testing.T) {
	for _, c := range []struct{ service, instance, want string }{
		{"technoshare-commentator", "388e800c-1111-5222-8333-444455556666", "2026-11-24 388e800c technoshare-commentator"},
		{"worker", "host-7", "2026-11-24 host-7 worker"},
		{"worker", "", "2026-11-24 worker"},
		{"a  b", strings.Repeat("x", 50), "2026-11-24 " + strings.Repeat("x", 40) + " a b"},
	} {
		if got := (identity{service: c.service, instance: c.instance}).runName("2026-11-24"); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// The description says what the run is of and how its charts are read, whatever a service is called.
func TestARunSaysWhatItIs(t *testing.T) {
	for _, c := range []struct{ service, instance, want string }{
		{"worker", "388e800c-1111-5222-8333-444455556666", "Metrics of `worker`, instance `388e800c-1111-5222-8333-444455556666`, on 2026-11-24 (UTC).\n\n- One step is a minute"},
		{"worker", "", "Metrics of `worker`, on 2026-11-24 (UTC).\n\n"},
		{"a`b\n# {{run_id}}\x00", "<b>", "Metrics of `a'b # { {run_id}}`, instance `<b>`, on "},
		{"a{{{run_id}}", "{{{{b}}", "Metrics of `a{ { {run_id}}`, instance `{ { { {b}}`, on "},
		{strings.Repeat("q", 10000), "", "Metrics of `" + strings.Repeat("q", 249) + "…`, on "},
	} {
		got := (identity{service: c.service, instance: c.instance}).note("2026-11-24")
		if !strings.HasPrefix(got, c.want) || strings.Contains(got, "{{") || !strings.Contains(got, "The commentator's durations are in seconds") ||
			!strings.Contains(got, "in the units that it sends") || !strings.Contains(got, "docs/WIRE.md") {
			t.Errorf("%.200q\nwant it to begin with %q", got, c.want)
		}
	}
}
