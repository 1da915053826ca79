package redact

import (
	"slices"
	"strings"
)

// secretNames are endings of names whose values are secrets, without _ and -, and the
// rule that masks them.
var secretNames = []secretName{
	{ending: "secretaccesskey", rule: ruleAWSSecret},
	{ending: "password", rule: rulePassword},
	{ending: "passwd", rule: rulePassword},
	{ending: "pwd", rule: rulePassword},
	{ending: "pass", rule: rulePassword, whole: true},
	{ending: "pw", rule: rulePassword, whole: true},
	{ending: "passphrase", rule: rulePassword},
	{ending: "passcode", rule: rulePassword},
	{ending: "secretkey", rule: ruleSecret},
	{ending: "secret", rule: ruleSecret},
	{ending: "credential", rule: ruleSecret},
	{ending: "credentials", rule: ruleSecret},
	{ending: "apikey", rule: ruleAPIKey},
	{ending: "subscriptionkey", rule: ruleAPIKey},
	{ending: "applicationkey", rule: ruleAPIKey},
	{ending: "appkey", rule: ruleAPIKey, whole: true},
	{ending: "accesskey", rule: ruleAPIKey},
	{ending: "accountkey", rule: ruleAPIKey},
	{ending: "authkey", rule: ruleAPIKey},
	{ending: "privatekey", rule: ruleAPIKey},
	{ending: "privatekeyid", rule: ruleAPIKey},
	{ending: "signingkey", rule: ruleAPIKey},
	{ending: "encryptionkey", rule: ruleAPIKey},
	{ending: "masterkey", rule: ruleAPIKey},
	{ending: "xamzsignature", rule: ruleToken},
	{ending: "xamzcredential", rule: ruleToken},
	{ending: "xgoogsignature", rule: ruleToken},
	{ending: "xgoogcredential", rule: ruleToken},
	{ending: "token", rule: ruleToken},
	{ending: "sessionid", rule: ruleToken},
	{ending: "sessionkey", rule: ruleToken},
	{ending: "jwt", rule: ruleToken},
	{ending: "authorization", rule: ruleAuthorization},
	{ending: "cookie", rule: ruleCookie},
	{ending: "auth", rule: ruleBasic, whole: true},
}

type secretName struct {
	ending, rule string
	// whole: it is a word of its own, so that bypass is no password.
	whole bool
}

// byLast holds the endings by their last letter, each with the letter before it: most names
// of a text are told from them by these two.
var byLast = func() (by [256][]lastLetters) {
	for i, n := range secretNames {
		k := len(n.ending)
		by[n.ending[k-1]] = append(by[n.ending[k-1]], lastLetters{n.ending[k-2], i})
	}
	return by
}()

type lastLetters struct {
	before byte
	index  int // of secretNames
}

// secretRule returns the rule for a name, "" when its value is no secret.
func secretRule(name string) string {
	if len(name) < 2 {
		return ""
	}
	before := name[len(name)-2]
	for _, last := range byLast[name[len(name)-1]|0x20] {
		if last.before != before|0x20 && before != '_' && before != '-' {
			continue
		}
		n := &secretNames[last.index]
		if at := ending(name, n.ending); at >= 0 && (!n.whole || isWord(name, at)) {
			return n.rule
		}
	}
	return ""
}

// ending returns where an ending of a name in any case, without _, - and blanks, begins; -1 when the
// name does not have it.
func ending(name, end string) int {
	k := len(name)
	for i := len(end) - 1; i >= 0; i-- {
		k--
		for k >= 0 && (name[k] == '_' || name[k] == '-' || name[k] == ' ') {
			k--
		}
		if k < 0 || name[k]|0x20 != end[i] {
			return -1
		}
	}
	return k
}

// isWord reports whether a word begins at a place of a name: behind _, -, a full stop or a
// digit, or as in dbPass.
func isWord(name string, at int) bool {
	return at == 0 || !isLetter(name[at-1]) || isUpper(name[at]) && !isUpper(name[at-1])
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
	for _, n := range nativeNames {
		may[n.ending[len(n.ending)-1]] = true
	}
	for _, c := range []byte(" \t\r\n\"'`*]" + wideBlank[2:]) {
		may[c] = true
	}
	return may
}()

// assignment masks the value behind an = from at to behind when the name before it says that
// it is a secret.
func (sc *scan) assignment(at, behind int) {
	if at == 0 || at < sc.done || !mayEndName[sc.s[at-1]] || sc.parameter(at, behind) {
		return
	}
	value := behind
	if value < len(sc.s) && (sc.s[value] == '>' || sc.s[value] == '=') { // => of Ruby and PHP, ==
		value++
	}
	sc.assigned(at, value, true)
}

