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
	if rule == "" || rule == ruleAuthorization || rule == ruleCookie {
		return
	}
	if slash := slashBefore(s, prefixStart(s, begin)); slash > 0 {
		sc.endTag(slash, s[prefixStart(s, begin):at], rule)
		return
	}
	if begin == 0 || s[begin-1] != '<' && s[begin-1] != ':' && escapeBefore(s, begin) != 6 {
		return
	}
	if isMask(s[behind:]) || isVariable(s[behind:]) {
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

// endTag masks the text of an element, given its name and where the / of its end tag stands, when
// what tag looks for is not there: the start tag has attributes, or layout or CDATA is around the text.
func (sc *scan) endTag(slash int, name, rule string) {
	s := sc.s
	least := max(0, slash-maxElement)
	end := bracketBefore(s, slash, '<', least)
	if end < 0 {
		return
	}
	end = layoutBefore(s, end, least)
	closed := bracketBefore(s, end, '>', least)
	data := closed > least && strings.HasSuffix(s[least:closed], "]]")
	if data {
		end = closed - len("]]")
	}
	start := end
	for start > least && bracketBefore(s, start, '>', least) < 0 && bracketBefore(s, start, '<', least) < 0 {
		start--
	}
	tag := start
	if data {
		if tag = bracketBefore(s, start, '<', least); tag < 0 || !strings.HasPrefix(s[start:end], cdata) {
			return
		}
		tag = layoutBefore(s, tag, least)
		start += len(cdata)
	} else {
		start = min(end, skipLayout(s, start))
	}
	if !sc.opens(tag, name) || start >= end || isMask(s[start:]) || isVariable(s[start:]) || valueEnd(s[:end], start, unquoted) != end {
		return
	}
	if n := len(sc.found); n > 0 && sc.found[n-1].End > start {
		return // of the start tag
	}
	if plausible(s[start:end], rule, true, false) {
		sc.note(start, end, rule)
	}
}

const cdata = "![CDATA["

// opens reports whether the start tag of an element of a name ends right before a place.
func (sc *scan) opens(at int, name string) bool {
	s := sc.s
	least := max(0, at-maxElement)
	tag := bracketBefore(s, at, '>', least)
	for k := tag; k > least; k-- {
		if s[k-1] == '>' {
			return false
		}
		if bracketBefore(s, k, '<', least) >= 0 {
			return strings.HasPrefix(s[k:], name) && k+len(name) <= tag && (k+len(name) == tag || !isName(s[k+len(name)]))
		}
	}
	return false
}

// bracketBefore returns where a < or > begins, also as the escape of JSON, that ends right before a
// place; -1: there is none.
func bracketBefore(s string, at int, bracket byte, least int) int {
	if at > least && s[at-1] == bracket {
		return at - 1
	}
	const escape = len("u003c")
	last := byte('c') + bracket - '<'
	if at-escape <= least || s[at-1]|0x20 != last || s[at-escape:at-1] != "u003" {
		return -1
	}
	if at -= escape; s[at-1] != '\\' {
		return -1
	}
	for at > least && s[at-1] == '\\' {
		at--
	}
	return at
}

// prefixStart returns where the prefix of a namespace begins in front of a name, or the name does.
func prefixStart(s string, name int) int {
	if name == 0 || s[name-1] != ':' {
		return name
	}
	return wordStart(s, name-1, 0)
}
