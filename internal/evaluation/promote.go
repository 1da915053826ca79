package evaluation

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/technoshare/commentator/internal/commentator"
)

// Promotion is what became of an example that was to be added.
type Promotion string

// The promotions.
const (
	Added     Promotion = "added"
	Merged    Promotion = "merged"    // the link was there; tags, notes or theme were completed
	Unchanged Promotion = "unchanged" // the link was there, with all of that
)

// Promote adds an example, whose id is made of its link, unless the dataset has the link: then it
// completes tags, notes and expected theme of the one that is there. key makes addresses of one
// page equal.
func (d *Dataset) Promote(e Example, key func(link string) string) (id string, p Promotion) {
	for i := range d.Examples {
		old := &d.Examples[i]
		if key(old.URL) != key(e.URL) {
			continue
		}
		if !old.complete(e) {
			return old.ID, Unchanged
		}
		d.changed[old.ID] = true
		return old.ID, Merged
	}
	e.ID = d.freeID(e.URL)
	d.Put(e)
	return e.ID, Added
}

// complete takes from another example on the same page what this one lacks, and reports whether
// there was anything.
func (e *Example) complete(o Example) (changed bool) {
	for _, t := range o.Tags {
		if !slices.Contains(e.Tags, t) {
			e.Tags, changed = append(e.Tags, t), true
		}
	}
	if e.ExpectedTheme == "" && o.ExpectedTheme != "" {
		e.ExpectedTheme, changed = o.ExpectedTheme, true
	}
	if o.Notes != "" && !strings.Contains(e.Notes, o.Notes) {
		e.Notes, changed = strings.TrimSpace(e.Notes+" "+o.Notes), true
	}
	return changed
}

// Changed reports whether anything was put into the dataset.
func (d *Dataset) Changed() bool { return len(d.changed) > 0 }

// freeID makes an id of the last part of an address, or of its host.
func (d *Dataset) freeID(link string) string {
	name := ""
	if u, err := url.Parse(link); err == nil {
		last := path.Base(u.Path)
		if last == "/" || last == "." {
			last = u.Hostname()
		}
		name = slug(strings.TrimSuffix(last, path.Ext(last)))
	}
	if name == "" {
		name = "example"
	}
	taken := func(id string) bool {
		return slices.ContainsFunc(d.Examples, func(e Example) bool { return e.ID == id })
	}
	id := name
	for n := 2; taken(id); n++ {
		id = name + "-" + strconv.Itoa(n)
	}
	return id
}

// maxSlug leaves room for a number.
const maxSlug = 60

func slug(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			return unicode.ToLower(r)
		default:
			return '-'
		}
	}, s)
	for strings.Contains(s, "--") {
		s = strings.ReplaceAll(s, "--", "-")
	}
	s = strings.Trim(s, "-")
	return strings.Trim(s[:min(len(s), maxSlug)], "-")
}

// EvidenceOf returns the evidence that a job's retrieval recorded last; false: none.
func EvidenceOf(stages []commentator.StageRecord) (e commentator.Evidence, ok bool, err error) {
	for _, rec := range slices.Backward(stages) {
		if rec.Stage != commentator.StageRetrieval || rec.Failed() || len(rec.Result) == 0 || string(rec.Result) == "null" {
			continue
		}
		if err := json.Unmarshal(rec.Result, &e); err != nil {
			return e, false, fmt.Errorf("read evidence of job %d: %w", rec.JobID, err)
		}
		return e, true, nil
	}
	return e, false, nil
}
