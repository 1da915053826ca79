package retrieval

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
)

func TestBrokenHTMLIsRead(t *testing.T) {
	const sentence = "The harbour master wrote down the height of the water every hour."
	for name, page := range map[string]string{
		"nothing closed":       "<html><body><div><p>" + strings.Repeat(sentence+"<p>", 12),
		"wrong nesting":        "<b><p>" + strings.Repeat(sentence+" ", 12) + "</b></i></p></table></div>",
		"text after the end":   "<html><body></body></html>" + strings.Repeat("<p>"+sentence+"</p>", 12),
		"no markup":            strings.Repeat(sentence+" ", 12),
		"open attribute":       "<p class='x>y'>" + strings.Repeat(sentence+" ", 12) + "</p><a href=\"never closed>",
		"cut in a tag":         "<p>" + strings.Repeat(sentence+" ", 12) + "</p><di",
		"nested too deep":      strings.Repeat("<div>", 2000) + strings.Repeat("<p>"+sentence+"</p>", 12),
		"entities":             "<p>" + strings.Repeat("The harbour master wrote&nbsp;down the height&#32;of the water every hour. ", 12),
		"zero bytes and marks": "<p>" + strings.Repeat("The harbour master\u200b wrote down\x01 the height of the wa\u00adter every hour. ", 12),
	} {
		t.Run(name, func(t *testing.T) {
			e := get(t, newTest(t), serveBody(t, "text/html; charset=utf-8", page).URL)
			if !strings.HasPrefix(textOf(e), sentence) {
				t.Errorf("text %.100q, coverage %s", textOf(e), e.Coverage)
			}
		})
	}
}

func TestPageTooLargeForReadabilityFallsBackToItsText(t *testing.T) {
	page := "<title>Big</title><script>no</script>" + strings.Repeat("<p>The water rose by a hand during the night.<i></i></p>", maxElements)
	e := get(t, newTest(t), serveBody(t, "text/html", page).URL)
	if e.Coverage != commentator.CoveragePartial || e.Sources[0].Title != "Big" || len(e.Snippets) != DefaultMaxSnippets {
		t.Errorf("coverage %s, title %q, %d snippets", e.Coverage, e.Sources[0].Title, len(e.Snippets))
	}
}

func TestProseIsToldFromMarkup(t *testing.T) {
	root := parseHTML(t, `<body><h2>A heading.</h2><p>One <b>bold</b> word<sup>2</sup>.</p>
		<ul><li>First item.</li><li>Second<br>item.</li></ul><pre>code.</pre><p hidden>Hidden.</p><table><tr><td>Left.</td><td>Right.</td></tr></table></body>`)
	want := []string{"One bold word2.", "First item.", "Second", "item.", "Left.", "Right."}
	if diff := cmp.Diff(want, nodeBlocks(root)); diff != "" {
		t.Errorf("blocks (-want +got):\n%s", diff)
	}
}

func TestFootnotesAreNoPartOfSentences(t *testing.T) {
	for name, mark := range map[string]string{
		"MediaWiki":           `<sup id="cite_ref-1" class="reference"><a href="#cite_note-1"><span>&#91;</span>1<span>&#93;</span></a></sup>`,
		"MediaWiki's Parsoid": `<sup class="mw-ref reference" typeof="mw:Extension/ref"><a href="./Tide#cite_note-1"><span class="mw-reflink-text">[note 1]</span></a></sup>`,
		"Markdown":            `<sup id="fnref:1"><a class="footnote-ref" href="#fn:1">1</a></sup>`,
		"Pandoc":              `<a href="#fn1" id="fnref1" role="doc-noteref"><sup>1</sup></a>`,
		"an old hand":         `<a href="#n1"><sup>1</sup></a>`,
		"in brackets":         `<sup>[<a href="#n1">1</a>, <a href="#n2">2</a>]</sup>`,
		"as text":             `[1][2]`,
	} {
		t.Run(name, func(t *testing.T) {
			const sentence = "The harbour master wrote down the height of the water every hour."
			page := "<title>Tide</title><article>" + strings.Repeat("<p>"+strings.Repeat(sentence+mark+" ", 3)+"</p>", 8) + "</article>"
			e := get(t, newTest(t), serveBody(t, "text/html; charset=utf-8", page).URL)
			if got, want := textOf(e), strings.TrimSpace(strings.Repeat(sentence+" ", 24)); strings.Join(strings.Fields(got), " ") != want {
				t.Errorf("text %.200q", got)
			}
		})
	}
}

