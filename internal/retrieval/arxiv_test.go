package retrieval

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/sentence"
)

func TestPaperIDs(t *testing.T) {
	for link, want := range map[string]string{
		"https://arxiv.org/abs/2411.01234":                "2411.01234",
		"https://arxiv.org/abs/2411.01234v2":              "2411.01234v2",
		"https://arxiv.org/abs/0704.0001":                 "0704.0001",
		"https://www.arxiv.org/abs/2411.01234/":           "2411.01234",
		"http://export.arxiv.org/abs/2411.01234":          "2411.01234",
		"https://arxiv.org/pdf/2411.01234":                "2411.01234",
		"https://arxiv.org/pdf/2411.01234v3.pdf":          "2411.01234v3",
		"https://arxiv.org/pdf/2411.01234.pdf#page=3":     "2411.01234",
		"https://arxiv.org/html/2411.01234v1":             "2411.01234v1",
		"https://arxiv.org/abs/2411.01234?context=cs.LG":  "2411.01234",
		"https://arxiv.org/abs/hep-th/9901001":            "hep-th/9901001",
		"https://arxiv.org/abs/math.GT/0309136v1":         "math.GT/0309136v1",
		"https://arxiv.org/pdf/cond-mat/9901001v2.pdf":    "cond-mat/9901001v2",
		"https://arxiv.org/list/cs.CL/recent":             "",
		"https://arxiv.org/":                              "",
		"https://arxiv.org/abs/":                          "",
		"https://arxiv.org/abs/2411.123":                  "",
		"https://arxiv.org/abs/2411.01234v0":              "",
		"https://arxiv.org/abs/2411.01234v2/more":         "",
		"https://arxiv.org/abs/hep-th/9901001/../../evil": "",
		"https://arxiv.org/search/?query=2411.01234":      "",
	} {
		u, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		if got := paperID(u); got != want {
			t.Errorf("%s is paper %q, want %q", link, got, want)
		}
	}
}

const askPaper = "/api/query?id_list=2411.01234v2&max_results=1"

