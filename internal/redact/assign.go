package redact

import "strings"

// secretNames are endings of names whose values are secrets, without _ and -, and the
// rule that masks them.
var secretNames = []struct{ ending, rule string }{
	{"secretaccesskey", ruleAWSSecret},
	{"password", rulePassword},
	{"passwd", rulePassword},
	{"pwd", rulePassword},
	{"passphrase", rulePassword},
	{"passcode", rulePassword},
	{"secretkey", ruleSecret},
	{"secret", ruleSecret},
	{"credential", ruleSecret},
	{"credentials", ruleSecret},
	{"apikey", ruleAPIKey},
	{"accesskey", ruleAPIKey},
	{"accountkey", ruleAPIKey},
	{"authkey", ruleAPIKey},
	{"privatekey", ruleAPIKey},
	{"privatekeyid", ruleAPIKey},
	{"signingkey", ruleAPIKey},
	{"encryptionkey", ruleAPIKey},
	{"masterkey", ruleAPIKey},
	{"xamzsignature", ruleToken},
	{"xamzcredential", ruleToken},
	{"xgoogsignature", ruleToken},
	{"xgoogcredential", ruleToken},
	{"token", ruleToken},
	{"sessionid", ruleToken},
	{"sessionkey", ruleToken},
	{"jwt", ruleToken},
	{"authorization", ruleAuthorization},
	{"cookie", ruleCookie},
}

// byLast holds the endings by their last letter.
var byLast = func() (by [256][]int) {
	for i, n := range secretNames {
		last := n.ending[len(n.ending)-1]
		by[last] = append(by[last], i)
	}
	return by
}()

// secretRule returns the rule for a name, "" when its value is no secret.
func secretRule(name string) string {
	if name == "" {
		return ""
	}
	for _, i := range byLast[name[len(name)-1]|0x20] {
		if endsWith(name, secretNames[i].ending) {
			return secretNames[i].rule
		}
	}
	return ""
}

// endsWith reports whether a name in any case, without _ and -, has an ending.
func endsWith(name, ending string) bool {
	k := len(name)
	for i := len(ending) - 1; i >= 0; i-- {
		k--
		for k >= 0 && (name[k] == '_' || name[k] == '-') {
			k--
		}
		if k < 0 || name[k]|0x20 != ending[i] {
			return false
		}
	}
	return true
}

// plain returns a name in lower case, without _ and -.
func plain(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'A' && c <= 'Z':
			return c | 0x20
		case c == '_' || c == '-':
			return -1
		}
		return c
	}, name)
}

// mayEndName knows the last letters of names that are secret, and what may stand between a
// name and its = or colon.
var mayEndName = func() (may [256]bool) {
	mark := func(name string) {
		last := name[len(name)-1]
		may[last], may[last&^0x20] = true, true
	}
	for _, n := range secretNames {
		mark(n.ending)
	}
	for name := range parameterNames {
		mark(name)
	}
	for _, c := range " \"'`" {
		may[c] = true
	}
	return may
}()

// assignment masks the value behind = when the name before it says that it is a secret.
func (sc *scan) assignment(at int) {
	if at == 0 || !mayEndName[sc.s[at-1]] || sc.parameter(at, at+1) {
		return
	}
	value := at + 1
	if value < len(sc.s) && (sc.s[value] == '>' || sc.s[value] == '=') { // => of Ruby and PHP, ==
		value++
	}
	sc.assigned(at, value, true)
}

// colon masks the value behind a colon in the same way, and the user information of a URL.
func (sc *scan) colon(at int) {
	s := sc.s
	if strings.HasPrefix(s[at:], "://") {
		sc.userInfo(at + 3)
		return
	}
	if at == 0 || !mayEndName[s[at-1]] {
		return
	}
	value := at + 1
	if value < len(s) && s[value] == '=' { // := of Go
		value++
	}
	sc.assigned(at, value, false)
}

