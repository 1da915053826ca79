package evaluation

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/boundedfile"
	"github.com/technoshare/commentator/internal/commentator"
)

// Dataset is a list of links with what is known of them: data/eval_dataset.json. Its format is
// that of the old deployment; Evidence is new.
type Dataset struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Version     string `json:"version"` // as its author calls it
	// Evidence is the folder, relative to the file, with what was retrieved for each example:
	// <id>.json. Default: eval/evidence.
	Evidence string    `json:"evidence,omitempty"`
	Examples []Example `json:"examples"`

	path    string
	changed map[string]bool // ids of examples whose evidence is to be written
}

// Example is a link that somebody shares.
type Example struct {
	ID        string `json:"id"` // part of metric names: letters, digits, - and _
	URL       string `json:"url"`
	SlackText string `json:"slack_text"` // the message with the link
	// ExpectedTheme is the theme of ours that a comment should relate the page to; empty: none
	// in particular.
	ExpectedTheme string   `json:"expected_theme"`
	Tags          []string `json:"tags"`
	Notes         string   `json:"notes"`

	// Recorded is what was retrieved, from the file of its own.
	Recorded commentator.Evidence `json:"-"`
}

// defaultEvidence is the folder of the evidence unless the dataset says otherwise.
const defaultEvidence = "eval/evidence"

var exampleID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,79}$`)

// LoadDataset reads a dataset with its evidence. An expected theme must be one of themes. The
// error joins everything that is wrong, each with its place.
func LoadDataset(path string, themes []string) (*Dataset, error) {
	d, err := readDataset(path)
	if err != nil {
		return nil, fmt.Errorf("read dataset %s: %w", path, err)
	}
	errs := []error{d.validate(themes)}
	for i := range d.Examples {
		if e := &d.Examples[i]; exampleID.MatchString(e.ID) {
			errs = append(errs, d.readEvidence(e))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("read dataset %s: %w", path, err)
	}
	return d, nil
}

// maxDataset bounds a dataset, and the evidence of an example, in bytes.
const maxDataset = 64 << 20

func readDataset(path string) (*Dataset, error) {
	text, err := boundedfile.Read(path, maxDataset)
	if err != nil {
		return nil, err
	}
	d := &Dataset{path: path}
	if err := decodeStrict(text, d); err != nil {
		return nil, err
	}
	if d.Evidence == "" {
		d.Evidence = defaultEvidence
	}
	return d, nil
}

// decodeStrict decodes one JSON value; an error names line and column.
func decodeStrict(text []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	at := dec.InputOffset()
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil && dec.More():
		return fmt.Errorf("line %d: there is something behind the JSON value", line(text, at))
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d: %w", line(text, syntax.Offset), err)
	case errors.As(err, &kind):
		return fmt.Errorf("line %d: %s must be of type %s, not %s", line(text, kind.Offset), kind.Field, kind.Type, kind.Value)
	case err != nil:
		return fmt.Errorf("line %d: %w", line(text, at), err)
	}
	return nil
}

func line(text []byte, offset int64) int {
	return 1 + bytes.Count(text[:min(int(offset), len(text))], []byte("\n"))
}

func (d *Dataset) validate(themes []string) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if strings.TrimSpace(d.Name) == "" {
		bad("name is empty")
	}
	if len(d.Examples) == 0 {
		bad("there are no examples")
	}
	seen := map[string]int{}
	for i, e := range d.Examples {
		at := fmt.Sprintf("examples[%d]", i)
		switch first, twice := seen[e.ID]; {
		case !exampleID.MatchString(e.ID):
			bad("%s: id %q must be 1 to 80 letters, digits, - or _, and begin with a letter or digit", at, e.ID)
		case twice:
			bad("%s: id %q is that of examples[%d] too", at, e.ID, first)
		default:
			seen[e.ID] = i
		}
		if u, err := url.Parse(e.URL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			bad("%s (%s): url %q is no http or https address", at, e.ID, e.URL)
		}
		if e.ExpectedTheme != "" && !slices.Contains(themes, e.ExpectedTheme) {
			bad("%s (%s): expected_theme %q is none of %s", at, e.ID, e.ExpectedTheme, strings.Join(themes, ", "))
		}
	}
	return errors.Join(errs...)
}

// EvidencePath is the file with the evidence of an example.
func (d *Dataset) EvidencePath(id string) string {
	return filepath.Join(filepath.Dir(d.path), filepath.FromSlash(d.Evidence), id+".json")
}

func (d *Dataset) readEvidence(e *Example) error {
	path := d.EvidencePath(e.ID)
	text, err := boundedfile.Read(path, maxDataset)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("example %s has no evidence: %s is not there; record it with `commentator eval promote`", e.ID, path)
	}
	if err != nil {
		return fmt.Errorf("read evidence of example %s: %w", e.ID, err)
	}
	if err := decodeStrict(text, &e.Recorded); err != nil {
		return fmt.Errorf("read evidence of example %s: %s: %w", e.ID, path, err)
	}
	ids := map[string]bool{}
	for i, s := range e.Recorded.Snippets {
		if s.ID == "" || ids[s.ID] {
			return fmt.Errorf("read evidence of example %s: %s: snippets[%d]: id %q is empty or there twice", e.ID, path, i, s.ID)
		}
		ids[s.ID] = true
	}
	switch e.Recorded.Coverage {
	case commentator.CoverageFull, commentator.CoveragePartial, commentator.CoverageFailed:
		return nil
	}
	return fmt.Errorf("read evidence of example %s: %s: coverage %q is none of full, partial, failed", e.ID, path, e.Recorded.Coverage)
}

// Hash identifies the example and its evidence. When the evidence was fetched does not count.
func (e Example) Hash() string {
	recorded := e.Recorded
	recorded.Sources = slices.Clone(recorded.Sources)
	for i := range recorded.Sources {
		recorded.Sources[i].FetchedAt = time.Time{}
	}
	return hashJSON(struct {
		Example  Example              `json:"example"`
		Evidence commentator.Evidence `json:"evidence"`
	}{e, recorded})
}

// Hash identifies the content of the dataset, whatever the order of its examples.
func (d *Dataset) Hash() string {
	parts := make([]string, 0, len(d.Examples)+1)
	for _, e := range d.Examples {
		parts = append(parts, e.ID+" "+e.Hash())
	}
	slices.Sort(parts)
	return hashJSON(append(parts, d.Name))
}

func hashJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("hash: %v", err)) // strings and lists of them always marshal
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Select returns the examples with one of ids or one of tags; all when neither is given. An id or
// tag that no example has is an error.
func (d *Dataset) Select(ids, tags []string) ([]Example, error) {
	if len(ids) == 0 && len(tags) == 0 {
		return d.Examples, nil
	}
	found := map[string]bool{}
	var out []Example
	for _, e := range d.Examples {
		take := slices.Contains(ids, e.ID)
		found["id "+e.ID] = true
		for _, t := range e.Tags {
			found["tag "+t] = true
			take = take || slices.Contains(tags, t)
		}
		if take {
			out = append(out, e)
		}
	}
	var errs []error
	for _, id := range ids {
		if !found["id "+id] {
			errs = append(errs, fmt.Errorf("dataset %s has no example %q", d.Name, id))
		}
	}
	for _, t := range tags {
		if !found["tag "+t] {
			errs = append(errs, fmt.Errorf("dataset %s has no example with tag %q", d.Name, t))
		}
	}
	return out, errors.Join(errs...)
}
