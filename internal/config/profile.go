package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// ProfileName is the setting that names a profile: a file .env.<profile> beside .env with
// what holds in one environment. What .env says itself wins, so that a line appended to it
// always has an effect.
const ProfileName = "COMMENTATOR_PROFILE"

var profileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

// Files reads .env of a folder and the file of the profile that the environment or .env
// names; neither need be there without a profile. Empty values count as unset. From says for
// each name which file it is from. With an error values and from are what could be read.
func Files(dir string, getenv func(string) string) (values map[string]string, from map[string]Source, warnings []Warning, err error) {
	values, warnings, err = Dotenv(filepath.Join(dir, string(FromFile)))
	values, from = nonEmpty(values), map[string]Source{}
	for name := range values {
		from[name] = FromFile
	}
	profile := getenv(ProfileName)
	if profile == "" {
		profile = values[ProfileName]
	}
	if profile == "" {
		return values, from, warnings, err
	}
	source := Source(string(FromFile) + "." + profile)
	if !profileName.MatchString(profile) {
		wrong := fmt.Errorf("%s: %q is no name of a profile; use letters, digits, - and _", ProfileName, shown(profile))
		return values, from, warnings, errors.Join(err, wrong)
	}
	path := filepath.Join(dir, string(source))
	if _, missing := os.Stat(path); errors.Is(missing, fs.ErrNotExist) {
		wrong := fmt.Errorf("%s: there is no file %s; make it, or use %s", ProfileName, path, profiles(dir))
		return values, from, warnings, errors.Join(err, wrong)
	}
	more, warned, wrong := Dotenv(path)
	warnings = append(warnings, warned...)
	for name, value := range nonEmpty(more) {
		if _, set := values[name]; !set {
			values[name], from[name] = value, source
		}
	}
	return values, from, warnings, errors.Join(err, wrong)
}

// profiles lists the profiles that a folder has.
func profiles(dir string) string {
	found, _ := filepath.Glob(filepath.Join(dir, ".env.*")) // the pattern is right
	var names []string
	for _, path := range found {
		name := strings.TrimPrefix(filepath.Base(path), ".env.")
		if profileName.MatchString(name) && name != "bak" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "no profile"
	}
	return strings.Join(names, ", ")
}
