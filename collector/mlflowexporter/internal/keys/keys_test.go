package keys

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// unhashed puts # for a hash.
func unhashed(key string) string {
	return regexp.MustCompile(`-[0-9a-f]{8}`).ReplaceAllString(key, "-#")
}

func TestClean(t *testing.T) {
	long := strings.Repeat("q", 300)
	for in, want := range map[string]string{
		"rows":                     "rows",
		"a/b c.d-e:f_9":            "a/b c.d-e:f_9",
		"../a//./b/":               "a/b",
		"rate (%)":                 "rate ___",
		"検索/件数":                    "検索/件数",
		"größe٣":                   "größe٣",
		"👍 rate":                   "_ rate-#",
		"a\xff":                    "a_-#",
		long[:250]:                 long[:250],
		long:                       long[:241] + "-#",
		long[:240] + "/aaaaaaaaaa": long[:240] + "-#",
		"":                         "",
	} {
		if got := unhashed(Clean(in)); got != want {
			t.Errorf("Clean(%q) is %q, want %q", in, got, want)
		}
	}
}

func TestUnder(t *testing.T) {
	long := strings.Repeat("q", 300)
	for _, c := range []struct{ prefix, name, want string }{
		{"load", "rows", "load/rows"},
		{"load", "", "load"},
		{"", "rows", "rows"},
		{long[:245], "rows", long[:245] + "/rows"},
		{long[:246], "rows", long[:236] + "-#/rows"},
		{long, "p95", long[:237] + "-#/p95"},
		{"load", long[:240], "load/" + long[:240]},
		{"loading up", long[:240], "loading up/" + long[:230] + "-#"},
	} {
		got := Under(c.prefix, c.name)
		if unhashed(got) != c.want || utf8.RuneCountInString(got) > Max {
			t.Errorf("Under(%q, %q) is %q, want %q", c.prefix, c.name, got, c.want)
		}
	}
}

func TestStep(t *testing.T) {
	long := strings.Repeat("漢", 61)
	for in, want := range map[string]string{
		"load/all": "load_all",
		" a.b. ":   "a.b",
		"要約":       "要約",
		"é–":       "é_-#",
		long:       long[:51*3] + "-#",
		long[:180]: long[:180],
		"..":       "",
	} {
		if got := unhashed(Step(in, 60, "-. ")); got != want {
			t.Errorf("Step(%q) is %q, want %q", in, got, want)
		}
	}
}

// Whatever the names, MLflow takes the keys, a key that it takes stays, and names that differ
// in more than ASCII characters that it does not take have different keys.
func TestKeysAreTakenAndStayApart(t *testing.T) {
	taken := regexp.MustCompile(`^[\pL\p{Nd}_/.\- :]*$`)
	names := rapid.StringOfN(rapid.SampledFrom([]rune("ab漢é👍–\u0301_/. -")), 0, 300, -1)
	rapid.Check(t, func(t *rapid.T) {
		a, b := names.Draw(t, "a"), names.Draw(t, "b")
		for _, key := range []string{Clean(a), Under(a, b), Step(a, 60, "-. ")} {
			if !taken.MatchString(key) || utf8.RuneCountInString(key) > Max || Clean(key) != key {
				t.Fatalf("key %q", key)
			}
			for _, part := range strings.Split(key, "/") {
				if key != "" && (part == "" || part == "." || part == "..") {
					t.Fatalf("part %q of %q", part, key)
				}
			}
		}
		if !strings.ContainsAny(a+b, "/.") && a != b && Clean(a) == Clean(b) {
			t.Fatalf("%q and %q are both %q", a, b, Clean(a))
		}
	})
}
