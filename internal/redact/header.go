package redact

import (
	"encoding/base64"
	"strings"
)

// authorization masks the credentials of an Authorization header, with or without the name
// of a scheme.
func (sc *scan) authorization(start int, q quote) {
	s := sc.s
	if q.mark == 0 {
		start = skipFold(s, start)
	}
	scheme := start
	for scheme < len(s) && (isAlnum(s[scheme]) || s[scheme] == '-') {
		scheme++
	}
	known, unknown, fold := false, false, false // a scheme
	next := skipBlank(s, scheme)
	if q.mark == 0 {
		if line := skipFold(s, next); line > next {
			next, fold = line, true
		}
	}
	if next > scheme && scheme > start {
		switch strings.ToLower(s[start:scheme]) {
		case "digest", "aws4-hmac-sha256":
			if isParameter(s[next:]) { // response= and Signature= are found by their names
				return
			}
			known = true
		case "basic", "bearer", "token", "apikey", "negotiate":
			known = true
		default:
			unknown = !fold && isLetter(s[start]) && scheme-start <= 24
		}
		if known || unknown {
			start = next
		}
	}
	if isMask(s[start:]) || isVariable(s[start:]) || isStructure(s[start:]) {
		return
	}
	end := valueEnd(s, start, q)
	v := s[start:end]
	switch {
	case known && len(v) < 4:
		return
	case known && fold && !isRandom(v, true) && !isBasic(v): // of YAML the next line is another key
		return
	case unknown && (len(v) < 8 || !hasDigitAndLetter(v)): // "Authorization: Users must …"
		return
	case !known && !unknown && len(v) < 16:
		return
	}
	rule := ruleAuthorization
	if vendor := sc.vendor(v); vendor != "" {
		rule = vendor
	}
	sc.add(start, end, rule)
}

func hasDigitAndLetter(v string) bool {
	return strings.ContainsAny(v, "0123456789") && strings.IndexFunc(v, func(r rune) bool { return r < 128 && isLetter(byte(r)) }) >= 0
}

// skipBlank steps over blanks and tabs, also as the escapes of JSON and of a URL, and over the blank
// that is as wide as a Chinese character.
func skipBlank(s string, at int) int {
	for at < len(s) {
		switch c := s[at]; {
		case c == ' ' || c == '\t':
			at++
		case strings.HasPrefix(s[at:], "%20") || strings.HasPrefix(s[at:], "%09"):
			at += 3
		case c == wideBlank[0] && strings.HasPrefix(s[at:], wideBlank):
			at += len(wideBlank)
		case c == '\\':
			k := at
			for k < len(s) && s[k] == '\\' {
				k++
			}
			if k == len(s) || s[k] != 't' {
				return at
			}
			at = k + 1
		default:
			return at
		}
	}
	return at
}

// skipFold steps over the end of a line when the next one goes on with the header: it begins
// with a blank.
func skipFold(s string, at int) int {
	next := skipLayout(s, at)
	if next > at && next < len(s) && (s[next-1] == ' ' || s[next-1] == '\t' || s[next-1] == 't') {
		return next
	}
	return at
}

// folded returns where the value of a header begins whose name is alone on its line; at when what
// follows is no such value: it has to fill its line.
func folded(s string, at int, name string) int {
	next := skipFold(s, at)
	if next == at || strings.IndexByte(name, '-') < 0 {
		return at
	}
	end := next
	for end < len(s) && isTokenByte(s[end]) {
		end++
	}
	if !isRandom(s[next:end], true) || end < len(s) && strings.IndexByte("\r\n\\\"", s[end]) < 0 {
		return at
	}
	return next
}

// cookie masks the cookies of a header: everything up to the end of the line or string, and what
// stands on further lines behind a semicolon.
func (sc *scan) cookie(start int, q quote) {
	s := sc.s
	bare := q.mark == 0
	if bare {
		q = unquoted
	}
	for isParameter(s[start:]) {
		end := valueEnd(s, start, q)
		sc.add(start, end, ruleCookie)
		start = skipFold(s, end)
		if !bare || start == end || s[end-1] != ';' {
			return
		}
	}
}

// digest masks a response of Digest or a signature of AWS, which are hex digits, behind = at
// a place. Texts of other kinds have these names too.
func (sc *scan) digest(start int) {
	end := start
	for end < len(sc.s) && end-start <= 128 && isHex(sc.s[end]) {
		end++
	}
	if end-start >= 32 && end-start <= 128 {
		sc.add(start, end, ruleAuthorization)
	}
}

// isDigest knows the names of what digest masks.
func isDigest(name string) bool {
	return strings.EqualFold(name, "response") || strings.EqualFold(name, "signature")
}

// bearer masks a token behind the word Bearer outside of a header.
func (sc *scan) bearer(at int) {
	word := at + len("bearer")
	start := skipBlank(sc.s, word)
	if start == word && start < len(sc.s) && sc.s[start] == '+' { // a blank in a form
		start++
	}
	if start == word {
		return
	}
	end := start
	for end < len(sc.s) && isTokenByte(sc.s[end]) {
		end++
	}
	v := sc.s[start:end]
	if len(v) < 12 || len(v) < 24 && !strings.ContainsAny(v, "0123456789") {
		return
	}
	rule := ruleBearer
	if vendor := sc.vendor(v); vendor != "" {
		rule = vendor
	}
	sc.add(start, end, rule)
}

// isTokenByte knows the letters of a token68 (RFC 9110).
func isTokenByte(c byte) bool {
	return isAlnum(c) || strings.IndexByte("-._~+/=", c) >= 0
}

// basic masks user and password behind the word Basic, which is a common word too: what
// follows must decode to name:password.
func (sc *scan) basic(at int) {
	word := at + len("basic")
	start := skipBlank(sc.s, word)
	if start == word {
		return
	}
	end := start
	for end < len(sc.s) && (isAlnum(sc.s[end]) || sc.s[end] == '+' || sc.s[end] == '/' || sc.s[end] == '=') {
		end++
	}
	if isBasic(sc.s[start:end]) {
		sc.add(start, end, ruleBasic)
	}
}

// isBasic reports whether a text decodes to name:password.
func isBasic(v string) bool {
	v = strings.TrimRight(v, "=")
	decoded, err := base64.RawStdEncoding.DecodeString(v)
	return len(v) >= 6 && err == nil && strings.Contains(string(decoded), ":")
}

const (
	ruleBearer = "bearer_token"
	ruleBasic  = "basic_auth"
)
