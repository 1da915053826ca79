package render

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/test/golden"
	"pgregory.net/rapid"
)

// examples are comments with their golden files.
var examples = map[string]commentator.Comment{
	"full": {
		TLDR: []string{"A write-ahead log keeps readers and the writer apart.", "It is **faster** in most cases.", "It needs shared memory."},
		Summary: []string{
			"The default method is a rollback journal.", "A log beside the database is the alternative.", "Readers don't block the writer.",
			"The writer doesn't block readers.", "Disk work is more sequential.", "All processes must be on one host.",
			"A checkpoint moves pages into the database.", "It runs at 1000 pages by default.", "A slow reader can hold it up.", "The file may then grow.",
		},
		Projects: []string{
			"**RAG / Retrieval Systems** — An index can be read while it is filled.",
			"**LLMOps & Evaluation** — Results are written beside running reads.",
			"**General** — One file and its log are easy to copy.",
		},
		SimilarTech: []string{"**LMDB** — A memory-mapped key-value store.", "**DuckDB** — An analytical database."},
	},
	"no_similar_tech": {
		TLDR: []string{"One.", "Two.", "Three."}, Summary: []string{"Four."}, Projects: []string{"**General** — Five."},
	},
	"empty": {},
	"hostile": {
		TLDR: []string{
			"<!channel> wake up & pay.", "Ask <@U12345> or @here or @Everyone, not here@example.org.", "See <https://evil.example|our bank>.",
		},
		Summary: []string{
			"Use `a ** b ** c` and ```x **y** z```, but **this** is bold.", "Two\nlines\r\n\r\nare joined.", "2 ** 3 ** 4 is no bold.", "&lt; stays as it was written.",
			"An **unclosed `code** span.",
		},
		Projects: []string{"**A & B** — x < y."},
	},
}

// The layout is what readers and the old deployment's formatting check know.
func TestSlackGolden(t *testing.T) {
	for name, c := range examples {
		t.Run(name, func(t *testing.T) {
			golden.Equal(t, filepath.Join("testdata", name+".txt"), []byte(Slack(c)))
		})
	}
}

var unescaped = regexp.MustCompile(`&(amp|lt|gt);`)

// Whatever a page says: four sections, no mention, nothing that Slack would take for markup of its own.
func TestSlackProperties(t *testing.T) {
	piece := rapid.SampledFrom([]string{
		"**", "*", "`", "```", "<", ">", "&", "<!here>", "<@U1>", "@channel", "@HERE", "@", "here", "\n", "\n\n\n", "\r\n", "\u2028", " ", "a", "É", "•", "1) ", "&amp;",
	})
	item := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(piece), func(p []string) string { return strings.Join(p, "") }))
	items := rapid.SliceOfN(item, 0, 6)
	rapid.Check(t, func(t *rapid.T) {
		c := commentator.Comment{
			TLDR: items.Draw(t, "tldr"), Summary: items.Draw(t, "summary"),
			Projects: items.Draw(t, "projects"), SimilarTech: items.Draw(t, "similar"),
		}
		got := Slack(c)
		if n := len(strings.Split(got, sectionBreak)); n != 4 {
			t.Fatalf("%d sections in %q", n, got)
		}
		lines := 4 + 6 + len(c.TLDR) + len(c.Summary) + len(c.Projects) + max(1, len(c.SimilarTech))
		if n := strings.Count(got, "\n") + 1; n != lines {
			t.Fatalf("%d lines, want %d, in %q", n, lines, got)
		}
		if strings.ContainsAny(got, "<>") || strings.Contains(unescaped.ReplaceAllString(got, ""), "&") {
			t.Fatalf("unescaped markup in %q", got)
		}
		if broadcast.MatchString(got) {
			t.Fatalf("a mention in %q", got)
		}
	})
}
