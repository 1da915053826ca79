package redact

import (
	"encoding/json"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// articles returns the demo's pages by name.
func articles(tb testing.TB) (names, pages []string) {
	files, err := filepath.Glob("../../data/demo/articles/*.html")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no articles: %v", err)
	}
	for _, name := range files {
		page, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		names, pages = append(names, filepath.Base(name)), append(pages, string(page))
	}
	return names, pages
}

// prose returns n bytes of JSON as the pipeline records it, made of the demo's articles.
func prose(tb testing.TB, n int) string {
	names, pages := articles(tb)
	var snippets []map[string]string
	for n, page := range pages {
		for i, line := range strings.Split(html.UnescapeString(tags.ReplaceAllString(page, "")), "\n") {
			if len(line) > 100 {
				snippets = append(snippets, map[string]string{"id": fmt.Sprintf("s%d", i), "content": line, "source_url": "https://example.org/articles/" + names[n]})
			}
		}
	}
	text, err := json.MarshalIndent(snippets, "", "  ")
	if err != nil {
		tb.Fatal(err)
	}
	return strings.Repeat(string(text), n/len(text)+1)[:n]
}

// quoted returns a JSON object that holds the text.
func quoted(tb testing.TB, text string) string {
	out, err := json.Marshal(map[string]string{"content": text})
	if err != nil {
		tb.Fatal(err)
	}
	return string(out)
}

var tags = regexp.MustCompile(`<[^>]*>`)

const contentOfAJob = 210 << 10

// BenchmarkText is the text that telemetry records of a job: without a hit, and with a few;
// and the forms that a tool or an error may bring into it.
func BenchmarkText(b *testing.B) {
	clean := prose(b, contentOfAJob)
	half := len(clean) / 2
	few := clean[:half] + " jane@example.org " + join("gh", "p_", alnum36) + " https://u:p@x.org/?token=abc password=hunter22 " +
		join("sk-", alnum36) + " <@U0123456789> " + join("eyJ", "hbGciOiJIUzI1NiJ9.x.y") + clean[half:]
	_, all := articles(b)
	page := strings.Join(all, "")
	page = strings.Repeat(page, contentOfAJob/len(page)+1)[:contentOfAJob]
	for _, bc := range []struct{ name, text string }{
		{"hits=0", clean},
		{"hits=8", few},
		{"html", page},
		{"html-in-json", quoted(b, page)},
		{"json-in-json", quoted(b, quoted(b, clean[:half]))},
	} {
		b.Run(bc.name, func(b *testing.B) {
			r := New(nil).WithKey(testKey)
			b.SetBytes(int64(len(bc.text)))
			b.ReportAllocs()
			for b.Loop() {
				r.Text(bc.text)
			}
		})
	}
}

// BenchmarkHostileText is what a page may do to the worker: text that nearly matches at each
// place.
func BenchmarkHostileText(b *testing.B) {
	for _, piece := range []string{
		"@", "a@", "://", "a://b", "a://b:c/", "a://b:c/@", "pass='", "pass='\"a", "auth=\\'", "=", "token:", "token=", "password=${x", "?key=", "authorization:", "cookie:", "bearer ", "basic ", "%40", "%3D", "U", "\\n", "eyJ", "ghp_", "sk-", "--token=", "AKIA",
		join("-----BEGIN ", "PRIVATE KEY-----"), join("-----END ", "PRIVATE KEY-----"), "-----BEGIN ", "_", "-", "xox", "-u ", "--user ", "curl -u a:", "curl -u a:bcde ", "\"] = ", "password\"] = '", "a//b:c@", `"token":["a",`, `"token":[`, `"name":"token","value":`, `\u0040`, "#64;", "<token>a", ":\\/\\/hooks.slack.com", "services/T0/B0/", "discord.com/webhooks/1/", "webhook.office.com/", "Private-Lines: 999\n", "authorization:\n ", "signature=0", "sk-a1-", "SG.aaaaaaaaaaaaaaaaaaaa",
		"--token=,", "--token={", "--token=${", "--password=,",
		"password：", "password：x", "密码:", "　", "＝", "API key:", "API key='a ", "a key:", "</token>", "<token a>b</token>", "<token a>", "]]></token>", "<![CDATA[</token>", "token]:", "**token:**",
		"x-token:\n ", "authorization:bearer\n ", "cookie:a=b;\n ", "token: a =", "\nvalue:", "\nname:token\nvalue:", "\"token\"\n:\n", "token          =", "#61;", "token#61;", "token&#61;", `token\u003d`, "{\"token\"\n:\n", "bearer+",
	} {
		text := strings.Repeat(piece, contentOfAJob/len(piece))
		b.Run(strings.ReplaceAll(piece, " ", "+"), func(b *testing.B) {
			r := New(nil)
			for b.Loop() {
				r.Text(text)
			}
		})
	}
}
