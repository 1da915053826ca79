package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/test/golden"
	"pgregory.net/rapid"
)

func TestReplyGolden(t *testing.T) {
	for name, c := range examples {
		t.Run(name, func(t *testing.T) {
			r := Reply(c, "https://example.org/a?b=1&c=<d>")
			if len(r.Messages) != 1 || r.Messages[0].Text != Slack(c) || r.Text != Slack(c) {
				t.Errorf("%d messages, the first: %q", len(r.Messages), r.Messages[0].Text)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, r.Messages[0].Blocks, "", " "); err != nil {
				t.Fatal(err)
			}
			golden.Equal(t, filepath.Join("testdata", name+".json"), got.Bytes())
		})
	}
}

// node is a block or an element in it.
type node struct {
	Type     string          `json:"type"`
	Elements []node          `json:"elements"`
	Text     *string         `json:"text"`
	URL      *string         `json:"url"`
	Style    json.RawMessage `json:"style"`
	Offset   int             `json:"offset"`
}

func (n node) walk(visit func(node)) {
	visit(n)
	for _, e := range n.Elements {
		e.walk(visit)
	}
}

// words is all that a block shows, without blanks.
func (n node) words() string {
	var b strings.Builder
	n.walk(func(n node) {
		if n.Text != nil {
			b.WriteString(*n.Text)
		}
	})
	return b.String()
}

// check fails unless Slack takes the message and nothing in it is more than words and one link.
func check(t rapid.TB, m commentator.RenderedMessage) (blocks []node) {
	if err := json.Unmarshal(m.Blocks, &blocks); err != nil {
		t.Fatal(err)
	}
	if n := len(blocks); n < 1 || n > 50 {
		t.Fatalf("%d blocks", n)
	}
	if n := utf8.RuneCountInString(m.Text); n > 12_000 || n == 0 {
		t.Fatalf("%d characters of text", n)
	}
	if strings.ContainsAny(m.Text, "<>") || strings.Contains(unescaped.ReplaceAllString(m.Text, ""), "&") || broadcast.MatchString(m.Text) {
		t.Fatalf("markup in %q", m.Text)
	}
	all := 0
	for _, b := range blocks {
		n := utf8.RuneCountInString(b.words())
		if all += n; n > 3_000 {
			t.Fatalf("%d characters in a block", n)
		}
		if b.Type != "rich_text" || len(b.Elements) == 0 {
			t.Fatalf("block of type %s with %d elements", b.Type, len(b.Elements))
		}
		b.walk(func(n node) { checkNode(t, n) })
	}
	if all > 12_000 {
		t.Fatalf("%d characters in all blocks", all)
	}
	return blocks
}

