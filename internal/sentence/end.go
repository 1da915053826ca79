package sentence

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Ends reports whether a text ends as a sentence does: with a full stop, an exclamation or
// a question mark of any script, or an ellipsis. Closing quotation marks and brackets may
// follow, and a remark in brackets: the sentence has ended before it.
func Ends(s string) bool {
	for range maxRemarks {
		end, _ := utf8.DecodeLastRuneInString(strings.TrimRightFunc(s, closes))
		if unicode.Is(unicode.STerm, end) || end == '…' {
			return true
		}
		at := remark(s)
		if at <= 0 {
			return false
		}
		if s = strings.TrimRight(s[:at], " "); endsOpen(s) {
			return false
		}
	}
	return false
}

// maxRemarks is one more than the remarks that may stand behind one another. Lines of numbers in
// brackets have hundreds.
const maxRemarks = 3

// closes reports whether a mark behind a sentence belongs to it. Initial quotation marks
// (Pi) close in German “ and «.
func closes(r rune) bool {
	return unicode.In(r, unicode.Pe, unicode.Pf, unicode.Pi) || r == '"' || r == '\''
}

// maxRemark is how long a remark in brackets may be, in bytes.
const maxRemark = 400

// remark returns where the brackets open that close at the end of s, else -1.
func remark(s string) int {
	depth := 0
	for at := len(s); at > 0 && len(s)-at < maxRemark; {
		r, size := utf8.DecodeLastRuneInString(s[:at])
		at -= size
		switch r {
		case ')', ']', '）', '］':
			depth++
		case '(', '[', '（', '［':
			depth--
		}
		if depth <= 0 {
			if at+size == len(s) || depth < 0 {
				return -1
			}
			return at
		}
	}
	return -1
}

// note is the mark of a footnote directly behind a sentence's end: [1], [2][3], [4, 5], [a],
// [note 6]. What follows is a blank, or a script that has none.
var note = regexp.MustCompile(`([\p{L}\p{N}%"'”’»)\]）」』][.!?…。！？]["'”’»)）」』]*)` +
	`(?:\[(?:[0-9]{1,3}(?:[,–-] ?[0-9]{1,3})*|[a-z]|note [0-9]{1,3}|citation needed)\])+` +
	`(\s|$|\p{Han}|\p{Hiragana}|\p{Katakana}|[「『（])`)

// withoutNotes drops the marks of footnotes behind sentences. The Unicode rules would end
// the sentence within the mark. Where a word in small letters follows no sentence has ended: a.[0] in
// code is none, nor is e.g.[3] a place to cut.
func withoutNotes(s string) string {
	if !strings.Contains(s, "[") {
		return s
	}
	var b strings.Builder
	done := 0
	for _, at := range note.FindAllStringSubmatchIndex(s, -1) {
		next, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(s[at[4]:], unicode.IsSpace))
		if unicode.IsLower(next) {
			continue
		}
		b.WriteString(s[done:at[3]])
		done = at[4]
	}
	return b.String() + s[done:]
}
