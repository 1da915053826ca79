package redact

import (
	"strings"
	"unicode/utf8"
)

// What Chinese and Japanese texts have in place of a colon, = and a blank. Each of their bytes is rare
// in other texts.
const (
	wideColon = "\uff1a"
	wideEqual = "\uff1d"
	wideBlank = "\u3000"
)

// nativeNames are names in other scripts than the Latin one, without the first letter where it has a
// capital.
var nativeNames = []secretName{
	{ending: "パスワード", rule: rulePassword},
	{ending: "密码", rule: rulePassword},
	{ending: "密碼", rule: rulePassword},
	{ending: "비밀번호", rule: rulePassword},
	{ending: "ароль", rule: rulePassword},
	{ending: "APIキー", rule: ruleAPIKey},
	{ending: "API密钥", rule: ruleAPIKey},
}

// nameEnd returns where the name ends in front of a separator: before blanks, the stars of Markdown, and
// the old value in a prompt of the AWS CLI. Behind a name in quotes any layout may stand, a line break
// behind a key only.
func (sc *scan) nameEnd(separator, value int) int {
	s := sc.s
	least := max(sc.done, separator-maxLayout)
	if end := layoutBefore(s, separator, least); end > sc.done && isQuote(s[end-1]) && (!hasBreak(s[end:separator]) || sc.isKey(end, value)) {
		return end
	}
	if s[separator] == '=' { // more of them align the constants of code
		least = max(sc.done, separator-4)
	}
	end := blanksBefore(s, separator, least)
	if end > least && s[end-1] == ']' {
		if end-1 > least && isQuote(s[end-2]) && sc.inQuotes(value) { // config["password"] = "…"
			return end - 1
		}
		open := strings.LastIndexByte(s[least:end], '[')
		if open < 0 || s[least+open:end] != "[None]" && s[least+open+1] != '*' {
			return end
		}
		return blanksBefore(s, least+open, least)
	}
	for end > least && s[end-1] == '*' {
		end--
	}
	return end
}

// inQuotes reports whether the value that begins at a place stands in quotes and is a single word: other
// than what a form says of a field.
func (sc *scan) inQuotes(at int) bool {
	start, q := openQuote(sc.s, skipBlank(sc.s, at))
	return q.mark != 0 && strings.IndexByte(sc.s[start:valueEnd(sc.s, start, q)], ' ') < 0
}

// hasBreak reports whether layout has a line break, also as an escape of JSON.
func hasBreak(layout string) bool { return strings.ContainsAny(layout, "\r\nrn") }

// isKey reports whether the text in quotes that ends at a place is the key of an object: it follows a brace
// or a comma, and its value, or the first of a list, opens with the same quote. In code a colon on the next
// line is that of a choice or a label, and in a docstring that of a parameter.
func (sc *scan) isKey(end, value int) bool {
	s := sc.s
	at := end - 1
	if s[at] == '`' {
		return false
	}
	for at > sc.done && s[at-1] == '\\' {
		at--
	}
	one := s[at:end]
	value = skipLayout(s, value)
	if strings.HasPrefix(s[value:], "[") {
		value = skipLayout(s, value+1)
	}
	at = len(strings.TrimSuffix(s[:at], one)) // both may be doubled, in a field of CSV
	least := max(0, at-maxLayout)
	begin := least + strings.LastIndex(s[least:at], one)
	if begin < least || !strings.HasPrefix(s[value:], one) {
		return false
	}
	begin = len(strings.TrimSuffix(s[:begin], one))
	begin = layoutBefore(s, begin, max(0, begin-maxLayout))
	return begin == 0 || s[begin-1] == '{' || s[begin-1] == ','
}

// blanksBefore returns where the blanks and tabs begin that end right before a place.
func blanksBefore(s string, at, least int) int {
	for at > least {
		switch {
		case s[at-1] == ' ' || s[at-1] == '\t':
			at--
		case at >= least+len(wideBlank) && strings.HasSuffix(s[:at], wideBlank):
			at -= len(wideBlank)
		case s[at-1] == 't' && at >= least+2 && escapeBefore(s, at) == 2:
			for at--; at > least && s[at-1] == '\\'; at-- {
			}
		default:
			return at
		}
	}
	return at
}

// maxLastWord is the length of the longest word, value, that says nothing of its own.
const maxLastWord = len("value")

