package redact

import (
	"strings"
	"unicode/utf8"
)

// quote is one that opens a value.
type quote struct {
	mark byte // ", ' or `; 0: none
	// slashes is how many backslashes stand before it: 0 in JSON and in text, 1 in JSON within
	// JSON, 3 in the next layer. Negative: nobody knows.
	slashes int
	// doubled: it stands there twice, in a field of CSV, where "" is a quote.
	doubled bool
	// until is where the value ends when three of them open it, as in Python; 0: where valueEnd says.
	until int
}

// unquoted is for a value that blanks do not end although no quote opens it. It ends at the next
// quote, which may close a string of JSON around it.
var unquoted = quote{mark: '"', slashes: -1}

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }

// openQuote steps over a quote that opens a value, with the backslashes before it.
func openQuote(s string, at int) (start int, q quote) {
	k := at
	for k < len(s) && s[k] == '\\' {
		k++
	}
	if k < len(s) && isQuote(s[k]) {
		return k + 1, quote{mark: s[k], slashes: k - at}
	}
	return at, quote{}
}

// maxSlashes bounds the backslashes of a ' or ` that opens a value. Each number of them may be
// a reason to read the text behind it again.
const maxSlashes = 16

// ends reports whether the quote at k, with the backslashes from at on, ends a value that q
// opened. Not every quote does: the value may hold some, and JSON escapes them.
func (q quote) ends(s string, at, k int) bool {
	c, n := s[k], k-at
	switch {
	case q.mark == 0:
		return true
	case q.slashes < 0 || q.slashes > maxSlashes || q.mark == '"' && q.slashes&(q.slashes+1) != 0:
		return c == '"' || n > 0 // in no JSON are so many backslashes before a quote
	case q.mark == '"':
		// Each layer of JSON writes one backslash as two, and one more before a quote. The lowest
		// bit of n that is 0 tells the layer whose string ends here; if it lies above the bits of
		// q.slashes, the string is one within the value.
		inner := 2*q.slashes + 1
		return c == '"' && n&inner != inner
	case c == q.mark: // JSON doubles the backslashes of an escaped one, so that n is greater
		return n <= q.slashes
	}
	return c == '"' && endsString(s, k+1)
}

// openDoubled steps over the second quote of ""value"", given where the first was stepped over. Behind
// an empty value stands what may follow a string, and no other "" before the next quote.
func (q quote) openDoubled(s string, start int) (int, quote) {
	if q.mark != '"' || q.slashes < 0 {
		return start, q
	}
	one := s[start-q.slashes-1 : start]
	behind := start + len(one)
	if !strings.HasPrefix(s[start:], one) || !goesOn(s, behind) {
		return start, q
	}
	twice := quote{mark: q.mark, slashes: q.slashes, doubled: true}
	if end := valueEnd(s, behind, twice); !strings.HasPrefix(s[end:], one) || !strings.HasPrefix(s[end+len(one):], one) {
		return start, q
	}
	return behind, twice
}

// openTripled steps over the other two quotes of """value""", also of ', given where the first was
// stepped over. Without three that close it, soon and in the same string of JSON, they are none.
func (q quote) openTripled(s string, start int) (int, quote) {
	if q.mark != '"' && q.mark != '\'' || q.slashes > maxSlashes {
		return start, q
	}
	one := s[start-q.slashes-1 : start]
	behind := start + 2*len(one)
	if !isTwice(s[start:], one) || !goesOn(s, behind) {
		return start, q
	}
	for at := behind; at < min(len(s), behind+maxRest) && !isMask(s[at:]); at++ {
		k := at
		for k < len(s) && s[k] == '\\' {
			k++
		}
		switch {
		case k < len(s) && s[k] == q.mark && k-at == q.slashes && isTwice(s[k+1:], one):
			return behind, quote{mark: q.mark, slashes: q.slashes, until: at}
		case k < len(s) && s[k] == '"' && (q.mark != '"' || k-at < q.slashes): // may end a string of JSON
			return start, q
		}
		at = k
	}
	return start, q
}

// isTwice reports whether a text begins with another one twice.
func isTwice(s, one string) bool {
	return strings.HasPrefix(s, one) && strings.HasPrefix(s[len(one):], one)
}

// escaped returns where a text goes on behind quotes that stand for some in the value: CSV, SQL and
// YAML double those. They are at k, with the backslashes from at on. It returns at when the value ends
// there instead: their number is odd, or what follows may stand behind a string.
func (q quote) escaped(s string, at, k int) int {
	if q.doubled || q.mark == 0 || q.mark == '`' || s[k] != q.mark || q.slashes < 0 {
		return at
	}
	one := s[at : k+1]
	behind, n := at, 0
	for ; strings.HasPrefix(s[behind:], one); n++ {
		behind += len(one)
	}
	if n%2 == 0 && goesOn(s, behind) {
		return behind
	}
	return at
}

