package telemetry

import "strings"

const redacted = "REDACTED"

// redact masks secrets in a text. Every text passes through it before it becomes an
// attribute or an artifact, which makes it the one place to extend: credentials in URLs
// today.
//
// It runs on the job's path over everything that is recorded, so it looks for a literal
// first and works only around hits. A text without a hit is returned as it is.
func redact(s string) string {
	var b strings.Builder
	copied, scanned := 0, 0 // s[:copied] is in b; s[:scanned] needs no more attention
	for {
		i := strings.Index(s[scanned:], "://")
		if i < 0 {
			break
		}
		start := scanned + i + len("://")
		end := start + urlLength(s[start:])
		if masked := redactURL(s[start:end]); masked != s[start:end] {
			b.WriteString(s[copied:start])
			b.WriteString(masked)
			copied = end
		}
		scanned = end
	}
	if copied == 0 {
		return s
	}
	b.WriteString(s[copied:])
	return b.String()
}

// urlLength returns how far a URL reaches that begins in a text.
func urlLength(s string) int {
	for i := range len(s) {
		switch s[i] {
		case ' ', '\t', '\r', '\n', '"', '\'', '<', '>', '|', '`':
			return i
		}
	}
	return len(s)
}

// redactURL masks the user information and the secret query values of a URL that is
// given without its scheme.
func redactURL(u string) string {
	if strings.IndexByte(u, '@') >= 0 {
		u = redactAuthority(u)
	}
	question := strings.IndexByte(u, '?')
	if question < 0 {
		return u
	}
	return u[:question+1] + redactQuery(u[question+1:])
}

// redactAuthority masks what stands before the @ of the host.
func redactAuthority(u string) string {
	authority := u
	if n := strings.IndexAny(u, "/?#\\"); n >= 0 {
		authority = u[:n]
	}
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		return u
	}
	mask := redacted
	if strings.IndexByte(authority[:at], ':') >= 0 {
		mask += ":" + redacted
	}
	return mask + u[at:]
}

// redactQuery masks the values of query parameters that hold credentials by their name.
func redactQuery(q string) string {
	var b strings.Builder
	for len(q) > 0 {
		pair, sep := q, ""
		if n := strings.IndexAny(q, "&;#\\"); n >= 0 {
			pair, sep = q[:n], q[n:n+1]
			if strings.HasPrefix(q[n:], ampersandInJSON) {
				sep = ampersandInJSON
			}
		}
		q = q[len(pair)+len(sep):]
		name, value, _ := strings.Cut(pair, "=")
		if value != "" && secretParameters[strings.ToLower(name)] {
			pair = name + "=" + redacted
		}
		b.WriteString(pair)
		b.WriteString(sep)
	}
	return b.String()
}

// ampersandInJSON is how encoding/json writes & unless told otherwise.
const ampersandInJSON = `\u0026`

// secretParameters are query parameters that carry credentials; the semantic conventions
// of HTTP name the signatures.
var secretParameters = map[string]bool{
	"access_token": true, "api_key": true, "apikey": true, "auth": true, "awsaccesskeyid": true,
	"client_secret": true, "key": true, "password": true, "secret": true, "sig": true,
	"signature": true, "token": true, "x-amz-signature": true, "x-amz-credential": true,
	"x-amz-security-token": true, "x-goog-signature": true, "x-goog-credential": true,
}