// colon masks the value behind a colon in the same way, and what is secret in a URL.
func (sc *scan) colon(at int) {
	s := sc.s
	if strings.HasPrefix(s[at:], "://") {
		sc.authority(at + 3)
		return
	}
	if strings.HasPrefix(s[at:], `:\`) { // :\/\/ of JSON
		if host := slash(s, at+1); host > 0 {
			if host = slash(s, host); host > 0 {
				sc.authority(host)
				return
			}
		}
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
	if c := s[end-1]; !isQuote(c) && (!isAlnum(c) || end > 1 && s[end-2] == '\\') {
		end = sc.nameEnd(separator, value)
	}
	quotes := "" // that closed the name, with the backslashes before it
	if end > sc.done && isQuote(s[end-1]) {
		closed := end
		for end--; end > sc.done && s[end-1] == '\\'; end-- {
		}
		quotes = s[end:closed]
		if strings.HasSuffix(s[sc.done:end], quotes) { // ""name"" in a field of CSV
			end -= len(quotes)
			quotes += quotes
		}
	}
	begin := wordStart(s, end, sc.done)
	name := s[begin:end]
	rule := secretRule(name)
	if rule == "" && equals && isDigest(name) {
		start, _ := openQuote(s, value)
		sc.digest(start)
		return
	}
	if rule == "" && len(name) > maxLastWord { // most names
		return
	}
	how := written{name: name, quotes: quotes, equals: equals, wide: s[separator] == wideColon[0], stars: s[end] == '*'}
	if rule == "" {
		if rule, begin = sc.nameInParts(begin, end, &how); rule == "" {
			return
		}
	}
	value = sc.valueStart(value, begin, &how)
	start, q := openQuote(s, value)
	if quotes != "" && start < len(s) && s[start] == '[' {
		sc.list(start+1, rule, quotes)
		return
	}
	how.quote = q
	sc.open(start, rule, how)
	if bare := q.mark == 0 && quotes == "" && !equals; bare {
		ends := sc.done > value && s[sc.done-1] == '=' // so that the quote behind it may close a string of code
		if start, how.quote = behindType(s, value); how.quote.mark != 0 && (!ends || goesOn(s, start)) {
			how.equals = true
			sc.open(start, rule, how)
		}
	}
}

// open masks a value of which one quote was stepped over: there may be two or three.
func (sc *scan) open(start int, rule string, how written) {
	if start, how.quote = how.quote.openTripled(sc.s, start); how.quote.until == 0 {
		start, how.quote = how.quote.openDoubled(sc.s, start)
	}
	sc.value(start, rule, how)
}

// written is how a value is written.
type written struct {
	name   string // in front of it
	quote  quote  // that opens it
	quotes string // that close the name, with the backslashes before them
	equals bool   // = is between the two
	words  bool   // the name is several words with blanks, as in a sentence
	wide   bool   // in a script without blanks: the value ends where ASCII does
	stars  bool   // of Markdown close the name
}

// value masks a value of a name that the rule knows.
func (sc *scan) value(start int, rule string, c written) {
	s, quote, quotes := sc.s, c.quote, c.quotes
	quoted := quote.mark != 0
	inJSON := !quoted && quotes != "" // a number, true or the like
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
	text := s
	if c.wide && !quoted {
		text = s[:start+asciiLength(s[start:])]
	}
	stop := valueEnd(text, start, quote)
	if quote.joins(s[start:stop]) {
		return
	}
	if n := strings.IndexAny(s[start:stop], ",]}"); n >= 0 && inJSON {
		stop = start + n
	}
	v := s[start:stop]
	bare := !quoted && quotes == "" && !c.equals
	if c.words && !isRandom(v, bare) || (c.wide || c.stars) && !quoted && isAddress(v) {
		return
	}
	if !plausible(v, rule, quoted || quotes != "", c.equals) || bare && isProse(rule, v, c.name, s[stop:]) {
		return
	}
	if call := strings.IndexByte(v, '('); call > 0 && !quoted && strings.EqualFold(c.name, "pass") && !strings.ContainsAny(v[:call], "0123456789") {
		return // whether a test passes: pass := isNil(object)
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
	inner := scan{r: &Redactor{table: sc.r.table}, s: value, inner: true}
	for i := range min(len(value), 24) {
		if inner.literal(sc.r.table, i) {
			break
		}
	}
	for _, f := range slices.Concat(inner.found, inner.noted) {
		if f.Start == 0 {
			return f.Rule
		}
	}
	return ""
}
