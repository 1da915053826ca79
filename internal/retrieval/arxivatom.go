package retrieval

import (
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// paper is what arXiv's API says of a paper.
type paper struct {
	title      string
	abstract   string
	authors    []string
	categories []string // the primary one first
	published  time.Time
	updated    time.Time
}

var errNoPaper = errors.New("no entry")

// atomFeed is an answer of arXiv's API, as its manual describes it.
type atomFeed struct {
	XMLName xml.Name `xml:"http://www.w3.org/2005/Atom feed"`
	Entries []struct {
		ID        string `xml:"http://www.w3.org/2005/Atom id"`
		Title     string `xml:"http://www.w3.org/2005/Atom title"`
		Summary   string `xml:"http://www.w3.org/2005/Atom summary"`
		Published string `xml:"http://www.w3.org/2005/Atom published"`
		Updated   string `xml:"http://www.w3.org/2005/Atom updated"`
		Authors   []struct {
			Name string `xml:"http://www.w3.org/2005/Atom name"`
		} `xml:"http://www.w3.org/2005/Atom author"`
		Primary struct {
			Term string `xml:"term,attr"`
		} `xml:"http://arxiv.org/schemas/atom primary_category"`
		Categories []struct {
			Term string `xml:"term,attr"`
		} `xml:"http://www.w3.org/2005/Atom category"`
	} `xml:"http://www.w3.org/2005/Atom entry"`
}

// parsePaper reads the first entry of a feed. A mistake in the question is answered by a
// feed with status 200 too, whose one entry has the title Error and an address below
// /api/errors. A paper that does not exist is no entry, or one without a title.
func parsePaper(body []byte) (paper, error) {
	var feed atomFeed
	if err := xml.Unmarshal(body, &feed); err != nil {
		return paper{}, fmt.Errorf("its answer is no Atom feed: %w", err)
	}
	if len(feed.Entries) == 0 {
		return paper{}, errNoPaper
	}
	e := feed.Entries[0]
	if strings.Contains(e.ID, "/api/errors") {
		return paper{}, fmt.Errorf("it says: %s", shorten(oneLine(e.Summary)))
	}
	p := paper{title: oneLine(e.Title), abstract: oneLine(e.Summary), published: atomTime(e.Published), updated: atomTime(e.Updated)}
	if p.title == "" || p.abstract == "" {
		return paper{}, errNoPaper
	}
	for _, author := range e.Authors {
		if name := oneLine(author.Name); name != "" {
			p.authors = append(p.authors, name)
		}
	}
	add := func(category string) {
		if category = oneLine(category); category != "" && !slices.Contains(p.categories, category) {
			p.categories = append(p.categories, category)
		}
	}
	add(e.Primary.Term)
	for _, c := range e.Categories {
		add(c.Term)
	}
	return p, nil
}

func atomTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339, strings.TrimSpace(s))
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// initial matches the point behind a letter that stands for a name, which would end a
// sentence.
var initial = regexp.MustCompile(`\b(\p{Lu})\.`)

const (
	namedAuthors    = 6
	namedCategories = 4
	dateLayout      = "2 January 2006"
)

// about says in a sentence who wrote the paper, when, and what it is filed under.
func (p paper) about() string {
	var parts []string
	if len(p.authors) > 0 {
		names := p.authors
		if len(names) > namedAuthors {
			names = append(slices.Clone(names[:namedAuthors-1]), fmt.Sprintf("%d others", len(names)-namedAuthors+1))
		}
		parts = append(parts, "is by "+initial.ReplaceAllString(enumerate(names), "$1"))
	}
	if !p.published.IsZero() {
		parts = append(parts, "was submitted to arXiv on "+p.published.Format(dateLayout))
	}
	if p.updated.After(p.published) && !p.published.IsZero() {
		parts = append(parts, "was last changed on "+p.updated.Format(dateLayout))
	}
	if n := len(p.categories); n > 0 {
		parts = append(parts, "is filed under "+enumerate(p.categories[:min(n, namedCategories)]))
	}
	if len(parts) == 0 {
		return ""
	}
	return "The paper " + enumerateWith(parts, ", ", ", and ") + "."
}

func enumerate(list []string) string { return enumerateWith(list, ", ", " and ") }

func enumerateWith(list []string, comma, last string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], comma) + last + list[len(list)-1]
}
