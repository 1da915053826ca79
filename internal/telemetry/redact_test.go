package telemetry

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestRedactMasksCredentialsInURLs(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"no address here", "no address here"},
		{"see https://example.org/a?b=c#d.", "see https://example.org/a?b=c#d."},
		{"https://medium.com/@user/post", "https://medium.com/@user/post"},
		{"https://user:pass@example.org/x", "https://REDACTED:REDACTED@example.org/x"},
		{"https://token@example.org", "https://REDACTED@example.org"},
		{"https://us@er:pa@ss@example.org/x", "https://REDACTED:REDACTED@example.org/x"},
		{"two: ftp://a:b@c and https://d:e@f/g", "two: ftp://REDACTED:REDACTED@c and https://REDACTED:REDACTED@f/g"},
		{"https://x.org/?access_token=abc&b=1", "https://x.org/?access_token=REDACTED&b=1"},
		{"https://x.org/?a=1&X-Amz-Signature=abc#f", "https://x.org/?a=1&X-Amz-Signature=REDACTED#f"},
		{`{"url":"https://x.org/?a=1\u0026sig=abc\u0026b=2"}`, `{"url":"https://x.org/?a=1\u0026sig=REDACTED\u0026b=2"}`},
		{"https://x.org/?token=", "https://x.org/?token="},
		{"<https://u:p@x.org|text>", "<https://REDACTED:REDACTED@x.org|text>"},
		{"postgres://u:p@db:5432/x?sslmode=on", "postgres://REDACTED:REDACTED@db:5432/x?sslmode=on"},
		{"://", "://"},
	} {
		if got := redact(tc.in); got != tc.want {
			t.Errorf("redact(%q) = %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestRedactIsStable(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.SampledFrom([]rune("://@?&=sig#\" \\u0026")))).Draw(r, "text")
		once := redact(s)
		if twice := redact(once); twice != once {
			r.Errorf("%q became %q, then %q", s, once, twice)
		}
	})
}

func TestRedactCostsNothingWithoutAHit(t *testing.T) {
	s := strings.Repeat("a text with https://example.org/path and more, ", 1000)
	if n := testing.AllocsPerRun(10, func() { redact(s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCutKeepsWholeRunes(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := rapid.String().Draw(r, "text")
		limit := rapid.IntRange(0, 40).Draw(r, "limit")
		head, missing := cut(s, limit)
		if len(head) > limit || !strings.HasPrefix(s, head) || missing != (head != s) {
			r.Errorf("cut(%q, %d) = %q, %v", s, limit, head, missing)
		}
		if utf8.ValidString(s) && !utf8.ValidString(head) {
			r.Errorf("cut(%q, %d) broke a rune", s, limit)
		}
		if missing && len(head) < limit-3 {
			r.Errorf("cut(%q, %d) cut too much", s, limit)
		}
	})
}
