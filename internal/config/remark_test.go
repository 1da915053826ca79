package config

import (
	"slices"
	"strings"
	"testing"
)

// systemd takes what stands behind a value for a part of it.
func TestACommentBehindAValueOfTheEnvironmentIsNamed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "LOG_LEVEL=INFO # from .env\n")
	c, warnings, err := Load(Options{Dir: dir, Environ: []string{
		"DB_PATH=a.sqlite # the old one", "OTEL_SERVICE_NAME=worker #2", "MODEL_STAGE_A=a#b", "OTELCOL_DATA_DIR=/d\t# here", "MODEL_STAGE_B=# none",
		"SLACK_SIGNING_SECRET=hunter2 # asked for in May", "OTEL_EXPORTER_OTLP_HEADERS=x-api-key=hunter2 # of the team", "PATH=/bin # x",
	}})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, w := range warnings {
		if strings.Contains(w.Message, "looks like a comment") {
			keys = append(keys, w.Key)
		}
		if strings.Contains(w.Message, "hunter") || strings.Contains(w.Message, "May") {
			t.Errorf("it tells the value: %s", w)
		}
	}
	if want := []string{"DB_PATH", "MODEL_STAGE_B", "OTELCOL_DATA_DIR", "OTEL_EXPORTER_OTLP_HEADERS", "SLACK_SIGNING_SECRET"}; !slices.Equal(keys, want) {
		t.Errorf("warned of %v, want %v: %v", keys, want, warnings)
	}
	if got := mask("abcd #since May 2024, of the team"); got != "•••• # …" {
		t.Errorf("a short secret is shown as %q", got)
	}
	// A comment makes no short secret a long one, of which some letters are shown.
	for name, want := range map[string]string{
		"SLACK_SIGNING_SECRET": "••••••• # …", "DB_PATH": "a.sqlite # the old one",
	} {
		i := slices.IndexFunc(c.Settings, func(s Setting) bool { return s.Name == name })
		if got := c.Settings[i].Value; got != want {
			t.Errorf("%s is shown as %q, want %q", name, got, want)
		}
	}
}
