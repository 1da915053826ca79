package retrieval

import (
	"compress/gzip"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
)

func TestArticleBecomesFullEvidence(t *testing.T) {
	s := serveBody(t, "text/html; charset=utf-8", article(8))
	e := get(t, newTest(t), s.URL+"/tides")

	if e.Adapter != "GenericAdapter" || e.Coverage != commentator.CoverageFull || len(e.Errors) != 0 {
		t.Errorf("adapter %q, coverage %q, errors %q", e.Adapter, e.Coverage, e.Errors)
	}
	want := []commentator.Source{{URL: s.URL + "/tides", Title: "Tides", FetchedAt: testTime}}
	if diff := cmp.Diff(want, e.Sources); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	for i, sn := range e.Snippets {
		if want := "s" + itoa(i+1); sn.ID != want {
			t.Errorf("snippet %d has id %q", i, sn.ID)
		}
		if !strings.HasSuffix(sn.Content, ".") || utf8.RuneCountInString(sn.Content) > DefaultMaxSnippetChars {
			t.Errorf("%s is no run of whole sentences within the limit: %q", sn.ID, sn.Content)
		}
		if sn.SourceURL != s.URL+"/tides" {
			t.Errorf("%s has source %q", sn.ID, sn.SourceURL)
		}
	}
	text := textOf(e)
	for _, foreign := range []string{"Archive", "Copyright", "alert", "<"} {
		if strings.Contains(text, foreign) {
			t.Errorf("evidence holds %q", foreign)
		}
	}
	if n := strings.Count(text, "continuous record"); n != 8 {
		t.Errorf("%d of 8 paragraphs are in the evidence", n)
	}
}

func TestRetrievalIsDeterministic(t *testing.T) {
	s := serveBody(t, "text/html", article(12))
	r := newTest(t)
	first := get(t, r, s.URL)
	for range 5 {
		if diff := cmp.Diff(first, get(t, r, s.URL)); diff != "" {
			t.Fatalf("second reading differs:\n%s", diff)
		}
	}
}

func TestCoverage(t *testing.T) {
	long := func(c *Config) { c.MaxSnippets = 3 }
	for _, tt := range []struct {
		name, contentType, body string
		change                  func(*Config)
		want                    commentator.Coverage
		mention                 string // in Errors
	}{
		{"article", "text/html", article(8), nil, commentator.CoverageFull, ""},
		{"thin article", "text/html", article(1), nil, commentator.CoveragePartial, "little readable text"},
		{"longer than the budget", "text/html", article(8), long, commentator.CoveragePartial, "longer than what is kept"},
		{"scripts only", "text/html", `<html><head><title>App</title></head><body><div id="root"></div><script>render("much text, all in here")</script></body></html>`, nil, commentator.CoverageFailed, "no readable text"},
		{"navigation only", "text/html", `<html><body><nav><ul><li><a href="/">Home</a></li><li><a href="/x">Prices</a></li></ul></nav></body></html>`, nil, commentator.CoverageFailed, "no readable text"},
		{"plain text", "text/plain", strings.Repeat("The water rose by a hand during the night of the storm. ", 30), nil, commentator.CoverageFull, ""},
		{"markdown", "text/markdown; charset=utf-8", "# Tides\n\n" + strings.Repeat("The water rose by a hand during the night of the storm. ", 30) + "\n\n```\ncode.\n```\n", nil, commentator.CoverageFull, ""},
		{"no content type", "", article(8), nil, commentator.CoverageFull, ""},
		{"octet-stream that is HTML", "application/octet-stream", article(8), nil, commentator.CoverageFull, ""},
		{"XHTML", "application/xhtml+xml", article(8), nil, commentator.CoverageFull, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serveBody(t, tt.contentType, tt.body)
			if tt.change == nil {
				tt.change = func(*Config) {}
			}
			e := get(t, newTest(t, tt.change), s.URL)
			if e.Coverage != tt.want {
				t.Errorf("coverage %q, want %q; errors %q", e.Coverage, tt.want, e.Errors)
			}
			if got := strings.Join(e.Errors, "\n"); !strings.Contains(got, tt.mention) || tt.mention == "" && got != "" {
				t.Errorf("errors %q do not mention %q", got, tt.mention)
			}
			if e.Snippets == nil || e.Errors == nil {
				t.Error("a list is nil; evidence.json would hold null")
			}
			if strings.Contains(textOf(e), "code.") {
				t.Error("fenced code is in the evidence")
			}
		})
	}
}

