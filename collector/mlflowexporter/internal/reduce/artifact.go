package reduce

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/patterns"
	"github.com/technoshare/commentator/internal/wire"
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
			} else if err := checkPattern(pattern); err != nil {
				errs = append(errs, fmt.Errorf("`%s[%d]`: %q is no pattern: %w", list.key, i, pattern, err))
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
	return &ArtifactFilter{include: r.Include, exclude: r.Exclude, maxBytes: r.MaxBytes}, nil
}

// literal is what stands for itself in a pattern, or for one character: an escaped one, a class.
var literal = regexp.MustCompile(`\\.|\[[^]]*]`)

// besideText are ** with something else between the slashes, which doublestar takes for a *.
var besideText = regexp.MustCompile(`[^/]\*\*|\*\*[^/]`)

// maxAlternatives is where the braces of a pattern stand for more than anybody means.
const maxAlternatives = 1000

// checkPattern says what is wrong with a pattern, and what to write. A pattern that matches
// less than it seems to would let files through that are meant to be kept back.
func checkPattern(pattern string) error {
	if !doublestar.ValidatePattern(pattern) {
		return errors.New("close each [ and {, and write a backslash before one that is meant literally; use *, **, ?, [a-z] or {json,txt}")
	}
	for _, class := range literal.FindAllString(pattern, -1) {
		if _, err := path.Match(strings.Replace(class, "[!", "[^", 1), ""); class[0] == '[' && err != nil {
			return fmt.Errorf("%s is no class of characters: write one such as [a-z] or [!a]", class)
		}
	}
	if err := patterns.CheckRanges(pattern); err != nil {
		return err
	}
	plain := literal.ReplaceAllString(pattern, "x")
	if strings.Contains(plain, "//") {
		return errors.New("no path has an empty part: write a single slash")
	}
	all := alternatives(plain, nil)
	if len(all) > maxAlternatives {
		return fmt.Errorf("its braces stand for more than %d patterns: write several", maxAlternatives)
	}
	for _, one := range all {
		if besideText.MatchString(one) {
			return errors.New("** must stand alone between slashes, as in raw/** or **/*.json: write it so, or a single *")
		}
		if strings.HasPrefix(one, "/") || strings.HasPrefix(one, "./") || strings.HasSuffix(one, "/") {
			return errors.New("paths begin and end with a name: write raw/** for all that is in raw")
		}
		for _, part := range strings.Split(one, "/") {
			if part == "." || part == ".." {
				return fmt.Errorf("no path has a part %s: write the path below the run's artifacts, as in raw/*.json", part)
			}
		}
	}
	return nil
}

// alternatives adds the patterns without braces that a valid pattern stands for.
func alternatives(pattern string, all []string) []string {
	start := strings.IndexByte(pattern, '{')
	if start < 0 || len(all) > maxAlternatives {
		return append(all, pattern)
	}
	var choices []string
	depth, from := 0, start+1
	for i := start; i < len(pattern); i++ {
		switch pattern[i] {
		case '{':
			depth++
		case '}':
			depth--
		}
		if last := depth == 0; last || depth == 1 && pattern[i] == ',' {
			choices = append(choices, pattern[from:i])
			if from = i + 1; last {
				break
			}
		}
	}
	for _, choice := range choices {
		all = alternatives(pattern[:start]+choice+pattern[from:], all)
	}
	return all
}

// ArtifactFilter is ArtifactRules that were checked; nil keeps every artifact.
type ArtifactFilter struct {
	include, exclude []string
	maxBytes         int64
}

// keeps reports whether a file is written. Folder is where the flat layout puts it: patterns may
// speak of its path with that folder and without.
func (f *ArtifactFilter) keeps(a Artifact, folder string) bool {
	if f == nil {
		return true
	}
	match := func(patterns []string) bool {
		return matches(patterns, a.Path) || (folder != "" && matches(patterns, folder+"/"+a.Path))
	}
	return (len(f.include) == 0 || match(f.include)) && !match(f.exclude) && (f.maxBytes == 0 || int64(len(a.Content)) <= f.maxBytes)
}

// matches looks at the whole path, and at the file's name for patterns without a slash,
// so that *.json means every JSON file.
func matches(patterns []string, p string) bool {
	for _, pattern := range patterns {
		if doublestar.MatchUnvalidated(pattern, p) || doublestar.MatchUnvalidated(pattern, path.Base(p)) {
			return true
		}
	}
	return false
}

// artifactOf reads one event, and the hash that the worker gave it. It says what is wrong with one that is
// no file, and what to write.
func artifactOf(e ptrace.SpanEvent) (a Artifact, sum, wrong string) {
	get := func(key string) string {
		v, ok := e.Attributes().Get(key)
		if !ok {
			return ""
		}
		return v.AsString()
	}
	a.Path = escapes.ReplaceAllString(get(wire.AttrArtifactName), "_$1")
	if a.Path == "" {
		return a, "", "an artifact without `" + wire.AttrArtifactName + "`: give it a path such as raw/page.html"
	}
	if !validPath(a.Path) {
		return a, "", a.Path + " is no path of an artifact: write one such as raw/page.html, without .., #, \\ and control characters, of parts up to 255 bytes"
	}
	content, ok := e.Attributes().Get(wire.AttrArtifactContent)
	if !ok {
		return a, "", a.Path + " has no `" + wire.AttrArtifactContent + "`, which is the file"
	}
	if content.Type() == pcommon.ValueTypeBytes {
		a.Content = content.Bytes().AsRaw()
	} else {
		a.Content = []byte(content.AsString())
	}
	hash := sha256.Sum256(a.Content)
	a.SHA256 = hex.EncodeToString(hash[:])
	a.MediaType = get(wire.AttrArtifactMediaType)
	if v, ok := e.Attributes().Get(wire.AttrArtifactTruncated); ok {
		a.Truncated = v.Type() == pcommon.ValueTypeBool && v.Bool()
	}
	return a, strings.ToLower(get(wire.AttrArtifactSHA256)), ""
}

// escapes are what MLflow decodes in a path until nothing is left to decode, so that a%2Fb.txt
// would be written as a/b.txt.
var escapes = regexp.MustCompile(`%([0-9A-Fa-f]{2})`)

// validPath reports whether MLflow takes the text as path of an artifact: relative, clean,
// without #, backslash or control characters, no part longer than a file name may be.
func validPath(p string) bool {
	if p == "" || p == "." || path.IsAbs(p) || path.Clean(p) != p || strings.ContainsAny(p, "#\\") {
		return false
	}
	for _, part := range strings.Split(p, "/") {
		if part == ".." || len(part) > 255 {
			return false
		}
	}
	return !strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xFFFD })
}
