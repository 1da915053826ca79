package data

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Theme is a subject that the team works on. A comment says which themes a link helps.
type Theme struct {
	Name            string   `yaml:"name"`
	Pains           []string `yaml:"pains"`            // what goes wrong without it
	Stack           []string `yaml:"stack"`            // what the team uses there
	SuccessCriteria []string `yaml:"success_criteria"` // how the team knows that it works
	Positioning     string   `yaml:"positioning"`      // what a link has to offer to be worth telling
	// Keywords are words or phrases, in lower case, that speak of the theme. The offline
	// analyser matches sentences to themes by them.
	Keywords []string `yaml:"keywords"`
}

func loadThemes(ctx context.Context, files source) ([]Theme, error) {
	body, err := files.read(ctx, ProjectContextFile)
	if err != nil {
		return nil, err
	}
	var file struct {
		Themes []Theme `yaml:"themes"`
	}
	if err := decode(files.name(ProjectContextFile), body, &file); err != nil {
		return nil, err
	}
	return file.Themes, checkThemes(files.name(ProjectContextFile), file.Themes)
}

func checkThemes(name string, themes []Theme) error {
	var errs []error
	bad := func(key, problem string) {
		errs = append(errs, fmt.Errorf("%s: %s: %s", name, key, problem))
	}
	if len(themes) == 0 {
		bad("themes", "at least one theme is needed")
	}
	seen := map[string]bool{}
	for i, t := range themes {
		key := fmt.Sprintf("themes[%d]", i)
		switch {
		case strings.TrimSpace(t.Name) == "":
			bad(key+".name", "is missing")
		case strings.ContainsAny(t.Name, "*\n") || strings.TrimSpace(t.Name) != t.Name:
			bad(key+".name", "must not hold *, a line break or outer blanks")
		case seen[strings.ToLower(t.Name)]:
			bad(key+".name", fmt.Sprintf("%q is there twice", t.Name))
		}
		seen[strings.ToLower(t.Name)] = true
		if t.Positioning == "" {
			bad(key+".positioning", "is missing")
		}
		for _, list := range []struct {
			name   string
			values []string
		}{{"pains", t.Pains}, {"stack", t.Stack}, {"success_criteria", t.SuccessCriteria}, {"keywords", t.Keywords}} {
			if len(list.values) == 0 {
				bad(key+"."+list.name, "at least one entry is needed")
			}
		}
		for j, k := range t.Keywords {
			if k == "" || k != strings.ToLower(k) {
				bad(fmt.Sprintf("%s.keywords[%d]", key, j), fmt.Sprintf("%q must be in lower case and not empty", k))
			}
		}
	}
	return errors.Join(errs...)
}