// A title goes into each call of a model, whatever a page has there.
func TestLongTitlesAreCut(t *testing.T) {
	words, one := strings.Repeat("tide ", 1<<20/5), strings.Repeat("潮", 1000)
	for _, tt := range []struct{ name, contentType, body string }{
		{"words", "text/html; charset=utf-8", "<html><head><title>" + words + "</title></head><body><p>The water rose by a hand during the night.</p></body></html>"},
		{"one word", "text/html; charset=utf-8", "<html><head><title>" + one + "</title></head><body><p>The water rose by a hand during the night.</p></body></html>"},
		{"markdown", "text/markdown; charset=utf-8", "# " + words + "\n\nThe water rose by a hand during the night.\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			title := get(t, newTest(t), serveBody(t, tt.contentType, tt.body).URL).Sources[0].Title
			if n := utf8.RuneCountInString(title); n < 250 || n > maxTitle || strings.HasSuffix(title, " ") {
				t.Errorf("the title has %d characters: %.400q", n, title)
			}
		})
	}
}

// A page of one sentence is cut in a time that grows with its length, not with its square.
func TestOneLongSentenceIsCutInLittleMemory(t *testing.T) {
	sentence := strings.Repeat("tide ", 1<<20/5)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	pieces := cutWords(sentence, 300)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 32<<20 {
		t.Errorf("allocated %d MB", got>>20)
	}
	if got := strings.Join(pieces, " "); got != strings.TrimSpace(sentence) {
		t.Errorf("%d characters became %d", len(sentence), len(got))
	}
}

func TestRedirectsAreFollowedToTheSource(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/old":
			http.Redirect(w, r, "/older", http.StatusMovedPermanently)
		case "/older":
			http.Redirect(w, r, "/new?x=1", http.StatusFound)
		default:
			w.Header().Set("Content-Type", "text/html")
			w.Write([]byte(article(8)))
		}
	})
	if got := get(t, newTest(t), s.URL+"/old").Sources[0].URL; got != s.URL+"/new?x=1" {
		t.Errorf("source %q is not where the redirects end", got)
	}
}

func TestRequestHeaders(t *testing.T) {
	var got http.Header
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		z.Write([]byte(article(8)))
		z.Close()
	})
	if e := get(t, newTest(t), s.URL); e.Coverage != commentator.CoverageFull {
		t.Errorf("compressed page has coverage %q", e.Coverage)
	}
	if got.Get("User-Agent") != DefaultUserAgent || !strings.HasPrefix(got.Get("Accept"), "text/html") {
		t.Errorf("headers %v", got)
	}
	for _, name := range []string{"Traceparent", "Tracestate", "Baggage", "Cookie"} {
		if got.Get(name) != "" {
			t.Errorf("request carries %s", name)
		}
	}
}

func TestNewNamesEveryWrongField(t *testing.T) {
	_, err := New(Config{MaxBytes: -1, Timeout: -1, MaxRedirects: -1, MaxSnippets: -1, MaxSnippetChars: 10, AllowHosts: []string{"ok.example", "10.0.0.0/99"}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, name := range []string{"MaxBytes", "Timeout", "MaxRedirects", "MaxSnippets", "MaxSnippetChars", "10.0.0.0/99"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not name %s", err, name)
		}
	}
}
