package redact

import "strings"

// maxCommand is how far behind curl its option may stand.
const maxCommand = 200

// maxUser is the length of the longest name of a user in front of a password.
const maxUser = 64

// curlUser notes the password in curl -u jane:…, given where the value of the option begins. Other
// programs have a group or a number there, as docker run -u 1000:1000 has. The name may be a token or an
// address, which have rules of their own.
func (sc *scan) curlUser(at int) {
	s := sc.s
	command := s[max(0, at-maxCommand):at]
	if curl := strings.LastIndex(command, "curl "); curl < 0 || otherCommand(command[curl:]) {
		return
	}
	start, q := openQuote(s, at)
	name := start
	for start < len(s) && start-name < maxUser && (isName(s[start]) || s[start] == '@' || s[start] == '+') {
		start++
	}
	if start == len(s) || s[start] != ':' {
		return
	}
	start++
	end := valueEnd(s, start, q)
	v := s[start:end]
	if len(v) < 4 || strings.Trim(v, "0123456789") == "" || strings.IndexByte("$<[{%", v[0]) >= 0 {
		return
	}
	sc.note(start, end, rulePassword)
}

// otherCommand reports whether another command begins in a text of a shell, or the text around it goes on:
// behind a line break that no backslash takes away, and behind a semicolon, a pipe, &&, ` and < outside of quotes.
func otherCommand(s string) bool {
	open := byte(0)
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '\n' && !strings.HasSuffix(strings.TrimSuffix(s[:i], "\r"), `\`), c == 'n' && isBreak(s[:i]):
			return true
		case open != 0:
			if c == open {
				open = 0
			}
		case c == '\'', c == '"':
			open = c
		case c == ';' && !entity(s[:i]), c == '|', c == '`', c == '<',
			c == '&' && (strings.HasPrefix(s[i:], "&&") || strings.HasPrefix(s[i:], "&amp;&amp;")),
			c == 'u' && strings.HasSuffix(s[:i], `\`) && endsEscaped(s[i+1:]):
			return true
		}
	}
	return false
}

// endsEscaped reports whether what stands behind \u is < or &&, as JSON escapes them.
func endsEscaped(s string) bool {
	if more, is := strings.CutPrefix(s, "0026"); is {
		return strings.HasPrefix(strings.TrimLeft(more, `\`), "u0026")
	}
	return strings.HasPrefix(s, "003c") || strings.HasPrefix(s, "003C")
}

// isBreak reports whether the backslashes at the end of a text make a line break of the n behind it, as an
// escape of JSON, which has one or two of them. A break with a backslash before it has three times as many.
func isBreak(s string) bool {
	n := slashesBefore(s)
	if rest := s[:len(s)-n]; n > 0 && strings.HasSuffix(rest, "r") {
		n = max(n, slashesBefore(rest[:len(rest)-1]))
	}
	return n == 1 || n == 2
}

func slashesBefore(s string) int { return len(s) - len(strings.TrimRight(s, `\`)) }

// entity reports whether a semicolon behind a text ends an entity of HTML.
func entity(s string) bool {
	for _, name := range []string{"&amp", "&quot", "&#34", "&#39", "&apos"} {
		if strings.HasSuffix(s, name) {
			return true
		}
	}
	return false
}
