package redact

import "strings"

// maxElement is how far the end of an element is looked for: a text may begin many.
const maxElement = 1024

// tag masks the text of an element of XML whose name says that it is a secret, given its >
// from at to behind.
func (sc *scan) tag(at, behind int) {
	s := sc.s
	if at == 0 || !mayEndName[s[at-1]] || s[at-1] == ' ' {
		return
	}
	begin := wordStart(s, at, sc.done)
	name := s[begin:at]
	rule := secretRule(name)
	if rule == "" || rule == ruleAuthorization || rule == ruleCookie || isMask(s[behind:]) || isVariable(s[behind:]) {
		return
	}
	if begin == 0 || s[begin-1] != '<' && s[begin-1] != ':' && escapeBefore(s, begin) != 6 {
		return
	}
	end := min(len(s), behind+maxElement)
	if n := strings.IndexAny(s[behind:end], "<&"); n >= 0 {
		end = behind + n
	}
	end = valueEnd(s[:end], behind, unquoted)
	rest := s[end:]
	if !strings.HasPrefix(rest, "<") && !strings.HasPrefix(strings.TrimLeft(rest[:min(16, len(rest))], `\`), "u003c") {
		return // no element ends here
	}
	if v := s[behind:end]; plausible(v, rule, true, false) {
		sc.add(behind, end, rule)
	}
}