func TestPaperBecomesEvidence(t *testing.T) {
	s := newService(t, map[string]reply{askPaper: {header: mediaType("application/atom+xml; charset=utf-8"), body: recorded(t, "arxiv/paper.xml")}})
	r := newSpecial(t, s, "")
	e := get(t, r, "https://arxiv.org/abs/2411.01234v2")

	// The abstract has fewer than a thousand characters.
	if e.Adapter != "ArxivAdapter" || e.Coverage != commentator.CoveragePartial || len(e.Errors) != 1 || !strings.Contains(e.Errors[0], "little readable text") {
		t.Errorf("adapter %q, coverage %q, errors %q", e.Adapter, e.Coverage, e.Errors)
	}
	want := []commentator.Source{{URL: s.URL + "/abs/2411.01234v2", Title: "Tide Tables as Training Data: What a Harbour Knows & a Model Forgets", FetchedAt: testTime}}
	if diff := cmp.Diff(want, e.Sources); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	about := "The paper is by Jane A Doe and Jörg Müller, was submitted to arXiv on 2 November 2024, was last changed on 3 October 2026, and is filed under cs.CL and cs.IR."
	if len(e.Snippets) < 2 || e.Snippets[0].Content != about {
		t.Fatalf("snippets %+v, want first %q", e.Snippets, about)
	}
	if text := textOf(e); !strings.Contains(text, "for a hundred and twenty years, and ask") || !strings.HasSuffix(text, "the scans and the code.") {
		t.Errorf("the abstract is not whole in %q", text)
	}
	for i, snippet := range e.Snippets {
		if snippet.ID != "s"+itoa(i+1) || snippet.SourceURL != want[0].URL {
			t.Errorf("snippet %d is %+v", i, snippet)
		}
	}
	if diff := cmp.Diff([]string{askPaper}, s.requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if sentences := sentence.Split(about); len(sentences) != 1 {
		t.Errorf("the sentence about the paper falls apart: %q", sentences)
	}
}

func TestPaperOfManyAuthors(t *testing.T) {
	s := newService(t, map[string]reply{"/api/query?id_list=hep-th%2F9901001v1&max_results=1": {body: recorded(t, "arxiv/old_paper.xml")}})
	e := get(t, newSpecial(t, s, ""), "https://arxiv.org/pdf/hep-th/9901001v1")
	want := "The paper is by A Writer, B Writer, C Writer, D Writer, E Writer and 2 others, was submitted to arXiv on 4 January 1999, and is filed under hep-th."
	if e.Snippets[0].Content != want {
		t.Errorf("about %q", e.Snippets[0].Content)
	}
}

// With fetch_pdf_text the text of the paper follows, from its first section on.
func TestTextOfAPaper(t *testing.T) {
	pages := [][]string{
		append([]string{"Tide Tables as Training Data", "Institute of Old Harbours", "Abstract", "We study hourly tide tables that were kept by hand.", "1 Introduction"}, articleLines(4)...),
		articleLines(4),
	}
	file := string(newPDF("", pages...).bytes())
	replies := map[string]reply{
		askPaper:              {body: recorded(t, "arxiv/paper.xml")},
		"/pdf/2411.01234v2":   {status: http.StatusMovedPermanently, header: http.Header{"Location": {"/pdf/2411.01234v2.x"}}},
		"/pdf/2411.01234v2.x": {header: mediaType("application/pdf"), body: file},
	}
	s := newService(t, replies)
	const both = "www.arxiv.org: {adapter: arxiv, fetch_pdf_text: true}\n"
	e := get(t, newSpecial(t, s, both), "https://www.arxiv.org/html/2411.01234v2")
	if e.Coverage != commentator.CoverageFull || len(e.Sources) != 2 || e.Sources[1].URL != s.URL+"/pdf/2411.01234v2.x" {
		t.Errorf("coverage %s, errors %q, sources %+v", e.Coverage, e.Errors, e.Sources)
	}
	text := textOf(e)
	if n := strings.Count(text, "continuous record of the coast."); n != 8 {
		t.Errorf("%d of 8 paragraphs are in the evidence: %q", n, text)
	}
	if strings.Contains(text, "Introduction") || strings.Count(text, "We study hourly tide tables") != 1 {
		t.Errorf("what is before the first section is in the evidence: %q", text)
	}

	t.Run("without the abstract", func(t *testing.T) {
		e := get(t, newSpecial(t, s, "export.arxiv.org: {adapter: arxiv, fetch_abstract: false, fetch_pdf_text: true}\n"), "https://export.arxiv.org/abs/2411.01234v2")
		if text := textOf(e); strings.Contains(text, "We study") || !strings.Contains(text, "continuous record") {
			t.Errorf("evidence %q", text)
		}
	})
	t.Run("no room", func(t *testing.T) {
		e := get(t, newSpecial(t, s, both, func(c *Config) { c.MaxSnippets = 2 }), "https://www.arxiv.org/abs/2411.01234v2")
		if len(e.Snippets) != 2 || e.Coverage != commentator.CoveragePartial {
			t.Errorf("%d snippets, coverage %s", len(e.Snippets), e.Coverage)
		}
	})
	t.Run("scanned pages", func(t *testing.T) {
		scanned := reply{header: mediaType("application/pdf"), body: string(newPDF("", nil, nil).bytes())}
		s := newService(t, map[string]reply{askPaper: replies[askPaper], "/pdf/2411.01234v2": scanned})
		e := get(t, newSpecial(t, s, both), "https://www.arxiv.org/abs/2411.01234v2")
		if want := s.URL + "/pdf/2411.01234v2 holds no readable text."; e.Coverage != commentator.CoveragePartial || len(e.Errors) != 1 || !strings.HasPrefix(e.Errors[0], want) {
			t.Errorf("coverage %s, errors %q, want %q", e.Coverage, e.Errors, want)
		}
	})
	for name, pdf := range map[string]reply{
		"missing":    {status: http.StatusNotFound},
		"damaged":    {header: mediaType("application/pdf"), body: "%PDF-1.4\n"},
		"a page":     {header: mediaType("text/html"), body: article(8)},
		"an image":   {header: mediaType("image/png"), body: "x"},
		"too large":  {header: mediaType("application/pdf"), body: "%PDF-1.4\n" + strings.Repeat("x", DefaultMaxBytes)},
		"a redirect": {status: http.StatusFound, header: http.Header{"Location": {"http://10.1.2.3/paper.pdf"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, map[string]reply{askPaper: replies[askPaper], "/pdf/2411.01234v2": pdf})
			e := get(t, newSpecial(t, s, both), "https://www.arxiv.org/abs/2411.01234v2")
			if e.Coverage != commentator.CoveragePartial || len(e.Errors) != 1 || !strings.HasPrefix(e.Errors[0], "The text of the paper is missing.") {
				t.Errorf("coverage %s, errors %q", e.Coverage, e.Errors)
			}
			if !strings.Contains(textOf(e), "We study") {
				t.Error("the abstract is lost with the PDF")
			}
		})
	}
}

// Where the API knows nothing, the page is read, and says that it was.
func TestPageOfAPaperIsReadInstead(t *testing.T) {
	for name, api := range map[string]reply{
		"error entry":   {body: recorded(t, "arxiv/error.xml")},
		"no entry":      {body: recorded(t, "arxiv/empty.xml")},
		"no feed":       {body: "<html><body>Maintenance</body></html>"},
		"no XML":        {body: "sorry"},
		"nothing":       {body: ""},
		"server error":  {status: http.StatusInternalServerError},
		"bad character": {body: strings.Replace(recorded(t, "arxiv/paper.xml"), "We study", "\x01", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, map[string]reply{askPaper: api, "/abs/2411.01234v2": {header: mediaType("text/html"), body: article(8)}})
			e := get(t, newSpecial(t, s, "127.0.0.1: {adapter: arxiv}\n"), s.URL+"/abs/2411.01234v2")
			if e.Adapter != "ArxivAdapter" || e.Coverage != commentator.CoveragePartial || len(e.Errors) != 1 || !strings.HasSuffix(e.Errors[0], "The page itself was read instead.") {
				t.Errorf("adapter %s, coverage %s, errors %q", e.Adapter, e.Coverage, e.Errors)
			}
			if !strings.Contains(textOf(e), "continuous record") {
				t.Errorf("the page is not read: %q", textOf(e))
			}
		})
	}
	t.Run("neither", func(t *testing.T) {
		s := newService(t, map[string]reply{askPaper: {body: recorded(t, "arxiv/empty.xml")}})
		refusedBy(t, newSpecial(t, s, "127.0.0.1: {adapter: arxiv}\n"), s.URL+"/abs/2411.01234v2", "ArxivAdapter", "http_404", true)
	})
}

