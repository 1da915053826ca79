package retrieval

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/sentence"
)

// Abbreviations after which the Unicode rules end a sentence although it goes on.
var abbreviations = []string{
	"dr.", "mr.", "mrs.", "ms.", "prof.", "st.", "fig.", "figs.", "sec.", "eq.", "eqs.", "ref.", "refs.",
	"no.", "vol.", "pp.", "ch.", "al.", "vs.", "cf.", "e.g.", "i.e.", "approx.", "inc.", "ltd.", "u.s.",
}

// splitSentences cuts a block at sentence ends, putting together what the Unicode rules cut
// after an abbreviation, or within a word such as an address with a query.
func splitSentences(block string) []string {
	var out []string
	joins, inWord := false, false
	for raw := range sentence.Pieces(block) {
		s := strings.TrimSpace(raw)
		if s == "" {
			continue
		}
		switch {
		case inWord:
			out[len(out)-1] += s
		case joins:
			out[len(out)-1] += " " + s
		default:
			out = append(out, s)
		}
		joins, inWord = endsWithAbbreviation(s), strings.ContainsAny(raw[len(raw)-1:], ".?!")
	}
	return out
}

func endsWithAbbreviation(s string) bool {
	last := strings.ToLower(s[strings.LastIndexByte(s, ' ')+1:])
	return slices.Contains(abbreviations, strings.TrimLeft(last, "([\"'“‘"))
}

// minFragment is how many characters a piece of text without a sentence end needs to be
// kept. Shorter ones are labels, dates and captions.
const minFragment = 40

// makeSnippets packs the sentences of the blocks, in order, into snippets of at most
// maxChars characters: as many whole sentences as fit. A sentence that is longer than
// that is cut between words; a piece without a sentence end never shares its snippet with
// what follows. It returns at most limit snippets, and whether the text went on.
func makeSnippets(blocks []string, sourceURL string, limit, maxChars int) (snippets []commentator.Snippet, cut bool) {
	var current string
	flush := func() {
		if current != "" {
			snippets = append(snippets, commentator.Snippet{
				ID: fmt.Sprintf("s%d", len(snippets)+1), Content: current, SourceURL: sourceURL,
			})
		}
		current = ""
	}
	for _, block := range blocks {
		for _, whole := range splitSentences(block) {
			for _, piece := range cutWords(whole, maxChars) {
				ends := sentence.Ends(piece)
				if !ends && utf8.RuneCountInString(whole) < minFragment {
					continue
				}
				if current != "" && (!ends || utf8.RuneCountInString(current)+1+utf8.RuneCountInString(piece) > maxChars) {
					flush()
				}
				if len(snippets) == limit {
					return snippets, true
				}
				current = strings.TrimSpace(current + " " + piece)
				if !ends {
					flush()
				}
			}
		}
	}
	flush()
	return snippets, false
}

// cutWords cuts s into pieces of at most limit characters, at blanks where it has any. A whole page
// may be one sentence, so that what is left is not copied for each piece.
func cutWords(s string, limit int) []string {
	r := []rune(strings.TrimSpace(s))
	var pieces []string
	for len(r) > limit {
		at := limit
		for at > limit/2 && r[at] != ' ' {
			at--
		}
		if r[at] != ' ' {
			at = limit
		}
		pieces = append(pieces, strings.TrimSpace(string(r[:at])))
		for r = r[at:]; unicode.IsSpace(r[0]); { // what is last is none
			r = r[1:]
		}
	}
	return append(pieces, string(r))
}
