package retrieval

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/html"

	"github.com/technoshare/commentator/internal/commentator"
)

func parseHTML(t testing.TB, s string) *html.Node {
	t.Helper()
	n, err := html.Parse(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Whatever bytes a server sends, evidence keeps its promises and nothing panics.
func FuzzEvidence(f *testing.F) {
	for _, body := range []string{
		article(2), "", "<p>", "\xff\xfe<\x00p\x00>\x00", "<table><td><p>A b c d.</table>", "# Title\n\nText is here.\n",
		"<svg><title>x</title><p>Text. More text!</svg>", strings.Repeat("<div>", 600) + "Deep text is here.",
		"<script type='application/ld+json'>{\"@context\":\"https://schema.org\",\"@type\":\"Article\",\"name\":1}</script><p>A.</p>",
		"<noscript><img src=x></noscript><img><base href='%zz'><a href='::'>A link.</a>",
	} {
		f.Add([]byte(body), "utf-8", true)
		f.Add([]byte(body), "", false)
	}
	link := &url.URL{Scheme: "https", Host: "example.com", Path: "/page"}
	a := &genericAdapter{maxSnippets: 5, maxChars: 80}
	f.Fuzz(func(t *testing.T, body []byte, charset string, isHTML bool) {
		e := a.evidence(&page{url: link, html: isHTML, charset: charset, body: body})
		if len(e.Snippets) > 5 || len(e.Sources) != 1 || e.Snippets == nil || e.Errors == nil {
			t.Errorf("evidence %+v", e)
		}
		if (len(e.Snippets) == 0) != (e.Coverage == commentator.CoverageFailed) {
			t.Errorf("%d snippets with coverage %s", len(e.Snippets), e.Coverage)
		}
		if (len(e.Errors) == 0) != (e.Coverage == commentator.CoverageFull) {
			t.Errorf("coverage %s with errors %q", e.Coverage, e.Errors)
		}
		for _, s := range e.Snippets {
			if n := utf8.RuneCountInString(s.Content); n == 0 || n > 80 || !utf8.ValidString(s.Content) || strings.ContainsAny(s.Content, "\n\r\x00") {
				t.Errorf("snippet %q of %d characters", s.Content, n)
			}
		}
	})
}

// Links come from people and from redirects.
func FuzzParseLink(f *testing.F) {
	for _, link := range []string{"https://example.com/a?b#c", "http://[::1]:80/", "http://127.1", "//x", "http://a@b", "%", "http://ⓔxample.com"} {
		f.Add(link)
	}
	f.Fuzz(func(t *testing.T, link string) {
		u, err := parseLink(link)
		if err == nil && (u.Hostname() == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https") {
			t.Errorf("%q is accepted as %#v", link, u)
		}
		if err != nil && commentator.ErrorCode(err) == "internal" {
			t.Errorf("%q: error without a code: %v", link, err)
		}
	})
}
