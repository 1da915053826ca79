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
	f, warnings, err := readFiles(dir, getenv)
	return f.values, f.from, warnings, err
}

// files is what .env and the file of the profile hold.
type files struct {
	values map[string]string
	from   map[string]Source
	places map[string]string // file and line of the value, ".env:3"
}

// add takes the values of a file that no file before it has.
func (f files) add(source Source, path string, values map[string]string, lines map[string]int) {
	for name, value := range nonEmpty(values) {
		if _, set := f.values[name]; !set {
			f.values[name], f.from[name], f.places[name] = value, source, fmt.Sprintf("%s:%d", path, lines[name])
		}
	}
}

func readFiles(dir string, getenv func(string) string) (files, []Warning, error) {
	f := files{map[string]string{}, map[string]Source{}, map[string]string{}}
	path := filepath.Join(dir, string(FromFile))
	values, lines, warnings, err := readDotenv(path)
	f.add(FromFile, path, values, lines)
	profile, place := getenv(ProfileName), map[string]string(nil)
	if profile == "" {
		profile, place = f.values[ProfileName], f.places
	}
	if profile == "" {
		return f, warnings, err
	}
	source := Source(string(FromFile) + "." + profile)
	if !profileName.MatchString(profile) {
		wrong := fmt.Errorf("%s: %q is no name of a profile; use letters, digits, - and _", at(place, ProfileName), shown(profile))
		return f, warnings, errors.Join(err, wrong)
	}
	path = filepath.Join(dir, string(source))
	if _, missing := os.Stat(path); errors.Is(missing, fs.ErrNotExist) {
		wrong := fmt.Errorf("%s: there is no file %s; make it, or use %s", at(place, ProfileName), path, profiles(dir))
		return f, warnings, errors.Join(err, wrong)
	}
	values, lines, warned, wrong := readDotenv(path)
	f.add(source, path, values, lines)
	return f, append(warnings, warned...), errors.Join(err, wrong)
}

// at is the name of a setting with the place of its value before it, ".env:3: NAME", when it has one.
func at(places map[string]string, name string) string {
	if place, found := places[name]; found {
		return place + ": " + name
	}
	return name
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
