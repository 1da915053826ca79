package sentence

import (
	"runtime"
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
		"a letter that is no initial": {
			"Solve it for x. So did I. Then it was done.",
			[]string{"Solve it for x.", "So did I.", "Then it was done."},
		},
		"numbers and names": {
			"Version 3.7.0 came in 2010. The file is called db.sqlite. It is 4.5 MB.",
			[]string{"Version 3.7.0 came in 2010.", "The file is called db.sqlite.", "It is 4.5 MB."},
		},
		"within words": {
			"See https://example.org/a?Page=2&x=Y!z for more. It is P4!Word there.",
			[]string{"See https://example.org/a?Page=2&x=Y!z for more.", "It is P4!Word there."},
		},
		"wrapped lines": {"A sentence that\n  goes on\there. Next.", []string{"A sentence that goes on here.", "Next."}},
		"footnotes": {
			"The tide rose.[1] It fell.[2][3] He said “stop.”[note 4] Then he left.[5, 6]",
			[]string{"The tide rose.", "It fell.", "He said “stop.”", "Then he left."},
		},
		"brackets that are no footnotes": {
			"See a[1]. Take b?.[0] here and c.[1]x. It is [1]. Let x = arr.[0] in it. Remove syslog.[0-9] first.",
			[]string{"See a[1].", "Take b?.[0] here and c.[1]x.", "It is [1].", "Let x = arr.[0] in it.", "Remove syslog.[0-9] first."},
		},
		"unusual footnotes": {"It rose.[sic] It fell.", []string{"It rose.[sic] It fell."}},
		"no blanks":         {"水位は高い。[1]とても高い。「本当だ。」", []string{"水位は高い。", "とても高い。", "「本当だ。」"}},
		"closing marks": {
			"“It rose. It fell.” He wrote that down (twice.) So it was.",
			[]string{"“It rose.", "It fell.”", "He wrote that down (twice.)", "So it was."},
		},
		"a blank line ends":                         {"A heading\n\nA sentence.\n \nAnother", []string{"A heading", "A sentence.", "Another"}},
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

// Nothing but footnotes is lost, and nothing made up: each sentence is a piece of the text, and together they are
// the text, white space aside.
func TestSplitKeepsText(t *testing.T) {
	piece := rapid.SampledFrom([]string{"Dr. ", "Fig. ", "A. ", "word ", "End. ", "Why? ", "\n", "\n\n", "\t", "e.g. ", "\u2028", "\u0085", "。", "\xff", "1.5 "})
	text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(piece), func(p []string) string { return strings.Join(p, "") }))
	rapid.Check(t, func(t *rapid.T) {
		s := text.Draw(t, "text")
		line := withoutNotes(strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " "))
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

// A page may be one long list of initials, which must not be copied for each of them.
func TestSplitCopiesAListOfInitialsOnce(t *testing.T) {
	text := strings.Repeat("A. ", 1<<13)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := Split(text)
	runtime.ReadMemStats(&after)
	if made := after.TotalAlloc - before.TotalAlloc; made > 4<<20 || len(got) != 1 {
		t.Errorf("%d sentences and %d kB are made of %d kB", len(got), made>>10, len(text)>>10)
	}
}

func TestUsable(t *testing.T) {
	cases := map[string]bool{
		"The default method is a rollback journal.":               true,
		"Is a log faster than a journal in most cases?":           true,
		"sqlite3_open() opens a connection to the database file.": true,
		"gRPC carries the messages between the two sides.":        true,
		`"Small" means that it fits into the cache.`:              true,
		"「水位は毎晩一メートルも上がる。」":                                       true,
		"The keeper wrote the heights down (every night.)":        true,
		"It rose by a hand in the night. (See the table.)":        true,
		"16] The keeper wrote the heights down every night.":      false,
		"[16] The keeper wrote the heights down every night.":     false,
		"The writer waits until the last reader has gone…”":       false,
		"水位は高い。": false,
		"and so the rest of a sentence that began elsewhere.":       false,
		"A Database For The Internet Of Things.":                    false,
		"Too short.":                                                false,
		"It is so very big.":                                        false,
		"Internationalization notwithstanding everything.":          false,
		"Row 12 34 56 78 90 11 22 33 44 of table 55.":               false,
		"The default method is a roll\uFFFDback journal of SQLite.": false,
		"It ends without a full stop although it is long":           false,
		"The writer waits until the last reader has gone...":        false,
		"x = y[0] + z(1, 2) * {3: 4}; // 5 6 7 8 9 10 11 12.":       false,
		"• A bullet that is followed by a sentence of some words.":  false,
		strings.Repeat("Long words here ", 30) + "end.":             false,
	}
	for s, want := range cases {
		if got := usable(s); got != want {
			t.Errorf("usable(%q) = %v", s, got)
		}
	}
}

func TestEnds(t *testing.T) {
	for s, want := range map[string]bool{
		"It rose.": true, "Did it rise?": true, "It rose!": true, "It rose…": true, "水位は高い。": true, "उठा।": true,
		"“It rose.”": true, `He said "stop."`: true, "It rose (again.)": true, "„Es stieg.“": true, "「高い。」": true,
		"It rose. (see below)": true, "It rose.[1]": true, "It rose.” [1] (see [2])": true,
		"": false, ")": false, "()": false, "(see below)": false, "It rose": false, "It rose (again)": false, "It rose,": false,
		"Use it, e.g. (see below)": false, "(It rose.": true, "It rose. (1) (2) (3) (4)": false,
		"It rose. (" + strings.Repeat("a", 500) + ")": false, "It rose " + strings.Repeat("a", 500) + ". (see below)": true,
		"It rose.x": false, "It rose. B": false, "It rose.)x": false,
	} {
		if got := Ends(s); got != want {
			t.Errorf("Ends(%q) = %v", s, got)
		}
	}
}

// A half of a pair is left out at the edges of a sentence, and both are kept.
func TestPaired(t *testing.T) {
	for in, want := range map[string]string{
		"“It rose.": "It rose.", "It fell.”": "It fell.", "“It rose.”": "“It rose.”", "“It” rose.": "“It” rose.",
		`"It rose.`: "It rose.", `It fell."`: "It fell.", `"It rose."`: `"It rose."`, `"It" rose "twice.`: `"It" rose "twice.`,
		"„Es stieg.": "Es stieg.", "Es fiel.“": "Es fiel.", "„Es stieg.“": "„Es stieg.“", "« Il monte.": "Il monte.",
		"(It rose.": "It rose.", "It fell.)": "It fell.", "It works (or nearly so).)": "It works (or nearly so).",
		"(A (b) c.": "A (b) c.", "‘It’s high.’": "‘It’s high.’", "It’s high.’": "It’s high.", "(see the boys’": "see the boys’",
		"“A” and “B.": "“A” and “B.", "「高い。": "高い。", "“": "", "": "",
	} {
		if got := paired(in); got != want {
			t.Errorf("paired(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestAloneShowsNoHalfOfAQuotationAndNoFootnote(t *testing.T) {
	got := Alone("“The tide rose by a hand in one night. Nobody in the harbour had seen that before.”[3] 16] Cut within a footnote this sentence is not shown.\n\nToo short.")
	want := []string{"The tide rose by a hand in one night.", "Nobody in the harbour had seen that before."}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
