package redact

import "strings"

// noSecrets are what stands in the place of a value in code, schemas and documentation.
var noSecrets = map[string]bool{
	"null": true, "none": true, "nil": true, "true": true, "false": true, "undefined": true, "string": true, "str": true,
	"required": true, "optional": true, "bool": true, "int": true, "number": true, "object": true,
}

// isVariable reports whether a variable of a shell or template stands for the value.
func isVariable(s string) bool { return strings.HasPrefix(s, "${") || strings.HasPrefix(s, "{{") }

// plausible reports whether a value may be a secret by its length and digits.
func plausible(v, rule string, quoted, equals bool) bool {
	if v == "" || noSecrets[strings.ToLower(v)] {
		return false
	}
	switch {
	case rule == ruleBasic:
		return isBasic(v)
	case rule == ruleJWK:
		return quoted && len(v) >= 40 && isOpaque(v)
	case len(v) >= 64: // no prose
		return true
	case rule == ruleToken || rule == ruleAPIKey:
		digit := strings.ContainsAny(v, "0123456789")
		return len(v) >= 8 && (digit || quoted || equals && len(v) >= 16)
	case quoted || equals:
		return len(v) >= 4
	default:
		return len(v) >= 6
	}
}

// isRandom reports whether a value looks like a token rather than like a word, an address or a file:
// behind a name that sentences have, as in "Get an API key: https://…".
func isRandom(v string, bare bool) bool {
	if len(v) < 8 || bare && len(v) < 12 || !hasDigitAndLetter(v) { // AES-256-GCM, 2048-bit
		return false
	}
	for i := range len(v) {
		if !isTokenByte(v[i]) {
			return false
		}
	}
	if dir := strings.IndexByte(v[1:], '/'); v[0] == '/' && dir > 0 { // /etc/…
		return strings.Trim(v[1:dir+1], "abcdefghijklmnopqrstuvwxyz") != ""
	}
	return v[0] != '~' && v[0] != '.'
}

// isAddress reports whether a value is the address of a page, also in JSON with \/. A password in it is
// found by its own form.
func isAddress(v string) bool {
	v, ok := strings.CutPrefix(v, "http")
	v, colon := strings.CutPrefix(strings.TrimPrefix(v, "s"), ":")
	return ok && colon && strings.HasPrefix(strings.TrimLeft(v, `\`), "/")
}

// isOpaque reports whether a value is random bytes in base64url: small and large letters and
// digits, and nothing else.
func isOpaque(v string) bool {
	var small, large, digit bool
	for i := range len(v) {
		c := v[i]
		switch {
		case isUpper(c):
			large = true
		case isLetter(c):
			small = true
		case isDigit(c):
			digit = true
		case c != '-' && c != '_':
			return false
		}
	}
	return small && large && digit
}

// isProse reports whether what stands behind a colon, both without quotes, may be the next
// word of a sentence: "the secret: practice makes perfect". A name with _ that is alone with
// its value on a line is no sentence.
func isProse(rule, v, name, rest string) bool {
	if rule == ruleToken || rule == ruleAPIKey || len(v) >= 64 { // plausible asked for more
		return false
	}
	if strings.IndexByte(name, '_') >= 0 && (rest == "" || strings.IndexByte("\r\n\\\"", rest[0]) >= 0) {
		return false
	}
	lower := false
	for i := range len(v) {
		switch c := v[i]; {
		case isDigit(c), strings.IndexByte("@#$%^&*+=~_|", c) >= 0:
			return false
		case c == '!' && i+1 < len(v): // the last one ends a sentence
			return false
		case isUpper(c) && lower:
			return false
		default:
			lower = lower || isLetter(c)
		}
	}
	return true
}

// openAI masks a key behind the plain sk- that OpenAI and others give theirs. Words with
// dashes begin with it too, such as the sk-estimator-doc-link of scikit-learn's pages: one of
// the parts between the dashes has to be as long as no word and hold a digit.
func (sc *scan) openAI(at int) {
	s := sc.s
	start := at + len("sk-")
	end, part, digit, letter, sure := start, start, false, false, false
	for ; end < len(s) && (isAlnum(s[end]) || s[end] == '_' || s[end] == '-'); end++ {
		// Behind this nothing new is learned, and a text of many sk- would be read again for each.
		if !sure && end-start > 64 {
			return
		}
		switch c := s[end]; c {
		case '_', '-':
			part, digit, letter = end+1, false, false
		default:
			digit, letter = digit || isDigit(c), letter || isLetter(c)
		}
		n := end + 1 - part
		sure = sure || digit && (n >= 8 && letter || n >= 16)
	}
	if sure && end-start >= 16 {
		sc.add(at, end, ruleOpenAI)
	}
}