// assigned masks a value whose name ends at the separator.
func (sc *scan) assigned(separator, value int, equals bool) {
	s := sc.s
	end := separator
	for end > sc.done && s[end-1] == ' ' && separator-end < 4 {
		end--
	}
	quotes := "" // that closed the name, with the backslashes before it
	if end > sc.done && isQuote(s[end-1]) {
		closed := end
		for end--; end > sc.done && s[end-1] == '\\'; end-- {
		}
		quotes = s[end:closed]
	}
	rule := secretRule(s[wordStart(s, end, sc.done):end])
	if rule == "" {
		return
	}
	for value < len(s) && (s[value] == ' ' || s[value] == '\t') {
		value++
	}
	start, quote := openQuote(s, value)
	inJSON := quote == 0 && quotes != "" // a number, true or the like
	switch {
	case rule != ruleAuthorization && rule != ruleCookie:
	case inJSON: // no header
		return
	case rule == ruleAuthorization:
		sc.authorization(start, quote)
		return
	default:
		sc.cookie(start, quote)
		return
	}
	if isMask(s[start:]) || isVariable(s[start:]) || strings.HasPrefix(s[start:], pemBegin) || isStructure(s[start:]) {
		return
	}
	stop := valueEnd(s, start, quote)
	if n := strings.IndexAny(s[start:stop], ",]}"); n >= 0 && inJSON {
		stop = start + n
	}
	v := s[start:stop]
	bare := quote == 0 && quotes == "" && !equals
	if !plausible(v, rule, quote != 0 || quotes != "", equals) || bare && isProse(rule, v, s[wordStart(s, end, sc.done):end], s[stop:]) {
		return
	}
	if vendor := sc.vendor(v); vendor != "" {
		rule = vendor
	}
	mask := ""
	if inJSON { // which a bare mask would break
		mask = quotes + maskBegin + rule + "]" + quotes
	}
	sc.addAs(start, stop, rule, mask)
}

// isStructure reports whether what follows is not a value but how JSON goes on: the text that
// seemed to name a secret was the end of a string, or the value is a list or an object.
func isStructure(s string) bool {
	s = strings.TrimLeft(s, " \t\r\n")
	return s == "" || strings.IndexByte("{}[],:", s[0]) >= 0
}

// vendor returns the rule that knows a value by the literal that it begins with.
func (sc *scan) vendor(value string) string {
	inner := scan{r: &Redactor{table: sc.r.table}, s: value}
	for i := range min(len(value), 24) {
		if inner.literal(sc.r.table, i) {
			break
		}
	}
	if len(inner.found) == 0 || inner.found[0].Start > 0 {
		return ""
	}
	return inner.found[0].Rule
}

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }

// openQuote steps over a quote that opens a value, with the backslashes before it.
func openQuote(s string, at int) (start int, quote byte) {
	k := at
	for k < len(s) && s[k] == '\\' {
		k++
	}
	if k < len(s) && isQuote(s[k]) {
		return k + 1, s[k]
	}
	return at, 0
}

// valueEnd returns where a value ends: at its closing quote or the end of its line; without
// quotes at white space too, and at what cannot be in it. Closing brackets and full stops
// behind a bare value are no part of it.
func valueEnd(s string, start int, quote byte) int {
	at := start
loop:
	for at < len(s) {
		switch c := s[at]; c {
		case '\n', '\r', '"':
			break loop
		case '\'', '`':
			if quote == 0 || c == quote {
				break loop
			}
		case '\\':
			k := at
			for k < len(s) && s[k] == '\\' {
				k++
			}
			if k == len(s) || isQuote(s[k]) || s[k] == 'n' || s[k] == 'r' || s[k] == 't' {
				break loop
			}
			if strings.HasPrefix(s[k:], "u0026") || strings.HasPrefix(s[k:], "u003c") || strings.HasPrefix(s[k:], "u003e") {
				break loop
			}
			at = k
		case ' ', '\t', '<', '>', '|':
			if quote == 0 {
				break loop
			}
		case '[', 'R':
			if isMask(s[at:]) {
				break loop
			}
		case '&':
			if quote == 0 && isParameter(s[at+1:]) {
				break loop
			}
		}
		at++
	}
	if quote == 0 {
		for at > start && strings.IndexByte(",;.)]}", s[at-1]) >= 0 {
			at--
		}
	}
	return at
}
