package redact

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Pseudonym returns what stands in place of a Slack id of a person: "u-" and the first 16
// hex digits of an HMAC of the id under the key. It is the same for the same id and key.
func Pseudonym(key, id string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(id))
	return "u-" + hex.EncodeToString(mac.Sum(nil)[:8])
}

// person masks a Slack id of a person: U or W and 8 to 11 capitals and digits, at least one of
// them a digit unless it stands in the address of a profile, …/team/U…; in a mention, <@U…>, any
// number of them, with the name in <@U…|name>.
func (sc *scan) person(at int) {
	s := sc.s
	end, digit := at+1, false
	for end < len(s) && end-at <= 12 && (isUpper(s[end]) || isDigit(s[end])) {
		digit = digit || isDigit(s[end])
		end++
	}
	if end-at < 3 || end-at > 12 || end < len(s) && (isAlnum(s[end]) || s[end] == '_') || !sc.atWord(at) {
		return
	}
	mentioned := at >= 2 && s[at-1] == '@' && (s[at-2] == '<' || s[at-2] == 'c' && escapeBefore(s, at-1) == 6)
	if !mentioned && (end-at < 9 || !digit && !behindTeam(s[:at]) || at > 0 && s[at-1] == '_') {
		return
	}
	mask := ""
	if sc.r.key != "" {
		mask = Pseudonym(sc.r.key, s[at:end])
	}
	if mentioned {
		end += nameLength(s[end:])
	}
	sc.addAs(at, end, ruleSlackUser, mask)
}

// behindTeam reports whether a text ends as the address of a profile does before the id, also in
// JSON and within another address.
func behindTeam(s string) bool {
	for _, end := range []string{"/team/", `\/team\/`, "%2Fteam%2F", "%2fteam%2f"} {
		if strings.HasSuffix(s, end) {
			return true
		}
	}
	return false
}

// maxName bounds the name in a mention, in bytes. Slack's have up to 80 characters.
const maxName = 4 * 80

// nameLength is how long the name of a mention is, with the | before it; 0: it has none. It ends
// with the mention, which may be written as in JSON, or where the text was cut.
func nameLength(s string) int {
	if s == "" || s[0] != '|' {
		return 0
	}
	n := strings.IndexAny(s[:min(len(s), maxName)], "<>\"\\\r\n")
	if n < 0 {
		if len(s) > maxName {
			return 0
		}
		return len(s)
	}
	switch rest := strings.TrimLeft(s[n:], `\`); {
	case s[n] == '>', strings.HasPrefix(rest, `"`), strings.HasPrefix(rest, "u003e"), strings.HasPrefix(rest, "u003E"):
		return n
	}
	return 0
}
