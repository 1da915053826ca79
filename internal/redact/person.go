package redact

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// Pseudonym returns what stands in place of a Slack id of a person: "u-" and the first 16
// hex digits of an HMAC of the id under the key. It is the same for the same id and key.
func Pseudonym(key, id string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(id))
	return "u-" + hex.EncodeToString(mac.Sum(nil)[:8])
}

// person masks a Slack id of a person: U or W and 8 to 11 capitals and digits, at least one
// of them a digit; in a mention, <@U…>, any number of them.
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
	if !mentioned && (end-at < 9 || !digit || at > 0 && s[at-1] == '_') {
		return
	}
	mask := ""
	if sc.r.key != "" {
		mask = Pseudonym(sc.r.key, s[at:end])
	}
	sc.addAs(at, end, ruleSlackUser, mask)
}