// goesOn reports whether what stands at a place does not follow a string in text or code.
func goesOn(s string, at int) bool {
	return at < len(s) && (isAlnum(s[at]) || s[at] >= utf8.RuneSelf || strings.IndexByte("_-@#$%^*!~", s[at]) >= 0)
}

// breaks reports whether a \n, \r or \t, whose letter is at k with the backslashes from at on, is the
// end of the line in which the value stands, and none of the value's own letters.
func (q quote) breaks(s string, at, k int) bool {
	switch n := k - at; {
	case q.mark == 0 || q.slashes < 0 || q.slashes > maxSlashes:
		return true
	case q.mark == '"':
		return n <= q.slashes // in its string of JSON more would have been written
	}
	// Backslashes tell nothing of a ' or `. The value goes on if it is closed soon, before any blank.
	for i := k + 1; i < min(len(s), k+maxRest); i++ {
		switch s[i] {
		case q.mark:
			return i == k+1 || goesOn(s, i+1)
		case ' ', '\t', '\r', '\n', '"', '\'', '`':
			return true
		}
	}
	return true
}

// maxRest is how far behind a \n the quote is looked for that closes a value.
const maxRest = 128

// joins reports whether a value that a ' or ` opened is code: a string in " ends behind the ' and is
// put together with what follows, as in "password='" + pass + "'". Without blanks the same has to
// stand at its other end, because a secret may be anything.
func (q quote) joins(v string) bool {
	if q.mark != '\'' && q.mark != '`' {
		return false
	}
	behind := strings.TrimLeft(v, `\`)
	if !strings.HasPrefix(behind, `"`) {
		return false
	}
	rest := strings.TrimLeft(behind[1:], " ")
	if rest == "" || !isJoint(rest[0]) {
		return false
	}
	if len(rest) < len(behind)-1 {
		return true
	}
	before := strings.TrimRight(strings.TrimSuffix(rest, `"`), `\ `)
	return len(before) > 1 && before != rest && isJoint(before[len(before)-1])
}

// isJoint reports whether a byte puts strings together in code.
func isJoint(c byte) bool { return c == '+' || c == '.' || c == ',' }

// endsString reports whether what stands at a place may follow the end of a string of JSON: a
// comma, a colon, a closing bracket, the end of the string around it or of the text. Before a
// quote that is a part of a string it does not stand as a rule.
func endsString(s string, at int) bool {
	at = skipLayout(s, at)
	for at < len(s) && s[at] == '\\' {
		at++
	}
	return at == len(s) || strings.IndexByte(`,:]}"`, s[at]) >= 0
}

// valueEnd returns where a value ends: at its closing quote or the end of its line; without
// quotes at white space too, and at what cannot be in it. Closing brackets and full stops
// behind a bare value are no part of it.
func valueEnd(s string, start int, q quote) int {
	if q.until > 0 {
		return q.until
	}
	bare := q.mark == 0
	at := start
loop:
	for at < len(s) {
		switch c := s[at]; c {
		case '\n', '\r':
			break loop
		case '"', '\'', '`':
			if (c == '"' || bare || c == q.mark) && q.ends(s, at, at) {
				next := q.escaped(s, at, at)
				if at == start || next == at {
					break loop
				}
				at = next - 1
			}
		case '\\':
			k := at
			for k < len(s) && s[k] == '\\' {
				k++
			}
			switch {
			case k == len(s):
				break loop
			case s[k] == 'n' || s[k] == 'r' || s[k] == 't':
				if q.breaks(s, at, k) {
					break loop
				}
			case isQuote(s[k]) && q.ends(s, at, k):
				next := q.escaped(s, at, k)
				if at == start || next == at {
					break loop
				}
				k = next - 1
			}
			if (bare || q.slashes < 0) && isMarkup(s[k:]) {
				break loop
			}
			at = k
		case ' ', '\t', '<', '>', '|':
			if bare {
				break loop
			}
		case '[', 'R':
			if isMask(s[at:]) {
				break loop
			}
		case '&':
			if bare && isParameter(s[at+1:]) {
				break loop
			}
		}
		at++
	}
	if bare {
		for at > start && strings.IndexByte(",;.)]}", s[at-1]) >= 0 {
			at--
		}
	}
	return at
}

// isMarkup reports whether a text begins as &, < or > does in JSON, behind the backslash.
func isMarkup(s string) bool {
	return strings.HasPrefix(s, "u0026") || strings.HasPrefix(s, "u003c") || strings.HasPrefix(s, "u003e")
}
