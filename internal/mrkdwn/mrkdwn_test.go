package mrkdwn

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTextsAreAsPeopleReadThem(t *testing.T) {
	for in, want := range map[string]string{
		"look: <https://example.org/?a=1&amp;b=2>":             "look: https://example.org/?a=1&b=2",
		"<https://example.org/?a=1&amp;b=2|the page> &amp; me": "the page (https://example.org/?a=1&b=2) & me",
		"<http://example.org|example.org>":                     "http://example.org",
		"<https://example.org/|example.org>":                   "https://example.org/",
		"<https://example.org|https://example.org>":            "https://example.org",
		"<mailto:jane@example.org|jane@example.org>":           "jane@example.org",
		"in <#C0123456789|general> and <#C0123456789|>":        "in #general and #C0123456789",
		"<!here> <!subteam^S1|@team> <!subteam^S1>":            "@here @team <!subteam^S1>",
		"<@U0123456789> and <@U42|jane doe>":                   "<@U0123456789> and <@U42|jane doe>",
		"a &lt;https://example.org|b&gt; c &amp;lt;":           "a <https://example.org|b> c &lt;",
		"a < b > c <d> <e|f> <|g> <>":                          "a < b > c <d> <e|f> <|g> <>",
		"<<https://example.org|x> <https://example.org\n>":     "<x (https://example.org) <https://example.org\n>",
		"use <xs:element> and <std::string>":                   "use <xs:element> and <std::string>",
		"*bold* • a":                                           "*bold* • a",
		"<":                                                    "<",
		"":                                                     "",
	} {
		if got := Plain(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

// What was written plainly is read plainly, however Slack escapes it.
func TestEscapedTextsAreReadAsTheyWereWritten(t *testing.T) {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	rapid.Check(t, func(r *rapid.T) {
		s := rapid.StringOf(rapid.SampledFrom([]rune("<>&|@#!:/ amplt;\nb"))).Draw(r, "text")
		if got := Plain(escape.Replace(s)); got != s {
			r.Errorf("%q became %q", s, got)
		}
	})
}

func FuzzPlainSurvivesBrokenMarkup(f *testing.F) {
	for _, seed := range []string{"<", "<|>", "<!>", "<#>", "<https:|>", "<a:b|c", "<<>>"} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, s string) { Plain(s) })
}
