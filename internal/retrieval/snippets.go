package retrieval

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/sentence"
)

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
		for _, whole := range sentence.Split(block) {
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
