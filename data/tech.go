package data

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Tech is an entry of the local index that the search tool looks up.
type Tech struct {
	Name        string   `yaml:"name" json:"name"`
	Description string   `yaml:"description" json:"description"` // one sentence
	Tags        []string `yaml:"tags" json:"tags"`               // lower case
}

func loadTech(ctx context.Context, files source) ([]Tech, error) {
	body, err := files.read(ctx, SimilarTechFile)
	if err != nil {
		return nil, err
	}
	var file struct {
		Technologies []Tech `yaml:"technologies"`
	}
	if err := decode(files.name(SimilarTechFile), body, &file); err != nil {
		return nil, err
	}
	return file.Technologies, checkTech(files.name(SimilarTechFile), file.Technologies)
}

func checkTech(name string, list []Tech) error {
	var errs []error
	bad := func(key, problem string) {
		errs = append(errs, fmt.Errorf("%s: %s: %s", name, key, problem))
	}
	seen := map[string]bool{}
	for i, t := range list {
		key := fmt.Sprintf("technologies[%d]", i)
		switch {
		case strings.TrimSpace(t.Name) == "":
			bad(key+".name", "is missing")
		case seen[strings.ToLower(t.Name)]:
			bad(key+".name", fmt.Sprintf("%q is there twice", t.Name))
		}
		seen[strings.ToLower(t.Name)] = true
		if strings.ContainsAny(t.Description, "\n*") || !strings.HasSuffix(t.Description, ".") {
			bad(key+".description", "must be one line without * that ends with a full stop")
		}
		if len(t.Tags) == 0 {
			bad(key+".tags", "at least one tag is needed")
		}
		for j, tag := range t.Tags {
			if tag == "" || tag != strings.ToLower(tag) {
				bad(fmt.Sprintf("%s.tags[%d]", key, j), fmt.Sprintf("%q must be in lower case and not empty", tag))
			}
		}
	}
	return errors.Join(errs...)
}
