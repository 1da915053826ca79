package redact

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// authority masks what is secret behind the // of a URL.
func (sc *scan) authority(start int) {
	sc.userInfo(start)
	sc.slackHook(start)
}

// maxUserInfo is how far the // of an address without a scheme is looked for, and the @ behind
// a password that was not encoded.
const maxUserInfo = 128

// userInfoBefore masks the user and password before an @ when // is before them.
func (sc *scan) userInfoBefore(at int) {
	s := sc.s
	colon := false
	for start := at; start > sc.done && at-start < maxUserInfo; start-- {
		switch c := s[start-1]; {
		case c == '/':
			if first := slashBefore(s, start); first > 0 && s[first-1] == '/' && colon && at > start {
				sc.userInfo(start)
			}
			return
		case c == '@' || endsAuthority(c):
			return
		case c == ':':
			colon = true
		}
	}
}

// userInfo masks what stands before the @ of the host of a URL whose authority begins at a
// place.
func (sc *scan) userInfo(start int) {
	s := sc.s
	end, at := start, -1
	for end < len(s) && !endsAuthority(s[end]) {
		if s[end] == '@' {
			at = end
		}
		end++
	}
	if at < 0 && strings.HasSuffix(s[start:end], "…") { // an error's short form of a long address
		at = end - len("…")
	}
	switch {
	case at >= 0:
	case beginsPassword(s[start:end]):
		if !isRepository(s, start, end) {
			at = lateAt(s, end, start+maxUserInfo)
		}
	case beginsDigits(s, start, end):
		at = lateAt(s, end, start+maxUserInfo)
	}
	if at <= start {
		return
	}
	mask := Redacted
	if strings.IndexByte(s[start:at], ':') >= 0 {
		mask += ":" + Redacted
	}
	if s[start:at] == mask { // and no e-mail address either
		sc.done = at + 1
		return
	}
	sc.addAs(start, at, ruleUserInfo, mask)
	sc.done = max(sc.done, at+1)
}

// beginsPassword reports whether the authority of a URL, which has no @, is a user and the
// beginning of a password that holds a /, ? or #: behind the last colon is no port, nor what stands
// for one.
func beginsPassword(authority string) bool {
	port := authority[strings.LastIndexByte(authority, ':')+1:]
	return port != authority && strings.Trim(port, "0123456789") != "" && strings.IndexByte(port, ']') < 0 && !standsForPort(port)
}

// beginsDigits reports whether the digits at the end of an authority are no port but, as in
// postgres://user:1234/abc@host, the beginning of a password: there is no such port, or the server is
// one of loginPorts and listens to another by default. On the web an @ in a path is common.
func beginsDigits(s string, start, end int) bool {
	colon := strings.LastIndexByte(s[start:end], ':')
	digits := s[start+colon+1 : end]
	if colon < 0 || digits == "" || isRepository(s, start, end) {
		return false
	}
	if n, err := strconv.Atoi(digits); err != nil || n > math.MaxUint16 || digits[0] == '0' && n > 0 {
		return strings.Trim(digits, "0123456789") == ""
	}
	port, login := loginPorts[schemeBefore(s, start)]
	return login && digits != port && !inParameter(s, end)
}

// loginPorts are schemes of servers that ask for a password, with the port that is theirs. An @ in the
// path of an address with another port is taken for the end of a password: one too many is masked
// rather than one too few.
var loginPorts = map[string]string{
	"amqp": "5672", "amqps": "5671", "clickhouse": "9000", "cockroachdb": "26257", "ftp": "21", "ftps": "990", "imap": "143", "imaps": "993",
	"ldap": "389", "ldaps": "636", "mariadb": "3306", "mongodb": "27017", "mqtt": "1883", "mqtts": "8883", "mssql": "1433", "mysql": "3306",
	"nats": "4222", "postgres": "5432", "postgresql": "5432", "redis": "6379", "rediss": "6379", "rtsp": "554", "sftp": "22", "smtp": "25",
	"smtps": "465", "sqlserver": "1433",
}

// schemeBefore returns the scheme of the URL whose authority begins at a place, in lower case and
// without a driver: that of postgresql+psycopg2:// is postgresql.
func schemeBefore(s string, start int) string {
	least := max(0, start-32)
	end := least + len(strings.TrimRight(s[least:start], `\/:`))
	at := end
	for at > least && (isAlnum(s[at-1]) || s[at-1] == '+') {
		at--
	}
	scheme, _, _ := strings.Cut(s[skipEscape(s, at, end):end], "+")
	return strings.ToLower(scheme)
}

