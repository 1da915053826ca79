package redact

import "strings"

// maxCommand is how far behind curl its option may stand.
const maxCommand = 200

// maxUser is the length of the longest name of a user in front of a password.
const maxUser = 64

// curlUser masks the password in curl -u jane:…, given where the value of the option begins. Other
// programs have a group or a number there, as docker run -u 1000:1000 has.
func (sc *scan) curlUser(at int) {
	s := sc.s
	command := s[max(0, at-maxCommand):at]
	if curl := strings.LastIndex(command, "curl"); curl < 0 || otherCommand(command[curl:]) {
		return
	}
	start, q := openQuote(s, at)
	name := start
	for start < len(s) && start-name < maxUser && (isName(s[start]) || s[start] == '@' || s[start] == '+') {
		start++
	}
	if start == name || start == len(s) || s[start] != ':' {
		return
	}
	start++
	end := valueEnd(s, start, q)
	v := s[start:end]
	if len(v) < 4 || strings.Trim(v, "0123456789") == "" || strings.IndexByte("$<[{%", v[0]) >= 0 {
		return
	}
	sc.add(start, end, rulePassword)
}

// otherCommand reports whether another command begins in a text of a shell: behind a semicolon, a pipe or
// a line break that no backslash takes away. As an escape of JSON such a break has one or two backslashes, and
// three times as many with another before it.
func otherCommand(s string) bool {
	for i := range len(s) {
		switch s[i] {
		case ';', '|':
			return true
		case '\n':
			if !strings.HasSuffix(strings.TrimSuffix(s[:i], "\r"), `\`) {
				return true
			}
		case 'n':
			if n := i - len(strings.TrimRight(s[:i], `\`)); n == 1 || n == 2 {
				return true
			}
		}
	}
	return false
}