func TestBusyArxivIsAskedLater(t *testing.T) {
	retryAfter := func(said string) reply {
		return reply{status: http.StatusServiceUnavailable, header: http.Header{"Retry-After": {said}}}
	}
	const unsaid = "again in a minute."
	for name, tt := range map[string]struct {
		reply
		says  string
		after time.Duration
	}{
		"429":             {reply{status: http.StatusTooManyRequests}, unsaid, time.Minute},
		"503":             {retryAfter("30"), "again in 30 s.", 30 * time.Second},
		"a date":          {retryAfter(testTime.Add(3 * time.Minute).Format(http.TimeFormat)), "again at " + testTime.Add(3*time.Minute).Format("2006-01-02 15:04:05 UTC."), 3 * time.Minute},
		"a date long ago": {retryAfter("Mon, 23 Nov 2015 12:30:00 GMT"), "again at 2015-11-23 12:30:00 UTC.", 0},
		"words":           {retryAfter("soon"), unsaid, time.Minute},
		"words with 200":  {reply{body: "Rate exceeded."}, unsaid, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, map[string]reply{askPaper: tt.reply})
			message := putOff(t, 10*time.Minute, tt.after, newSpecial(t, s, ""), "https://arxiv.org/abs/2411.01234v2", "ArxivAdapter")
			if !strings.Contains(message, tt.says) {
				t.Errorf("%q does not say %q", message, tt.says)
			}
		})
	}
}