func TestFootnotesOfGitHubAreNoPartOfSentences(t *testing.T) {
	const readme = `<p>It rose.<sup><a href="#user-content-fn-1" id="user-content-fnref-1" data-footnote-ref>1</a></sup> It fell.</p>`
	if diff := cmp.Diff([]string{"It rose. It fell."}, htmlBlocks(readme)); diff != "" {
		t.Errorf("blocks (-want +got):\n%s", diff)
	}
}

func TestOtherSuperscriptsAreKept(t *testing.T) {
	const page = `<p>It is 5 m<sup>2</sup>, see <sup>the <a href="#x">table</a></sup>, <a href="#y">Table <sup>2</sup></a> and <sup><a href="/tm">TM</a></sup>.</p>`
	root := parseHTML(t, page)
	dropNotes(root)
	if diff := cmp.Diff([]string{"It is 5 m2, see the table, Table 2 and TM."}, nodeBlocks(root)); diff != "" {
		t.Errorf("blocks (-want +got):\n%s", diff)
	}
}

// A snippet ends where a sentence does, also when an abbreviation or an initial is where it gets full.
func TestSnippetsHoldWholeSentences(t *testing.T) {
	const first = "Tables are as old as harbours are."
	for _, second := range []string{
		"The art was described by Dr. Knuth and it has hardly changed since.",
		"The art was described by D. Knuth and it has hardly changed since.",
		"The art was described in vol. One and it has hardly changed since.",
		"The art was described in the U.K. Navy and it has hardly changed.",
		"The tool was made by Acme Inc. CEO Jane Doe says so to this day.",
		"See https://example.org/a?Page=2&x=Y!z for all that has changed.",
	} {
		got, cut := makeSnippets([]string{first + " " + second}, "u", 9, 80)
		if len(got) != 2 || got[0].Content != first || got[1].Content != second || cut {
			t.Errorf("%q became %+v", second, got)
		}
	}
}

func TestSnippetPacking(t *testing.T) {
	long := strings.TrimSpace(strings.Repeat("word ", 40)) + "." // 200 characters
	piece := strings.TrimSpace(strings.Repeat("word ", 16))
	fragments := []string{"One is here.", "a fragment that is long enough to say something", "Two is here."}
	for _, tt := range []struct {
		name   string
		blocks []string
		limit  int
		want   []string
		cut    bool
	}{
		{"sentences share a snippet while they fit", []string{"One is here. Two is here.", "Three is here."}, 9, []string{"One is here. Two is here. Three is here."}, false},
		{"a sentence that does not fit starts the next", []string{strings.Repeat("Sixteen letters. ", 6)}, 9, []string{strings.TrimSpace(strings.Repeat("Sixteen letters. ", 4)), "Sixteen letters. Sixteen letters."}, false},
		{"a label is dropped", []string{"By Ann, 2026", "One is here."}, 9, []string{"One is here."}, false},
		{"a long fragment stays alone", fragments, 9, fragments, false},
		{"a long sentence is cut between words", []string{long}, 9, []string{piece, piece, piece[:39] + "."}, false},
		{"the limit cuts", []string{long}, 2, []string{piece, piece}, true},
		{"nothing", nil, 9, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, cut := makeSnippets(tt.blocks, "u", tt.limit, 80)
			var text []string
			for _, s := range got {
				text = append(text, s.Content)
				if utf8.RuneCountInString(s.Content) > 80 {
					t.Errorf("%s is too long", s.ID)
				}
			}
			if diff := cmp.Diff(tt.want, text); diff != "" || cut != tt.cut {
				t.Errorf("cut %v, want %v (-want +got):\n%s", cut, tt.cut, diff)
			}
		})
	}
}
