package redact

import "strings"

// parameterNames are further names that are credentials as query parameters of a URL,
// without _ and -.
var parameterNames = map[string]bool{
	"key": true, "sig": true, "signature": true, "auth": true, "pass": true, "sid": true, "ticket": true, "otp": true,
	"awsaccesskeyid": true, "googleaccessid": true, "xossignature": true,
}

// parameter masks the value of a query parameter, given the place of = (or %3D) and the
// beginning of the value. It reports whether the name is one of a query.
func (sc *scan) parameter(at, value int) bool {
	s := sc.s
	start := wordStart(s, at, sc.done)
	name := s[start:at]
	if name == "" {
		return false
	}
	sure, perhaps := inQuery(s, start)
	if !sure && (!perhaps || !parameterNames[name]) {
		return false
	}
	if !parameterNames[plain(name)] && secretRule(name) == "" {
		return false
	}
	if isMask(s[value:]) {
		return true
	}
	end := value
	for end < len(s) && !endsParameter(s, end) {
		end++
	}
	sc.addAs(value, end, ruleURLParameter, Redacted)
	return true
}

// inQuery reports whether a name at a place is one of a query. Perhaps it is, where a text was
// cut into sentences behind the question mark, or has got a blank there.
func inQuery(s string, at int) (sure, perhaps bool) {
	switch n := escapeBefore(s, at); {
	case at == 0:
		return false, true
	case n == 6:
		return s[at-6:at] == `\u0026`, false
	case n == 3:
		return s[at-2:at] == "26" || s[at-2:at] == "23" || strings.EqualFold(s[at-2:at], "3f"), false
	}
	switch s[at-1] {
	case '?', '&', '#', ';': // &amp; of HTML too
		return true, false
	case '"':
		return false, true
	case ' ':
		return false, at > 1 && s[at-2] == '?'
	}
	return false, false
}

func endsParameter(s string, at int) bool {
	switch s[at] {
	case ' ', '\t', '\r', '\n', '"', '\'', '<', '>', '|', '`', '&', ';', '#', '\\', ')', ']', '}':
		return true
	case '%':
		return strings.HasPrefix(s[at:], "%26")
	}
	return false
}

// percent looks at %3D, %40 and %2F%2F: =, @ and // of a URL within a URL.
func (sc *scan) percent(at int) {
	if len(sc.s) < at+3 {
		return
	}
	switch sc.s[at+1 : at+3] {
	case "3D", "3d":
		sc.parameter(at, at+3)
	case "40":
		sc.email(at, at+3)
	case "2F", "2f":
		if host := slash(sc.s, at+3); host == at+6 {
			sc.slackHook(host)
		}
	}
}

// isParameter reports whether a text begins with name=.
func isParameter(s string) bool {
	for i := range min(len(s), 64) {
		if s[i] == '=' {
			return i > 0
		}
		if !isName(s[i]) {
			return false
		}
	}
	return false
}
