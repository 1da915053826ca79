package reduce

import (
	"errors"
	"fmt"
	"path"

	"github.com/gobwas/glob"
)

// ArtifactRules say which artifacts are written. The zero value keeps all of them.
type ArtifactRules struct {
	// Include are patterns of which a path must match one; none means any path.
	Include []string `mapstructure:"include"`
	// Exclude are patterns of which a path must match none.
	Exclude []string `mapstructure:"exclude"`
	// MaxBytes is the size of the largest artifact that is written; 0 means no limit.
	MaxBytes int64 `mapstructure:"max_bytes"`
}

// Validate implements xconfmap.Validator.
func (r ArtifactRules) Validate() error {
	var errs []error
	for _, list := range []struct {
		key      string
		patterns []string
	}{{"include", r.Include}, {"exclude", r.Exclude}} {
		for i, pattern := range list.patterns {
			if pattern == "" {
				errs = append(errs, fmt.Errorf("`%s[%d]` must not be empty: write a pattern such as *.json, or remove it", list.key, i))
			} else if _, err := glob.Compile(pattern, '/'); err != nil {
				errs = append(errs, fmt.Errorf("`%s[%d]`: %q is no pattern (%w): use *, **, ?, [a-z] or {json,txt}, with a backslash before what is meant literally", list.key, i, pattern, err))
			}
		}
	}
	if r.MaxBytes < 0 {
		errs = append(errs, fmt.Errorf("`max_bytes` must be positive, or 0 for no limit, found %d", r.MaxBytes))
	}
	return errors.Join(errs...)
}

// Compile makes the patterns ready. It is an error when one of them is none.
func (r ArtifactRules) Compile() (*ArtifactFilter, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return &ArtifactFilter{include: compile(r.Include), exclude: compile(r.Exclude), maxBytes: r.MaxBytes}, nil
}

func compile(patterns []string) []glob.Glob {
	out := make([]glob.Glob, len(patterns))
	for i, pattern := range patterns {
		out[i] = glob.MustCompile(pattern, '/') // Validate has compiled it
	}
	return out
}

// ArtifactFilter is the compiled form of ArtifactRules; nil keeps every artifact.
type ArtifactFilter struct {
	include, exclude []glob.Glob
	maxBytes         int64
}

func (f *ArtifactFilter) keeps(a Artifact) bool {
	if f == nil {
		return true
	}
	return (len(f.include) == 0 || matches(f.include, a.Path)) && !matches(f.exclude, a.Path) &&
		(f.maxBytes == 0 || int64(len(a.Content)) <= f.maxBytes)
}

// matches looks at the whole path, and at the file's name for patterns without a slash,
// so that *.json means every JSON file.
func matches(patterns []glob.Glob, p string) bool {
	for _, g := range patterns {
		if g.Match(p) || g.Match(path.Base(p)) {
			return true
		}
	}
	return false
}
