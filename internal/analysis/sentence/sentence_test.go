package sentence

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSplit(t *testing.T) {
	cases := map[string]struct {
		text string
		want []string
	}{
		"empty": {"", nil},
		"three kinds of ends": {
			"It works. Does it? It does!",
			[]string{"It works.", "Does it?", "It does!"},
		},
		"abbreviations": {
			"Dr. Smith et al. Showed it in Fig. 2, e.g. The curve (cf. Sec. 3.2). Then D. R. Hipp wrote SQLite in the U.S. Navy.",
			[]string{"Dr. Smith et al. Showed it in Fig. 2, e.g. The curve (cf. Sec. 3.2).", "Then D. R. Hipp wrote SQLite in the U.S. Navy."},
		},
		"numbers and names": {
			"Version 3.7.0 came in 2010. The file is called db.sqlite. It is 4.5 MB.",
			[]string{"Version 3.7.0 came in 2010.", "The file is called db.sqlite.", "It is 4.5 MB."},
		},
		"within words": {
			"See https://example.org/a?Page=2&x=Y!z for more. It is P4!Word there.",
			[]string{"See https://example.org/a?Page=2&x=Y!z for more.", "It is P4!Word there."},
		},
		"wrapped lines":     {"A sentence that\n  goes on\there. Next.", []string{"A sentence that goes on here.", "Next."}},
		"a blank line ends": {"A heading\n\nA sentence.\n \nAnother", []string{"A heading", "A sentence.", "Another"}},
		"an abbreviation at the end of a paragraph": {"See Fig.\n\nNext one.", []string{"See Fig.", "Next one."}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Split(tc.text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Nothing is lost or made up: each sentence is a piece of the text, and together they are
// the text, white space aside.
func TestSplitKeepsText(t *testing.T) {
	piece := rapid.SampledFrom([]string{"Dr. ", "Fig. ", "A. ", "word ", "End. ", "Why? ", "\n", "\n\n", "\t", "e.g. ", "\u2028", "\u0085", "。", "\xff", "1.5 "})
	text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(piece), func(p []string) string { return strings.Join(p, "") }))
	rapid.Check(t, func(t *rapid.T) {
		s := text.Draw(t, "text")
		line := strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
		for _, piece := range Split(s) {
			if !strings.Contains(line, piece) {
				t.Fatalf("%q holds no %q", line, piece)
			}
		}
		got := strings.ReplaceAll(strings.Join(Split(s), ""), " ", "")
		want := strings.ReplaceAll(line, " ", "")
		if got != want {
			t.Fatalf("%q became %q", want, got)
		}
	})
}

func TestUsable(t *testing.T) {
	cases := map[string]bool{
		"The default method is a rollback journal.":                true,
		"Is a log faster than a journal in most cases?":            true,
		"sqlite3_open() opens a connection to the database file.":  true,
		"gRPC carries the messages between the two sides.":         true,
		`"Small" means that it fits into the cache.`:               true,
		"and so the rest of a sentence that began elsewhere.":      false,
		"A Database For The Internet Of Things.":                   false,
		"Too short.":                                               false,
		"It ends without a full stop although it is long":          false,
		"The writer waits until the last reader has gone...":       false,
		"He said that it works on every machine (or nearly so).)":  false,
		"x = y[0] + z(1, 2) * {3: 4}; // 5 6 7 8 9 10 11 12.":      false,
		"• A bullet that is followed by a sentence of some words.": false,
		strings.Repeat("Long words here ", 30) + "end.":            false,
	}
	for s, want := range cases {
		if got := Usable(s); got != want {
			t.Errorf("Usable(%q) = %v", s, got)
		}
	}
}
