package migrate

import (
	"regexp"
	"testing"
	"time"
)

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

func TestFirstLinkIsCutAsTheOldProgramDid(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "",
		"no link":                              "",
		"https://":                             "",
		"http://.":                             "",
		"www.":                                 "",
		"https://example.org":                  "https://example.org",
		"HTTP://Example.org/A":                 "HTTP://Example.org/A",
		"see https://example.org/a.":           "https://example.org/a",
		"(https://example.org/a).":             "https://example.org/a",
		"[x](https://example.org/a);":          "https://example.org/a",
		"https://example.org/a?b=c]),.;":       "https://example.org/a?b=c",
		"https://example.org/a!":               "https://example.org/a!",
		"<https://example.org/a|A page>":       "https://example.org/a",
		"<https://example.org/a?b=1&amp;c=2>":  "https://example.org/a?b=1&c=2",
		"www.example.org, really":              "https://www.example.org",
		"https:// https://example.org/b":       "https://example.org/b",
		"https://example.org/1 www.second.org": "https://example.org/1",
		"https://x.org/Go_(game)":              "https://x.org/Go_(game",
		"\"https://example.org/q\"":            "https://example.org/q",
		"mailto:a@www.example.org":             "https://www.example.org",
	} {
		if got := firstLink(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestTimesAreReadAsPythonAndSQLiteWriteThem(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-05 08:00:01":              "2026-01-05T08:00:01Z",
		"2026-01-05 08:00:01.123456":       "2026-01-05T08:00:01.123456Z",
		"2026-01-05T08:00:01":              "2026-01-05T08:00:01Z",
		"2026-01-05T08:00:01.5+01:00":      "2026-01-05T07:00:01.5Z",
		"2026-01-05 08:00:01.123456+00:00": "2026-01-05T08:00:01.123456Z",
		"2026-01-05T08:00:01.123456789Z":   "2026-01-05T08:00:01.123456Z",
		"":                                 "", "yesterday": "", "1767600001": "", "2026-13-05 08:00:01": "", "2026-01-05": "",
	} {
		got, ok := parseTime(text)
		if ok != (want != "") || ok && got.Format(time.RFC3339Nano) != want {
			t.Errorf("%q: %v %v, want %q", text, got, ok, want)
		}
	}
}