// What a job may be put off for, 15 s in all with replay, is used up by one that was put off before:
// then the page is read, also while the API says that it takes requests again at once.
func TestPageIsReadInsteadOfWaitingTooLong(t *testing.T) {
	for adapter, paths := range map[string][2]string{
		"arxiv":  {askPaper, "/abs/2411.01234v2"},
		"github": {askRepo, "/harbour-lab/tidebook"},
	} {
		for name, tt := range map[string]struct{ wait, patience time.Duration }{
			"longer":        {16 * time.Second, 15 * time.Second},
			"an hour":       {time.Hour, 10 * time.Minute},
			"used up":       {0, 0},
			"more than all": {0, -time.Minute},
		} {
			t.Run(adapter+", "+name, func(t *testing.T) {
				busy := reply{status: http.StatusTooManyRequests, header: http.Header{"Retry-After": {strconv.Itoa(int(tt.wait.Seconds()))}}}
				s := newService(t, map[string]reply{paths[0]: busy, paths[1]: {header: mediaType("text/html"), body: article(8)}})
				r := newSpecial(t, s, "127.0.0.1: {adapter: "+adapter+"}\n")
				e, err := r.Retrieve(commentator.WithPatience(t.Context(), tt.patience), s.URL+paths[1])
				if err != nil {
					t.Fatal(err)
				}
				if e.Coverage != commentator.CoveragePartial || len(e.Errors) != 1 || !strings.Contains(e.Errors[0], "takes no more requests") ||
					!strings.HasSuffix(e.Errors[0], "The page itself was read instead.") || !strings.Contains(textOf(e), "continuous record") {
					t.Errorf("coverage %s, errors %q, text %.100q", e.Coverage, e.Errors, textOf(e))
				}
			})
		}
	}
}

// The API is asked no more often than its terms of use allow, however many papers wait.
func TestArxivIsAskedAtIntervals(t *testing.T) {
	s := newService(t, map[string]reply{askPaper: {body: recorded(t, "arxiv/paper.xml")}})
	const interval = 60 * time.Millisecond
	r := newSpecial(t, s, "", func(c *Config) { c.ArxivInterval = interval })
	begin := time.Now()
	done := make(chan error)
	for range 4 {
		go func() {
			_, err := r.Retrieve(t.Context(), "https://arxiv.org/abs/2411.01234v2")
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(begin); took < 3*interval {
		t.Errorf("four requests within %v", took)
	}
}

func TestLinksOfArxivThatAreNoPapers(t *testing.T) {
	r := newSpecial(t, newService(t, nil), "")
	for link, want := range map[string]string{
		"https://arxiv.org/abs/2411.01234":        "ArxivAdapter",
		"https://export.arxiv.org/pdf/2411.01234": "ArxivAdapter",
		"https://arxiv.org/list/cs.CL/recent":     "GenericAdapter",
		"https://github.com/harbour-lab/tidebook": "GithubAdapter",
		"https://github.com/topics/tides":         "GenericAdapter",
		"https://gist.github.com/octo/abc":        "GenericAdapter",
		"https://example.com/abs/2411.01234":      "GenericAdapter",
		"no link":                                 "GenericAdapter",
	} {
		if got := r.Adapter(link); got != want {
			t.Errorf("%s is read by %s, want %s", link, got, want)
		}
	}
}

// Numbers of a rule come before those of the settings.
func TestRulesBoundTheEvidence(t *testing.T) {
	s := newService(t, map[string]reply{"/x": {header: mediaType("text/html"), body: article(8)}})
	r := newSpecial(t, s, "127.0.0.1: {max_snippets: 2, max_chars_per_snippet: 100}\n")
	e := get(t, r, s.URL+"/x")
	if len(e.Snippets) != 2 || slices.ContainsFunc(e.Snippets, func(s commentator.Snippet) bool { return len(s.Content) > 100 }) {
		t.Errorf("snippets %+v", e.Snippets)
	}

	slow := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	refused(t, newSpecial(t, s, "127.0.0.1: {timeout: 0.1}\n"), slow.URL, codeTimeout, false)
}
