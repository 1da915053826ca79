package retrieval

import (
	"net/url"
	"strings"
	"testing"
	"unicode"
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
		"<title>" + strings.Repeat("Tides and ", 50) + "</title><p>A b c d.", "# " + strings.Repeat("潮", 400) + "\n\nText is here.\n",
	} {
		f.Add([]byte(body), "utf-8", true)
		f.Add([]byte(body), "", false)
	}
	link := &url.URL{Scheme: "https", Host: "example.com", Path: "/page"}
	a := &genericAdapter{}
	f.Fuzz(func(t *testing.T, body []byte, charset string, isHTML bool) {
		p := &page{url: link, charset: charset, body: body}
		if isHTML {
			p.format = formatHTML
		}
		e := a.evidence(p, readDocument(p), limits{snippets: 5, chars: 80})
		if len(e.Snippets) > 5 || len(e.Sources) != 1 || e.Snippets == nil || e.Errors == nil {
			t.Errorf("evidence %+v", e)
		}
		if (len(e.Snippets) == 0) != (e.Coverage == commentator.CoverageFailed) {
			t.Errorf("%d snippets with coverage %s", len(e.Snippets), e.Coverage)
		}
		if (len(e.Errors) == 0) != (e.Coverage == commentator.CoverageFull) {
			t.Errorf("coverage %s with errors %q", e.Coverage, e.Errors)
		}
		if title := e.Sources[0].Title; utf8.RuneCountInString(title) > maxTitle || !utf8.ValidString(title) {
			t.Errorf("title %q", title)
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

// Whatever arXiv's API sends, a paper has a title and an abstract of one line each, or there
// is none.
func FuzzParsePaper(f *testing.F) {
	for _, name := range []string{"paper.xml", "old_paper.xml", "error.xml", "empty.xml"} {
		f.Add([]byte(recorded(f, "arxiv/"+name)))
	}
	f.Add([]byte("Rate exceeded."))
	f.Add([]byte(`<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><feed xmlns="http://www.w3.org/2005/Atom"><entry><title>&b;</title></entry></feed>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := parsePaper(body)
		if err != nil {
			return
		}
		for _, text := range append([]string{p.title, p.abstract, p.about()}, p.authors...) {
			if strings.ContainsAny(text, "\n\r\x00") || !utf8.ValidString(text) {
				t.Errorf("%q is not one line", text)
			}
		}
		if p.title == "" || p.abstract == "" {
			t.Errorf("a paper without title or abstract: %+v", p)
		}
	})
}

// Whatever link is shared, a request to GitHub's API stays below the repository.
func FuzzParseGithub(f *testing.F) {
	for _, path := range []string{"/o/r", "/o/r/blob/main/a/b.md", "/o/r/issues/1", "/o/r/pull/2/files", "/o/r/releases/tag/v1/2", "/o/../r", "/o/r/blob/x/../../y.md", "/o/r/blob/main/a%2f..%2fb.md"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		link, err := url.Parse("https://github.com" + path)
		if err != nil || link.Hostname() != "github.com" {
			return
		}
		l := parseGithub(link)
		if l.kind == githubOther {
			return
		}
		asked, err := url.Parse("https://api.github.com" + l.api(append([]string{"contents"}, strings.Split(l.file, "/")...)...))
		if err != nil {
			t.Fatal(err)
		}
		if clean := asked.JoinPath(); !strings.HasPrefix(clean.EscapedPath(), "/repos/"+l.owner+"/"+l.repo+"/contents") {
			t.Errorf("%q asks for %s", path, clean)
		}
	})
}

// Whatever PDFium says is on a page, blocks are single lines and lose no word.
func FuzzPDFBlocks(f *testing.F) {
	f.Add("1 Introduction\r\nThe water rose by a hand during the night\r\nof the storm.\r\n", "7\r\nmas\u00ad\r\nter")
	f.Add("\x02\n\ufffe", "A-\nb")
	f.Fuzz(func(t *testing.T, first, second string) {
		first, second = cleanUTF8([]byte(first)), cleanUTF8([]byte(second))
		letters := func(s string) (n int) {
			for _, r := range s {
				if unicode.IsLetter(r) {
					n++
				}
			}
			return n
		}
		total := 0
		for _, block := range pdfBlocks([]string{first, second}) {
			if block == "" || strings.ContainsAny(block, "\n\r\x00") || !utf8.ValidString(block) {
				t.Errorf("block %q", block)
			}
			total += letters(block)
		}
		// Numbers of pages may hold "page" and "of".
		if want := letters(first + second); total > want || total < want-4*len("pageof") {
			t.Errorf("%d of %d letters are left", total, want)
		}
	})
}
