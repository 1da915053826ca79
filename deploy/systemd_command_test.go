package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const commandScript = "systemd/as-commentator.sh"

// ranAs is what the script hands to systemd-run: the values of each property, and the command.
func ranAs(t *testing.T, command ...string) (properties map[string][]string, ran []string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "systemd-run"), []byte("#!/bin/sh\nprintf '%s\\n' \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", append([]string{commandScript}, command...)...)
	cmd.Env = []string{"PATH=" + dir}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", commandScript, err)
	}
	args := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	end := slices.Index(args, "--")
	if end < 0 {
		t.Fatalf("nothing ends the flags: %q", args)
	}
	properties = map[string][]string{}
	for _, arg := range args[:end] {
		if given, found := strings.CutPrefix(arg, "--property="); found {
			name, value, _ := strings.Cut(given, "=")
			properties[name] = append(properties[name], value)
		}
	}
	return properties, args[end+1:]
}

// A command that is run by the script reaches what the worker's unit reaches: all of its settings
// but those of the log, which is the service's alone.
func TestACommandIsRunAsTheWorkersUnit(t *testing.T) {
	got, ran := ranAs(t, "commentator", "tracing", "off", "--for", "10 m")
	if want := []string{"commentator", "tracing", "off", "--for", "10 m"}; !slices.Equal(ran, want) {
		t.Errorf("it runs %q; want %q", ran, want)
	}
	unit := options(t, unitFile)
	places := strings.NewReplacer("%S/", "/var/lib/", "%C/", "/var/cache/", "%L/", "/var/log/")
	for _, name := range []string{
		"DynamicUser", "StateDirectory", "StateDirectoryMode", "CacheDirectory", "CacheDirectoryMode", "WorkingDirectory", "UMask", "EnvironmentFile",
	} {
		if want := places.Replace(unit["Service."+name][0]); len(got[name]) != 1 || got[name][0] != want {
			t.Errorf("%s is %q; the unit has %q", name, got[name], want)
		}
	}
	// A unit that names no user runs as one that has its name.
	if want := strings.TrimSuffix(filepath.Base(unitFile), ".service"); !slices.Equal(got["User"], []string{want}) {
		t.Errorf("it runs as %q; the unit's user is %s", got["User"], want)
	}
	var want []string
	for _, setting := range unit["Service.Environment"] {
		if !strings.HasPrefix(setting, "LOG_") {
			want = append(want, places.Replace(setting))
		}
	}
	slices.Sort(want)
	slices.Sort(got["Environment"])
	if !slices.Equal(got["Environment"], want) {
		t.Errorf("settings are %q; the unit has %q", got["Environment"], want)
	}
}

func TestWithoutACommandTheScriptSaysWhatItWants(t *testing.T) {
	out, err := exec.Command("/bin/sh", commandScript).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "Usage: as-commentator COMMAND") {
		t.Errorf("%v\n%s", err, out)
	}
}
