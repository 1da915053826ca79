package commentator

import "time"

// Coverage says how much of a page became evidence.
type Coverage string

// The coverages.
const (
	CoverageFull    Coverage = "full"
	CoveragePartial Coverage = "partial"
	CoverageFailed  Coverage = "failed"
)

// Evidence is what was retrieved for a link.
type Evidence struct {
	Adapter  string    `json:"adapter"` // "GenericAdapter", …
	Sources  []Source  `json:"sources"`
	Snippets []Snippet `json:"snippets"`
	Coverage Coverage  `json:"coverage"`
	Errors   []string  `json:"errors"`
}

// Source is a document that was fetched.
type Source struct {
	URL       string    `json:"url"` // after redirects
	Title     string    `json:"title"`
	FetchedAt time.Time `json:"fetched_at"`
}

// Snippet is a piece of text of a source, in reading order.
type Snippet struct {
	ID        string `json:"id"` // "s1", "s2", …; unique within the evidence
	Content   string `json:"content"`
	SourceURL string `json:"source_url"`
}