func checkNode(t rapid.TB, n node) {
	switch n.Type {
	case "rich_text", "rich_text_section", "rich_text_list":
		if len(n.Elements) == 0 {
			t.Fatalf("%s without elements", n.Type)
		}
	case "text":
		if n.Text == nil || *n.Text == "" || strings.ContainsAny(*n.Text, "\n\r\x00\x1b\u2028") {
			t.Fatalf("text %q", *n.Text)
		}
	case "link":
		u, err := url.Parse(*n.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.ContainsAny(*n.URL, " <>|\"\n\\`{}^") || len(*n.URL) > 4*maxURL {
			t.Fatalf("link %q: %v", *n.URL, err)
		}
		if n.Text == nil || *n.Text == "" {
			t.Fatal("a link without text")
		}
	default: // user, usergroup, channel, broadcast, …
		t.Fatalf("an element of type %q", n.Type)
	}
}

var hostile = rapid.SampledFrom([]string{
	"**", "*", "`", "```", "_", "~", "<", ">", "&", "|", "<!here>", "<@U0123456789>", "<#C0123456789|x>", "<!subteam^S0123456789>", "<https://evil.example|bank>",
	"@channel", "@HERE", "@", "here", ":smile:", "https://evil.example/", "\n", "\n\n\n", "\r\n", "\u2028", "\x00", "\x1b", "\ufeff", "\u200d", "\u202e", "\xff", " ", "a", "É", "e\u0301",
	"👩‍👩‍👧", "•", "1) ", "&amp;", `{"type":"user","user_id":"U1"}`, `"`, `\`,
})

// sentences are items as a page or a model may have them: nasty, or long, or both.
func sentences(least, most int) *rapid.Generator[[]string] {
	nasty := rapid.Map(rapid.SliceOf(hostile), func(p []string) string { return strings.Join(p, "") })
	long := rapid.Custom(func(t *rapid.T) string {
		return strings.Repeat(rapid.OneOf(hostile, rapid.StringN(1, 5, -1)).Draw(t, "unit"), rapid.IntRange(1, 4000).Draw(t, "times"))
	})
	plain := rapid.StringMatching(`(\*\*[A-Z][a-z]{2,9}\*\* — )?([a-z]{2,9} ){3,30}[a-z]{2,9}\.`)
	return rapid.SliceOfN(rapid.OneOf(plain, plain, nasty, long, rapid.String()), least, most)
}

func comments(inSchema bool) *rapid.Generator[commentator.Comment] {
	return rapid.Custom(func(t *rapid.T) commentator.Comment {
		if !inSchema {
			any := sentences(0, 70)
			return commentator.Comment{TLDR: any.Draw(t, "tldr"), Summary: any.Draw(t, "summary"), Projects: any.Draw(t, "projects"), SimilarTech: any.Draw(t, "similar")}
		}
		return commentator.Comment{
			TLDR: sentences(3, 3).Draw(t, "tldr"), Summary: sentences(10, 15).Draw(t, "summary"),
			Projects: sentences(3, 8).Draw(t, "projects"), SimilarTech: sentences(0, 8).Draw(t, "similar"),
		}
	})
}

func links() *rapid.Generator[string] {
	piece := rapid.OneOf(hostile, rapid.SampledFrom([]string{"https://", "http://", "user:pw@", "example.org", ":443", "/a b", "?q=", "#", "%", "%zz", "[::1]", "javascript:"}))
	joined := rapid.Map(rapid.SliceOfN(piece, 0, 8), func(p []string) string { return strings.Join(p, "") })
	web := rapid.Map(joined, func(s string) string { return "https://example.org/" + s })
	return rapid.OneOf(joined, web, rapid.String())
}

// Any comment and any link become messages that Slack takes, in which nothing but the page's own
// address is more than words.
func TestReplyProperties(t *testing.T) {
	for _, inSchema := range []bool{true, false} {
		t.Run(fmt.Sprintf("in schema %v", inSchema), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				c, link := comments(inSchema).Draw(t, "comment"), links().Draw(t, "link")
				r := Reply(c, link)
				if r.Text != Slack(c) || len(r.Messages) == 0 {
					t.Fatalf("%d messages, text %q", len(r.Messages), r.Text)
				}
				var shown, texts []string
				linked := 0
				for _, m := range r.Messages {
					for _, b := range check(t, m) {
						shown = append(shown, b.words())
						b.walk(func(n node) {
							if n.Type == "link" {
								linked++
							}
						})
					}
					texts = append(texts, m.Text)
				}
				if linked > 1 {
					t.Fatalf("%d links", linked)
				}
				everyTitle(t, shown)
				if len(r.Messages) == 1 && !cut(c) && texts[0] != r.Text {
					t.Fatalf("text %q, want %q", texts[0], r.Text)
				}
				if !cut(c) {
					everyWord(t, c, shown)
				}
			})
		})
	}
}

func cut(c commentator.Comment) bool {
	return slices.ContainsFunc(slices.Concat(c.TLDR, c.Summary, c.Projects, c.SimilarTech), func(s string) bool { return cost(s) > maxItem })
}

func everyTitle(t *rapid.T, shown []string) {
	all := strings.Join(shown, "\n")
	for _, title := range []string{titleTLDR, titleSummary, titleProjects, titleSimilar} {
		if !strings.Contains(all, title) {
			t.Fatalf("%s is not shown", title)
		}
	}
}

// everyWord fails unless every item is shown, in order, but for its marks of format and blanks.
func everyWord(t *rapid.T, c commentator.Comment, shown []string) {
	bare := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r == '*' || r == '`' || unicode.IsSpace(r) {
				return -1
			}
			return r
		}, printable(s))
	}
	rest := bare(strings.Join(shown, " "))
	for _, item := range slices.Concat(c.TLDR, c.Summary, c.Projects, c.SimilarTech) {
		i := strings.Index(rest, bare(item))
		if i < 0 {
			t.Fatalf("%q is not shown", item)
		}
		rest = rest[i+len(bare(item)):]
	}
}