// nameInParts returns the rule for a name of which the last word, from begin to end, is none: the rest
// of it stands before the word or on another line, or it is in another script. It returns where
// the name begins.
func (sc *scan) nameInParts(begin, end int, how *written) (rule string, start int) {
	s := sc.s
	switch word := s[begin:end]; {
	case word == "":
		for _, n := range nativeNames {
			if strings.HasSuffix(s[sc.done:end], n.ending) {
				how.wide, how.words = true, n.rule == ruleAPIKey
				return n.rule, end - len(n.ending)
			}
		}
	case len(word) == len("key") && strings.EqualFold(word, "key"):
		if start = sc.phraseStart(begin); start == begin {
			return "", begin
		}
		how.words = true
		how.name = s[start:end]
		return secretRule(how.name), start
	case how.quotes != "":
		return sc.pairRule(word, begin), begin
	case word == "value" && !how.equals:
		how.name = sc.nameOnLineBefore(begin)
		return secretRule(how.name), begin
	}
	return "", begin
}

// phraseStart returns where a name of two or three words begins, such as Secret Access Key, given
// where the last one does.
func (sc *scan) phraseStart(last int) int {
	start := last
	for range 2 {
		if start <= sc.done || sc.s[start-1] != ' ' {
			break
		}
		word := wordStart(sc.s, start-1, sc.done)
		if word == start-1 {
			break
		}
		start = word
	}
	return start
}

// nameOnLineBefore returns X of "- name: X" when "value:" begins at a place of the next line, as YAML
// has the environment of a container.
func (sc *scan) nameOnLineBefore(at int) string {
	s := sc.s
	end := layoutBefore(s, at, max(0, at-maxLayout))
	if !strings.ContainsAny(s[end:at], "\nn") {
		return ""
	}
	if end > 0 && isQuote(s[end-1]) {
		for end--; end > 0 && s[end-1] == '\\'; end-- {
		}
	}
	start := wordStart(s, end, 0)
	separator := start
	if separator > 0 && isQuote(s[separator-1]) {
		for separator--; separator > 0 && s[separator-1] == '\\'; separator-- {
		}
	}
	if separator = blanksBefore(s, separator, max(0, separator-maxLayout)); separator == 0 || s[separator-1] != ':' {
		return ""
	}
	separator--
	if s[wordStart(s, separator, 0):separator] != "name" {
		return ""
	}
	return s[start:end]
}

// valueStart steps over what stands between a separator and the value of the name that begins at a
// place.
func (sc *scan) valueStart(value, name int, how *written) int {
	s := sc.s
	value = skipBlank(s, value)
	switch {
	case how.quotes != "":
		// In JSON the value may stand on the next line, in YAML names without quotes may.
		if next := skipLayout(s, value); strings.HasPrefix(s[next:], how.quotes) || strings.HasPrefix(s[next:], "[") {
			return next
		}
	case how.wide:
		if r, n := utf8.DecodeRuneInString(s[value:]); strings.ContainsRune("「『“‘（【《", r) {
			return value + n
		}
	case how.equals:
	case name > 0 && s[name-1] == '*': // **name:** of Markdown
		stars := value
		for stars < len(s) && s[stars] == '*' {
			stars++
		}
		if stars > value {
			how.stars = true
			return skipBlank(s, stars)
		}
	default:
		return folded(s, value, how.name)
	}
	return value
}

// maxType is how long a type may be in the declaration of a name.
const maxType = 48

// behindType returns where the text begins that is the value in a declaration such as
// apiKey: string = "…", given where the type begins. Without a quote there is none. A type begins with a
// letter and has blanks beside | and before = only, other than HTML and sentences.
func behindType(s string, at int) (start int, q quote) {
	end := at
	for end < len(s) && end-at < maxSlashes && s[end] == '\\' {
		end++
	}
	switch { // a reference of Rust
	case end > at && !strings.HasPrefix(s[end:], "u0026"):
		return at, quote{}
	case end > at:
		end += len("u0026")
	case strings.HasPrefix(s[at:], "&"):
		end++
	}
	if strings.HasPrefix(s[end:], "'static ") {
		end += len("'static ")
	}
	if end >= len(s) || !isLetter(s[end]) {
		return at, quote{}
	}
	for end < len(s) && end-at < maxType && (isName(s[end]) || strings.IndexByte("?<>|[] ", s[end]) >= 0) {
		if s[end] == ' ' && s[end-1] != '|' {
			if next := skipBlank(s, end); next < len(s) && s[next] != '|' && s[next] != '=' {
				return at, quote{}
			}
		}
		end++
	}
	if end >= len(s) || s[end] != '=' {
		return at, quote{}
	}
	return openQuote(s, skipBlank(s, end+1))
}

// asciiLength is how much of a text is ASCII.
func asciiLength(s string) int {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return i
		}
	}
	return len(s)
}