// inParameter reports whether the first ? or @ behind a place begins a query, as in
// postgres://host:5433/db?user=jane@server: a parameter may hold an @.
func inParameter(s string, from int) bool {
	n := strings.IndexAny(s[from:min(len(s), from+maxUserInfo)], "?@ \t\r\n\"")
	return n >= 0 && s[from+n] == '?' && isParameter(s[from+n+1:])
}

// standsForPort knows port, your-port, $PORT, %d and %PORT%. Brackets end an authority.
func standsForPort(s string) bool {
	if at := ending(s, "port"); at >= 0 && isWord(s, at) {
		return true
	}
	switch s[0] {
	case '$':
		return s == strings.ToUpper(s)
	case '%':
		return len(s) <= len("%d") || s[len(s)-1] == '%'
	}
	return false
}

// isRepository knows ssh://github.com:org/repo@v1: a domain, and behind the colon a path instead of
// a port. Nobody writes a password into the address of ssh.
func isRepository(s string, start, end int) bool {
	scheme := strings.TrimRight(s[max(0, start-16):start], `\/:`)
	host, _, _ := strings.Cut(s[start:end], ":")
	return strings.HasSuffix(scheme, "ssh") && strings.IndexByte(host, '.') > 0
}

// lateAt returns the last @ of a URL before a limit, given where its authority ends by its form;
// -1 when there is none, or when the URL ends there. Brackets end it: most stand around it.
func lateAt(s string, from, limit int) int {
	at := -1
	for k := from; k < min(len(s), limit); k++ {
		switch s[k] {
		case ' ', '\t', '\r', '\n', '"', '\'', '`', '<', '>', '|', '(', ')', '[', ']', '{', '}':
			return at
		case '@':
			at = k
		case '\\': // \/ of JSON; other escapes end the URL
			next := slash(s, k)
			if next < 0 {
				return at
			}
			k = next - 1
		}
	}
	return at
}

func endsAuthority(c byte) bool {
	switch c {
	case '/', '?', '#', '\\', ' ', '\t', '\r', '\n', '"', '\'', '<', '>', '|', '`', '(', ')', '[', '{', '}':
		return true
	}
	return false
}

// email masks an address around the @ (or %40) from at to behind.
func (sc *scan) email(at, behind int) {
	s := sc.s
	start := at
	for start > sc.done && at-start < maxLocal {
		r, n := utf8.DecodeLastRuneInString(s[sc.done:start])
		if !isLocal(r) {
			break
		}
		start -= n
	}
	if at-start >= maxLocal {
		return
	}
	start = skipEscape(s, start, at)
	for start < at && (s[start] == '.' || s[start] == '-') {
		start++
	}
	end, dot := behind, 0
	for end < len(s) && end-behind < maxDomain {
		r, n := utf8.DecodeRuneInString(s[end:])
		if r == '.' && end > behind && s[end-1] != '.' {
			dot = end
		} else if r == '.' || r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			break
		}
		end += n
	}
	for end > behind && (s[end-1] == '.' || s[end-1] == '-') {
		end--
	}
	if dot == 0 || dot >= end {
		dot = behind + max(0, strings.LastIndexByte(s[behind:end], '.'))
	}
	if start == at || dot <= behind || !isTopLevel(s[dot+1:end]) || s[start:at] == "git" || notADomain(s[behind:end]) {
		return
	}
	sc.add(start, end, ruleEmail)
}

// How many bytes are looked at. RFC 5321 allows 64 and 255; the addresses that lists and
// newsletters make for each recipient are longer before the @.
const (
	maxLocal  = 256
	maxDomain = 255
)

func isLocal(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._+-", r)
}

// isTopLevel reports whether a text may be a top-level domain.
func isTopLevel(s string) bool {
	if begins(s, "xn--", true) { // of another script, as it is transmitted
		return len(s) > len("xn--")
	}
	return utf8.RuneCountInString(s) >= 2 && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsLetter(r) }) < 0
}

// notADomain knows the files that are named like image@2x.png.
func notADomain(s string) bool {
	return len(s) > 3 && isDigit(s[0]) && s[1] == 'x' && s[2] == '.'
}
