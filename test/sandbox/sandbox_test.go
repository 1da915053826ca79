package sandbox

import (
	"slices"
	"strings"
	"testing"
)

func TestEnvironIsWithoutTheCallersSettings(t *testing.T) {
	for _, name := range []string{"MLFLOW_TRACKING_URI", "OTEL_TRACES_SAMPLER", "OTELCOL_DATA_DIR", "DB_PATH", "DATABASE_URL", "REDACTION", "COMMENTATOR_PROFILE", "SAMPLING_FILE", "OUTBOX_MAX_AGE"} {
		t.Setenv(name, "caller")
	}
	t.Setenv("COMMENTATOR_CACHE", "stays")
	got := Environ()
	if !slices.Contains(got, "COMMENTATOR_CACHE=stays") {
		t.Error("the cache of downloads is gone")
	}
	for _, entry := range got {
		if strings.HasSuffix(entry, "=caller") {
			t.Errorf("%s is handed on", entry)
		}
	}
}

func TestFreePortsDiffer(t *testing.T) {
	ports, err := FreePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ports)
	if n := len(slices.Compact(slices.Clone(ports))); n != 20 {
		t.Errorf("%d of 20 differ: %v", n, ports)
	}
	if ports[0] < portFrom || ports[19] >= portTo {
		t.Errorf("%v are not all among those that nobody else is given", ports)
	}
}
