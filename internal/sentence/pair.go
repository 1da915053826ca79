package sentence

import (
	"slices"
	"strings"
)

// pairs are the marks that open, each with those that close it. ' is none of them: it is an
// apostrophe as often.
var pairs = map[rune]string{
	'"': `"`, '“': "”", '„': "“”", '‘': "’", '«': "»", '»': "«", '‹': "›", '›': "‹",
	'「': "」", '『': "』", '(': ")", '[': "]", '（': "）",
}

// openers are the marks that close, each with those that open it.
var openers = map[rune]string{
	'"': `"`, '”': "“„", '“': "„", '’': "‘", '»': "«", '«': "»", '›': "‹", '‹': "›",
	'」': "「", '』': "『", ')': "(", ']': "[", '）': "（",
}

// paired returns a sentence without the marks at its edges that have no other half in it:
// of a quotation of two sentences, the first has the opening mark only and the second the
// closing one.
func paired(s string) string {
	for {
		runes := []rune(s)
		if len(runes) == 0 {
			return s
		}
		first, last := runes[0], runes[len(runes)-1]
		if lone(runes, pairs[first]) {
			s = strings.TrimSpace(string(runes[1:]))
			continue
		}
		rest := string(runes[:len(runes)-1])
		slices.Reverse(runes)
		if !lone(runes, openers[last]) || !Ends(rest) {
			return s
		}
		s = strings.TrimSpace(rest)
	}
}

// lone reports whether the first of the runes is a mark, and none of the others is the
// half that goes with it.
func lone(runes []rune, halves string) bool {
	open := 1
	for _, r := range runes[1:] {
		switch {
		case strings.ContainsRune(halves, r):
			if open--; open == 0 {
				return false
			}
		case r == runes[0] && r != '’': // an apostrophe as often
			open++
		}
	}
	return halves != ""
}
