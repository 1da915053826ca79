// Package sentence cuts text into sentences and tells which of them can stand alone.
package sentence

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/sentences"
)

// abbreviations end with a full stop that rarely ends a sentence. UAX 29 ends one after
// them whenever a capital follows, as in "Dr. Smith". Inc. and Ltd. may end one, too: two
// sentences in one do less harm than half a sentence. Words that mostly do are left out (etc., p.m.).
var abbreviations = map[string]bool{
	"dr.": true, "mr.": true, "mrs.": true, "ms.": true, "prof.": true, "st.": true, "al.": true,
	"fig.": true, "figs.": true, "sec.": true, "eq.": true, "eqs.": true, "ref.": true, "refs.": true,
	"no.": true, "vol.": true, "ch.": true, "pp.": true, "ed.": true, "eds.": true, "dept.": true,
	"vs.": true, "cf.": true, "e.g.": true, "i.e.": true, "viz.": true, "approx.": true, "ca.": true,
	"resp.": true, "u.s.": true, "u.k.": true, "a.k.a.": true,
	"inc.": true, "ltd.": true,
}

// Alone returns the sentences of a text that can be shown alone, in reading order. A
// quotation mark or bracket at the edge of one whose other half is in another sentence is
// left out.
func Alone(text string) []string {
	var list []string
	for _, s := range Split(text) {
		if s = paired(s); usable(s) {
			list = append(list, s)
		}
	}
	return list
}

// Split returns the sentences of a text in reading order. Runs of white space, line
// breaks among them, become one blank each; blank lines end a sentence.
func Split(text string) []string {
	var list []string
	add := func(s string) {
		if s = strings.TrimSpace(s); s != "" {
			list = append(list, s)
		}
	}
	for _, paragraph := range paragraphs(text) {
		var whole strings.Builder // a page may be one list of initials
		for piece := range pieces(paragraph) {
			whole.WriteString(piece)
			if s := whole.String(); endsOpen(strings.TrimSpace(s)) || strings.ContainsAny(s[len(s)-1:], ".?!") {
				continue // the next piece goes on with this sentence, or with a word such as an address with a query
			}
			add(whole.String())
			whole.Reset()
		}
		add(whole.String())
	}
	return list
}

// pieces cuts a text where sentences end by the Unicode rules (UAX 29), which end them behind
// abbreviations and within addresses too. Each piece has the white space behind it. What the
// rules get wrong is put right: marks of footnotes are dropped, and a bracket that opens
// directly behind a sentence belongs to the next.
func pieces(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		text, start := withoutNotes(text), 0
		for it := sentences.FromString(text); it.Next(); {
			piece := text[start:it.End()]
			if it.End() < len(text) {
				piece = strings.TrimRightFunc(piece, func(r rune) bool { return unicode.Is(unicode.Ps, r) })
			}
			if start += len(piece); piece != "" && !yield(piece) {
				return
			}
		}
	}
}

// paragraphs returns the text's paragraphs, each as one line.
func paragraphs(text string) []string {
	var list []string
	var words []string
	flush := func() {
		if len(words) > 0 {
			list = append(list, strings.Join(words, " "))
		}
		words = nil
	}
	for line := range strings.Lines(strings.ToValidUTF8(text, "\uFFFD")) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			flush()
		}
		words = append(words, fields...)
	}
	flush()
	return list
}

// maxOpen is more than what endsOpen knows has, in bytes, with the brackets and quotation marks before it.
const maxOpen = 32

// endsOpen reports whether a piece ends with an abbreviation or an initial ("D. Knuth").
func endsOpen(piece string) bool {
	last := piece[max(0, len(piece)-maxOpen):]
	last = last[strings.LastIndexByte(last, ' ')+1:]
	last = strings.TrimLeft(last, `("'[“‘`)
	if abbreviations[strings.ToLower(last)] {
		return true
	}
	r, size := utf8.DecodeRuneInString(last)
	return unicode.IsUpper(r) && r != 'I' && last[size:] == "."
}

// The size of a sentence that can be shown alone.
const (
	minRunes = 25
	maxRunes = 400
	minWords = 5
	minDense = 12 // runes, of a script without blanks
)

// usable reports whether a sentence can stand alone in a comment: it begins and ends like
// a sentence, is neither a scrap nor a wall, does not trail off, and is prose rather than
// code or a table.
func usable(s string) bool {
	words, n := strings.Fields(s), utf8.RuneCountInString(s)
	switch {
	case n > maxRunes, len(words) == 0, !Ends(s), trailsOff(s), !begins(words[0]), !prose(s):
		return false
	case dense(s):
		return n >= minDense
	}
	return n >= minRunes && len(words) >= minWords && !headline(words)
}

// trailsOff reports whether a sentence ends with an ellipsis.
func trailsOff(s string) bool {
	s = strings.TrimRightFunc(s, closes)
	return strings.HasSuffix(s, "..") || strings.HasSuffix(s, "…")
}

// dense reports whether most letters are of a script that puts no blanks between words and
// a word into one or two of them.
func dense(s string) bool {
	letters, of := 0, 0
	for _, r := range s {
		if unicode.IsLetter(r) {
			letters++
		}
		if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) {
			of++
		}
	}
	return of*2 > letters
}

// headline reports whether all longer words are capitalised, As in Titles of Sections.
func headline(words []string) bool {
	for _, w := range words {
		r, _ := utf8.DecodeRuneInString(w)
		if !unicode.IsUpper(r) && utf8.RuneCountInString(w) >= 4 {
			return false
		}
	}
	return true
}

// begins reports whether a first word can begin a sentence: a capital, a digit, a
// quotation mark, or a name such as sqlite3_open or gRPC. A plain lower-case word is the
// rest of a sentence whose beginning is elsewhere, and a number in brackets, or the rest
// of one, belongs to a footnote.
func begins(word string) bool {
	r, _ := utf8.DecodeRuneInString(word)
	switch {
	case strings.HasPrefix(strings.TrimLeft(word, "[0123456789"), "]"):
		return false
	case unicode.IsLower(r):
		return strings.ContainsFunc(word, func(r rune) bool {
			return unicode.IsUpper(r) || unicode.IsDigit(r) || r == '_' || r == '(' || r == '.'
		})
	case unicode.IsLetter(r), unicode.IsDigit(r):
		return true
	default:
		return strings.ContainsRune(`"'([（`, r) || pairs[r] != ""
	}
}

// prose reports whether at least three of four visible characters are letters.
func prose(s string) bool {
	letters, visible := 0, 0
	for _, r := range s {
		if unicode.IsSpace(r) {
			continue
		}
		if unicode.IsControl(r) || r == utf8.RuneError {
			return false
		}
		visible++
		if unicode.IsLetter(r) {
			letters++
		}
	}
	return letters*4 >= visible*3
}
