package retrieval

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// dropNotes takes the marks of footnotes out of a page: they are no part of its sentences,
// and behind a full stop they hide where one ends.
func dropNotes(root *html.Node) {
	var marks []*html.Node
	for n := range root.Descendants() {
		if isNote(n) {
			marks = append(marks, n)
		}
	}
	for _, n := range marks {
		n.Parent.RemoveChild(n)
	}
}

// isNote reports whether an element is the mark of a footnote: declared as one (DPUB-ARIA),
// one of MediaWiki's, or a superscript that is a link to a place in the page.
func isNote(n *html.Node) bool {
	switch n.DataAtom {
	case atom.A:
		return attribute(n, "role") == "doc-noteref"
	case atom.Sup:
		return attribute(n, "role") == "doc-noteref" || slices.Contains(strings.Fields(attribute(n, "class")), "reference") ||
			inPage(n.Parent) && n.Parent.FirstChild == n && n.Parent.LastChild == n || holdsLinksInPage(n)
	}
	return false
}

// holdsLinksInPage reports whether an element holds nothing but links to places in its own
// page, and what stands between them.
func holdsLinksInPage(n *html.Node) bool {
	links := false
	for c := range n.ChildNodes() {
		if inPage(c) {
			links = true
		} else if c.Type != html.TextNode || strings.Trim(c.Data, "[](), \n\t") != "" {
			return false
		}
	}
	return links
}

// inPage reports whether an element is a link to a place in its own page.
func inPage(n *html.Node) bool {
	return n.DataAtom == atom.A && strings.HasPrefix(attribute(n, "href"), "#")
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}