// A comment that is too long for a message is divided between sections.
func TestReplyIsDividedBetweenSections(t *testing.T) {
	long := func(n int) (items []string) {
		for i := range n {
			items = append(items, fmt.Sprintf("%d %s.", i+1, strings.Repeat("word ", 200)))
		}
		return items
	}
	c := commentator.Comment{TLDR: long(3), Summary: long(8), Projects: long(8), SimilarTech: long(2)} // 21,000 characters
	r := Reply(c, "https://example.org/")
	var texts []string
	for _, m := range r.Messages {
		texts = append(texts, m.Text)
	}
	if len(texts) != 2 || strings.Join(texts, sectionBreak) != r.Text || !strings.HasPrefix(texts[1], "*Projects*\n") {
		t.Errorf("%d messages: %.40q", len(texts), texts)
	}
	// One section alone is divided between items, and numbered through.
	c = commentator.Comment{TLDR: []string{"One."}, Summary: long(15), Projects: []string{"Two."}}
	r = Reply(c, "")
	offsets := []int{}
	for _, m := range r.Messages {
		var blocks []node
		if err := json.Unmarshal(m.Blocks, &blocks); err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks {
			b.walk(func(n node) {
				if n.Type == "rich_text_list" && string(n.Style) == `"ordered"` {
					offsets = append(offsets, n.Offset)
				}
			})
		}
	}
	if diff := cmp.Diff([]int{0, 2, 4, 6, 8, 10, 12, 14}, offsets); diff != "" || len(r.Messages) != 2 {
		t.Errorf("%d messages, numbers before each list (-want +got):\n%s", len(r.Messages), diff)
	}
}

func TestShortened(t *testing.T) {
	for _, tt := range []struct {
		in   string
		most int
		want string
	}{
		{"short", 5, "short"},
		{"longer than that", 8, "longer…"},
		{"&&&", 14, "&&…"},
		{"ae\u0301e\u0301", 4, "ae\u0301…"}, // no letter without its accent
		{"👩‍👩‍👧👩‍👩‍👧", 10, "👩‍👩‍👧…"},
		{"👩‍👩‍👧", 5, "…"},
	} {
		if got := shortened(tt.in, tt.most); got != tt.want {
			t.Errorf("shortened(%q, %d) = %q, want %q", tt.in, tt.most, got, tt.want)
		}
	}
}

func TestOnlyWebAddressesBecomeLinks(t *testing.T) {
	for in, want := range map[string]string{
		"https://example.org/a?b=c&d=e#f":                    "https://example.org/a?b=c&d=e#f",
		"HTTP://Example.org":                                 "http://Example.org",
		"https://example.org/a b<c>|d":                       "https://example.org/a%20b%3Cc%3E%7Cd",
		"https://example.org/?q=<!here>|x":                   "https://example.org/?q=%3C!here%3E%7Cx",
		"https://bücher.example/ü":                           "https://xn--bcher-kva.example/%C3%BC",
		"https://[::1]:8080/":                                "https://[::1]:8080/",
		"javascript:alert(1)":                                "",
		"https://user:secret@example.org/":                   "",
		"https://exa<mple.org/":                              "",
		"https:///path":                                      "",
		"//example.org":                                      "",
		"mailto:a@example.org":                               "",
		"<!channel>":                                         "",
		"https://example.org/" + strings.Repeat("a", maxURL): "",
		"": "",
	} {
		if got, ok := webAddress(in); got != want && ok || ok != (want != "") {
			t.Errorf("webAddress(%q) = %q, %v; want %q", in, got, ok, want)
		}
	}
}

func TestNoticeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := commentator.Job{
			URL: links().Draw(t, "link"), Outcome: rapid.SampledFrom([]commentator.Outcome{commentator.OutcomeError, commentator.OutcomeGateFailed}).Draw(t, "outcome"),
			ErrorType: rapid.SampledFrom([]string{"http_404", "<!here>", "@channel", "a&b"}).Draw(t, "type"), ErrorMessage: "secret words",
		}
		m := Notice(j)
		blocks := check(t, m)
		if len(blocks) != 1 || strings.Contains(string(m.Blocks)+m.Text, "secret") || !strings.Contains(m.Text, "No comment") {
			t.Fatalf("%s, %s", m.Text, m.Blocks)
		}
	})
}
