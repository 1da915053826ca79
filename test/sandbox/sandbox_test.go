package sandbox

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/config"
)

// settingsOf are the names of the variables that a struct of settings is read from.
func settingsOf(settings any) []string {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeOf(settings)) {
		if name, _, _ := strings.Cut(field.Tag.Get("env"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

func TestEnvironIsWithoutTheCallersSettings(t *testing.T) {
	names := append(settingsOf(config.Config{}), settingsOf(config.Collector{})...)
	if !slices.Contains(names, "DATABASE_URL") || !slices.Contains(names, "OTELCOL_DATA_DIR") {
		t.Fatalf("settings %q", names)
	}
	for _, name := range names {
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
