package redact

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isLetter(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z'
}
func isAlnum(c byte) bool { return isLetter(c) || isDigit(c) }
func isHex(c byte) bool   { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

// isName reports whether c may be in the name of a variable, parameter or header.
func isName(c byte) bool { return nameBytes[c] }

var nameBytes = func() (in [256]bool) {
	for c := range in {
		in[c] = isAlnum(byte(c)) || c == '_' || c == '-' || c == '.'
	}
	return in
}()

// atWord reports whether a word may begin at a place: no letter or digit is before it,
// unless it ends an escape of JSON (\n, \u0026) or of a URL (%20).
func (sc *scan) atWord(at int) bool {
	return at == 0 || !isAlnum(sc.s[at-1]) || sc.afterEscape(at)
}

// afterEscape reports whether an escape ends right before a place.
func (sc *scan) afterEscape(at int) bool {
	return escapeBefore(sc.s, at) > 0
}

// escapeBefore returns the length of the escape that ends right before a place, 0 when there
// is none.
func escapeBefore(s string, at int) int {
	if at >= 2 && s[at-2] == '\\' {
		switch s[at-1] {
		case 'n', 'r', 't', 'b', 'f':
			return 2
		}
	}
	if at >= 6 && s[at-6] == '\\' && s[at-5] == 'u' && isHex(s[at-4]) && isHex(s[at-3]) && isHex(s[at-2]) && isHex(s[at-1]) {
		return 6
	}
	if at >= 3 && s[at-3] == '%' && isHex(s[at-2]) && isHex(s[at-1]) {
		return 3
	}
	return 0
}

// wordStart returns where the name begins that ends right before a place. Letters that
// belong to an escape before it are no part of it. It looks back at most 64 bytes.
func wordStart(s string, end, least int) int {
	least = max(least, end-64)
	at := end
	for at > least && isName(s[at-1]) {
		at--
	}
	return skipEscape(s, at, end)
}

// skipEscape moves a beginning behind the escape whose last letters were taken for a part
// of the word.
func skipEscape(s string, start, end int) int {
	if start == 0 || s[start-1] != '\\' && s[start-1] != '%' {
		return start
	}
	for k := start + 1; k <= min(start+5, end); k++ {
		if n := escapeBefore(s, k); n > 0 && k-n < start {
			return k
		}
	}
	return start
}

// escapeStart returns where an escape begins whose last backslash, or whose # in the form of
// HTML, is at a place.
func (sc *scan) escapeStart(at int) int {
	s := sc.s
	if s[at] == '#' {
		switch {
		case at >= 1 && s[at-1] == '&':
			return at - 1
		case at >= 5 && s[at-5:at] == "&amp;":
			return at - 5
		case at >= 6 && s[at-6:at] == `\u0026`:
			at -= 6
		default:
			return at
		}
	}
	for at > sc.done && s[at-1] == '\\' {
		at--
	}
	return at
}
