package redact

import (
	"encoding/base64"
	"strings"
)

// authorization masks the credentials of an Authorization header, with or without the name
// of a scheme.
func (sc *scan) authorization(start int, quote byte) {
	s := sc.s
	scheme := start
	for scheme < len(s) && (isAlnum(s[scheme]) || s[scheme] == '-') {
		scheme++
	}
	known := false
	switch strings.ToLower(s[start:scheme]) {
	case "basic", "bearer", "token", "digest", "apikey", "negotiate", "aws4-hmac-sha256":
		known = true
		for start = scheme; start < len(s) && s[start] == ' '; start++ {
		}
	}
	if isMask(s[start:]) || isVariable(s[start:]) || isStructure(s[start:]) {
		return
	}
	end := valueEnd(s, start, quote)
	v := s[start:end]
	if !known && len(v) < 16 || known && len(v) < 4 {
		return
	}
	rule := ruleAuthorization
	if vendor := sc.vendor(v); vendor != "" {
		rule = vendor
	}
	sc.add(start, end, rule)
}

// cookie masks the cookies of a header: everything up to the end of the line or string.
func (sc *scan) cookie(start int, quote byte) {
	s := sc.s
	if quote == 0 {
		quote = '"' // white space does not end it
	}
	if isParameter(s[start:]) {
		sc.add(start, valueEnd(s, start, quote), ruleCookie)
	}
}

// bearer masks a token behind the word Bearer outside of a header.
func (sc *scan) bearer(at int) {
	start := at + len("bearer ")
	end := start
	for end < len(sc.s) && isTokenByte(sc.s[end]) {
		end++
	}
	v := sc.s[start:end]
	if len(v) < 12 || len(v) < 24 && !strings.ContainsAny(v, "0123456789") {
		return
	}
	rule := ruleBearer
	if vendor := sc.vendor(v); vendor != "" {
		rule = vendor
	}
	sc.add(start, end, rule)
}

// isTokenByte knows the letters of a token68 (RFC 9110).
func isTokenByte(c byte) bool {
	return isAlnum(c) || strings.IndexByte("-._~+/=", c) >= 0
}

// basic masks user and password behind the word Basic, which is a common word too: what
// follows must decode to name:password.
func (sc *scan) basic(at int) {
	start := at + len("basic ")
	end := start
	for end < len(sc.s) && (isAlnum(sc.s[end]) || sc.s[end] == '+' || sc.s[end] == '/' || sc.s[end] == '=') {
		end++
	}
	v := strings.TrimRight(sc.s[start:end], "=")
	decoded, err := base64.RawStdEncoding.DecodeString(v)
	if len(v) < 6 || err != nil || !strings.Contains(string(decoded), ":") {
		return
	}
	sc.add(start, end, ruleBasic)
}

const (
	ruleBearer = "bearer_token"
	ruleBasic  = "basic_auth"
)
