package architecture

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The worker records through internal/telemetry alone, where one file masks every text.
func TestNobodyRecordsAroundRedaction(t *testing.T) {
	const ways = `\.(SetAttributes|AddEvent|AddLink|SetStatus|SetName|RecordError)\(|(trace|metric)\.With(Attributes|AttributeSet|Links)\(` +
		`|SpanFromContext\(|otel\.(Tracer|Meter|GetTracerProvider|GetMeterProvider)\(`
	seen := false
	for _, line := range grepWorker(t, ways) {
		if strings.HasPrefix(line, "internal/telemetry/record.go:") {
			seen = true
			continue
		}
		t.Error(line)
	}
	if !seen {
		t.Error("internal/telemetry/record.go records nothing: this test looks for the wrong things")
	}
}

// The worker logs through the one logger that masks: there is no other that is not silent,
// and nothing is printed past it but by the commands.
func TestNobodyLogsAroundRedaction(t *testing.T) {
	const ways = `slog\.(New|Debug|Info|Warn|Error|Log|LogAttrs|Default|SetDefault)(Context)?\(|[^a-z.]log\.(Print|Fatal|Panic)|os\.(Stdout|Stderr)|fmt\.Print`
	allowed := []string{
		"slog.New(a.redactor.Handler(",  // the one
		"slog.New(slog.DiscardHandler)", // none
		"slog.New(once)",                // the one, without repeats
		"slog.New(warnings{once})",      // that, from warnings on
		"os.Exit(run(",                  // the program's own streams
	}
	seen := map[string]bool{}
	for _, line := range grepWorker(t, ways) {
		i := slices.IndexFunc(allowed, func(a string) bool { return strings.Contains(line, a) })
		if i < 0 {
			t.Error(line)
			continue
		}
		seen[allowed[i]] = true
	}
	if len(seen) != len(allowed) {
		t.Errorf("only %v are found: this test allows what is not there", seen)
	}
}

// grepWorker returns the lines of the worker's code that a pattern fits, with their places.
func grepWorker(t *testing.T, pattern string) []string {
	t.Helper()
	args := []string{"grep", "-nE", pattern, "--", ":(glob)cmd/commentator/*.go", ":(glob)data/*.go", ":!*_test.go"}
	for _, p := range list(t, "-deps", "./cmd/commentator") {
		if under(p.ImportPath, "internal") {
			args = append(args, ":(glob)"+p.short()+"/*.go")
		}
	}
	cmd := exec.Command("git", args...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("git grep: %v", err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
