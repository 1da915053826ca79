package config

import (
	"regexp"
	"slices"
)

// remark is what looks like a comment behind a value, or in the place of one.
var remark = regexp.MustCompile(`(^|[ \t]+)#([ \t]|$)`)

// behind is what may be one: .env also ends a value at a # without a blank behind it, but so begin
// names such as "worker #2", which are not warned of.
var behind = regexp.MustCompile(`^#|[ \t]+#`)

// remarks warns of values of the environment that end with one. .env ends a value there; a line of
// systemd's EnvironmentFile or of Docker's env file does not, so that `true # since May` is the value.
// The value is not told, which may be a secret.
func remarks(environ map[string]string) []Warning {
	known := slices.Concat(Names(), elsewhere)
	var warnings []Warning
	for _, name := range sortedKeys(environ) {
		if slices.Contains(known, name) && remark.MatchString(environ[name]) {
			warnings = append(warnings, Warning{name, "environment: " + name +
				" has what looks like a comment in its value, which only .env ends there; in a file of systemd's EnvironmentFile, or of Docker's, put it on a line of its own"})
		}
	}
	return warnings
}
