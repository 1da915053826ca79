package redact

import "strings"

// maxItems is how many values of a list are looked at.
const maxItems = 32

// list masks the texts of a JSON list that is the value of a name, as in the JSON of Go's
// http.Header. It begins behind the bracket. Quotes are those of the name: others belong to
// another layer of JSON.
func (sc *scan) list(at int, rule, quotes string) {
	s := sc.s
	for range maxItems {
		at = skipLayout(s, at)
		start, q := openQuote(s, at)
		if q.mark != '"' || s[at:start] != quotes {
			return
		}
		sc.value(start, rule, written{quote: q, quotes: quotes})
		end := valueEnd(s, max(start, sc.done), q)
		if !strings.HasPrefix(s[end:], quotes) {
			return
		}
		at = skipLayout(s, end+len(quotes))
		if at >= len(s) || s[at] != ',' {
			return
		}
		at++
	}
}

// skipLayout steps over what may stand between two parts of JSON: white space, also as
// escapes of JSON within JSON.
func skipLayout(s string, at int) int {
	for at < len(s) {
		k := at
		for k < len(s) && s[k] == '\\' {
			k++
		}
		switch {
		case k == at && strings.IndexByte(" \t\r\n", s[k]) >= 0:
		case k > at && k < len(s) && strings.IndexByte("trn", s[k]) >= 0:
		default:
			return at
		}
		at = k + 1
	}
	return at
}

// pairRule returns the rule for the value of a name that says nothing of its own: "value"
// behind {"name": "X-Api-Key", as HAR files have it, and the private numbers of a JSON Web
// Key. The name begins at a place.
func (sc *scan) pairRule(name string, begin int) string {
	switch name {
	case "value", "Value":
		return secretRule(sc.nameBefore(begin))
	case "d", "p", "q", "dp", "dq", "qi", "k": // of RFC 7518; k are the bytes of a symmetric key
		return ruleJWK
	}
	return ""
}

// nameBefore returns X of {"name": "X", "value": when "value" begins at a place.
func (sc *scan) nameBefore(at int) string {
	at, ok := sc.stepBack(at, '"')
	if !ok {
		return ""
	}
	if at, ok = sc.stepBack(at, ','); !ok {
		return ""
	}
	if at, ok = sc.stepBack(at, '"'); !ok {
		return ""
	}
	start := wordStart(sc.s, at, 0)
	name := sc.s[start:at]
	if at, ok = sc.stepBack(start, '"'); !ok {
		return ""
	}
	if at, ok = sc.stepBack(at, ':'); !ok {
		return ""
	}
	if at, ok = sc.stepBack(at, '"'); !ok {
		return ""
	}
	switch strings.ToLower(sc.s[wordStart(sc.s, at, 0):at]) {
	case "name", "key", "header":
		return name
	}
	return ""
}

// maxLayout is how much layout is stepped back over: an indentation.
const maxLayout = 64

// layoutBefore returns where the layout begins that ends right before a place, as skipLayout steps
// over it.
func layoutBefore(s string, at, least int) int {
	for at > least {
		if strings.IndexByte(" \t\r\n", s[at-1]) >= 0 {
			at--
		} else if n := escapeBefore(s, at); n == 2 {
			for at -= n; at > least && s[at-1] == '\\'; at-- {
			}
		} else {
			break
		}
	}
	return at
}

// stepBack steps back over layout, a byte, and the backslashes before it.
func (sc *scan) stepBack(at int, want byte) (int, bool) {
	s := sc.s
	at = layoutBefore(s, at, max(0, at-maxLayout))
	if at == 0 || s[at-1] != want {
		return at, false
	}
	for at--; at > 0 && s[at-1] == '\\'; at-- {
	}
	return at, true
}
