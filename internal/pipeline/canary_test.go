package pipeline

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
)

// canary is a secret that is put into one input and must never come out.
type canary struct {
	place, kind string
	secret      string // what is searched for
	text        string // how it is written
}

// canaries returns one of every kind for a place, different from those of other places. The
// beginnings of tokens are put together here, so that scanners of secrets leave this file
// alone.
func canaries(place string) []canary {
	var list []canary
	add := func(kind, secret, text string) {
		list = append(list, canary{place, kind, secret, strings.ReplaceAll(text, "%", secret)})
	}
	letters := func(kind string, n int) string {
		sum := sha256.Sum256([]byte(place + kind))
		return strings.NewReplacer("+", "a", "/", "b").Replace(base64.RawStdEncoding.EncodeToString(append(sum[:], sum[:]...)))[:n]
	}
	digits := func(kind string, n int) string {
		sum := sha256.Sum256([]byte(place + kind))
		return hex.EncodeToString(sum[:])[:n]
	}
	letter := func(hexDigit rune) rune {
		if hexDigit <= '9' {
			return hexDigit - '0' + 'G'
		}
		return hexDigit
	}
	upper := func(kind string, n int) string { return strings.ToUpper(digits(kind, n)) }
	begins := map[string][2]string{
		"openai": {"sk-", "proj-"}, "openai classic": {"sk", "-"}, "anthropic": {"sk-", "ant-api03-"}, "github": {"gh", "p_"}, "github fine-grained": {"github", "_pat_11"},
		"gitlab": {"gl", "pat-"}, "slack bot": {"xox", "b-12345-"}, "slack app": {"xa", "pp-1-A0-"}, "stripe": {"sk_", "live_"}, "huggingface": {"h", "f_"},
		"npm": {"np", "m_"}, "pypi": {"py", "pi-AgEIcHlwaS5vcmc"}, "google": {"AI", "za"}, "jwt": {"ey", "JhbGciOiJIUzI1NiJ9.eyJz"},
	}
	for _, kind := range slices.Sorted(maps.Keys(begins)) {
		add(kind, letters(kind, 36), begins[kind][0]+begins[kind][1]+"%")
	}
	add("aws id", upper("aws id", 16), "AK"+"IA%")
	add("aws secret", letters("aws secret", 40), "aws_secret_access_key=%")
	add("slack webhook", letters("slack webhook", 24), "https://hooks.slack.com"+"/services/T0/B0/%")
	add("password", letters("password", 12), "password=%")
	add("password with a mark", letters("password with a mark", 10), "password: a1!%")
	add("quoted secret", letters("quoted secret", 20), `client_secret: "%"`)
	add("api key", digits("api key", 20), "api_key: %")
	add("bearer", letters("bearer", 30), "Authorization: Bearer %")
	add("basic", base64.StdEncoding.EncodeToString([]byte("user:"+letters("basic", 10))), "Authorization: Basic %")
	add("user information", letters("user information", 12), "https://jane:%@example.org/")
	add("query", letters("query", 12), "https://example.org/?x=1&access_token=%")
	add("signature", digits("signature", 40), "https://example.org/?X-Amz-Signature=%&y=2")
	add("key in a query", digits("key in a query", 12), "https://example.org/?key=%&y=2")
	add("mail", digits("mail", 10)+"@example.org", "%")
	add("person", "U0"+upper("person", 9), "<@%>")
	add("name in a mention", "jane."+digits("name in a mention", 10), "<@U0"+upper("mentioned", 9)+"|%>")
	add("profile", "U"+strings.Map(letter, upper("profile", 10)), "https://example.slack.com/team/%")
	add("private key", letters("private key", 60), "-----BEGIN "+"PRIVATE KEY-----\n%\n-----END "+"PRIVATE KEY-----")
	add("service account", letters("service account", 60), `{"private_key": "-----BEGIN `+`PRIVATE KEY-----\n%\n-----END `+`PRIVATE KEY-----\n"}`)
	return list
}

// sentences writes canaries as sentences of prose.
func asSentences(list []canary) []string {
	var out []string
	for _, c := range list {
		out = append(out, "The page of that team shows this to everybody who reads it: "+c.text+" and nobody has noticed.")
	}
	return out
}

func texts(list []canary) string {
	var all []string
	for _, c := range list {
		all = append(all, c.text)
	}
	return strings.Join(all, " ")
}

// of returns the canary of a kind.
func of(list []canary, kind string) canary {
	for _, c := range list {
		if c.kind == kind {
			return c
		}
	}
	panic("no canary " + kind)
}
