// Package sentence cuts text into sentences and tells which of them can stand alone.
package sentence

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/sentences"
)

// abbreviations end with a full stop that rarely ends a sentence. UAX 29 ends one after
// them whenever a capital follows, as in "Dr. Smith". Words that often do end a sentence
// (etc., Inc., p.m.) are left out: two sentences in one do less harm than half a sentence.
var abbreviations = map[string]bool{
	"dr.": true, "mr.": true, "mrs.": true, "ms.": true, "prof.": true, "st.": true, "al.": true,
	"fig.": true, "figs.": true, "sec.": true, "eq.": true, "eqs.": true, "ref.": true, "refs.": true,
	"no.": true, "vol.": true, "ch.": true, "pp.": true, "ed.": true, "eds.": true, "dept.": true,
	"vs.": true, "cf.": true, "e.g.": true, "i.e.": true, "viz.": true, "approx.": true, "ca.": true,
	"resp.": true, "u.s.": true, "u.k.": true, "a.k.a.": true,
}

// Split returns the sentences of a text in reading order. Runs of white space, line
// breaks among them, become one blank each; blank lines end a sentence.
func Split(text string) []string {
	var list []string
	for _, paragraph := range paragraphs(text) {
		start := 0
		for it := sentences.FromString(paragraph); it.Next(); {
			piece := strings.TrimSpace(paragraph[start:it.End()])
			if it.End() < len(paragraph) && (endsOpen(piece) || strings.ContainsAny(paragraph[it.End()-1:it.End()], ".?!")) {
				continue // the next piece goes on with this sentence, or with a word such as an address with a query
			}
			start = it.End()
			if piece != "" {
				list = append(list, piece)
			}
		}
	}
	return list
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

// endsOpen reports whether a piece ends with an abbreviation or an initial ("D. Knuth").
func endsOpen(piece string) bool {
	last := piece[strings.LastIndexByte(piece, ' ')+1:]
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
)

// Usable reports whether a sentence can stand alone in a comment: it begins like a
// sentence, ends with . ! or ?, is neither a scrap nor a wall, and is prose rather than
// code or a table.
func Usable(s string) bool {
	if n := utf8.RuneCountInString(s); n < minRunes || n > maxRunes {
		return false
	}
	words := strings.Fields(s)
	return len(words) >= minWords && strings.ContainsAny(s[len(s)-1:], ".!?") && !strings.HasSuffix(s, "..") &&
		begins(words[0]) && !headline(words) && prose(s)
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
// rest of a sentence whose beginning is elsewhere.
func begins(word string) bool {
	r, _ := utf8.DecodeRuneInString(word)
	switch {
	case unicode.IsLower(r):
		return strings.ContainsFunc(word, func(r rune) bool {
			return unicode.IsUpper(r) || unicode.IsDigit(r) || r == '_' || r == '(' || r == '.'
		})
	case unicode.IsLetter(r), unicode.IsDigit(r):
		return true
	default:
		return strings.ContainsRune(`"'“‘([`, r)
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
