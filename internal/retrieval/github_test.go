package retrieval

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
)

func TestGithubLinks(t *testing.T) {
	repo := githubLink{kind: githubRepo, owner: "harbour-lab", repo: "tidebook"}
	with := func(change func(*githubLink)) githubLink {
		l := repo
		change(&l)
		return l
	}
	for path, want := range map[string]githubLink{
		"/harbour-lab/tidebook":                            repo,
		"/harbour-lab/tidebook/":                           repo,
		"/harbour-lab/tidebook.git":                        repo,
		"/harbour-lab/tidebook#readme":                     repo,
		"/harbour-lab/tidebook/tree/main/docs":             repo,
		"/harbour-lab/tidebook/blob/main/docs/how%20to.md": with(func(l *githubLink) { l.kind, l.ref, l.file = githubFile, "main", "docs/how to.md" }),
		"/harbour-lab/tidebook/blob/main/LICENSE":          with(func(l *githubLink) { l.kind, l.ref, l.file = githubFile, "main", "LICENSE" }),
		"/harbour-lab/tidebook/blob/v1/paper.PDF":          with(func(l *githubLink) { l.kind, l.ref, l.file = githubFile, "v1", "paper.PDF" }),
		"/harbour-lab/tidebook/blob/main/main.go#L10":      with(func(l *githubLink) { l.ref, l.file = "main", "main.go" }),
		"/harbour-lab/tidebook/issues/1347":                with(func(l *githubLink) { l.kind, l.number = githubIssue, "1347" }),
		"/harbour-lab/tidebook/pull/1348/files":            with(func(l *githubLink) { l.kind, l.number = githubIssue, "1348" }),
		"/harbour-lab/tidebook/releases":                   with(func(l *githubLink) { l.kind = githubRelease }),
		"/harbour-lab/tidebook/releases/latest":            with(func(l *githubLink) { l.kind = githubRelease }),
		"/harbour-lab/tidebook/releases/tag/v2.1.0":        with(func(l *githubLink) { l.kind, l.tag = githubRelease, "v2.1.0" }),
		"/harbour-lab/tidebook/issues":                     {owner: "harbour-lab", repo: "tidebook"},
		"/harbour-lab/tidebook/wiki/Home":                  {owner: "harbour-lab", repo: "tidebook"},
		"/harbour-lab/tidebook/issues/0":                   {owner: "harbour-lab", repo: "tidebook"},
		"/harbour-lab":                                     {},
		"/":                                                {},
		"/topics/tides":                                    {},
		"/features/actions":                                {},
		"/harbour-lab/..":                                  {},
		"/harbour-lab/tidebook/blob/main/../../x.md":       {},
		"/harbour lab/tidebook":                            {},
	} {
		u, err := url.Parse("https://github.com" + path)
		if err != nil {
			t.Fatal(err)
		}
		if got := parseGithub(u); got != want {
			t.Errorf("%s is %+v, want %+v", path, got, want)
		}
	}
	for host, reads := range map[string]bool{"github.com": true, "www.github.com": true, "gist.github.com": false, "docs.github.com": false, "127.0.0.1": true, "localhost": true} {
		if got := parseGithub(&url.URL{Host: host, Path: "/o/r"}).kind == githubRepo; got != reads {
			t.Errorf("%s is read: %v", host, got)
		}
	}
}

const (
	sharedRepo = "https://github.com/harbour-lab/tidebook"
	askRepo    = "/repos/harbour-lab/tidebook"
)

func githubReplies(t *testing.T) map[string]reply {
	t.Helper()
	return map[string]reply{
		askRepo:                      {header: mediaType("application/json; charset=utf-8"), body: recorded(t, "github/repo.json")},
		askRepo + "/readme":          {header: mediaType("application/vnd.github.html+json; charset=utf-8"), body: recorded(t, "github/readme.html")},
		askRepo + "/releases/latest": {header: mediaType("application/json; charset=utf-8"), body: recorded(t, "github/release.json")},
	}
}

func TestRepositoryBecomesEvidence(t *testing.T) {
	s := newService(t, githubReplies(t))
	e := get(t, newSpecial(t, s, ""), sharedRepo)
	if e.Adapter != "GithubAdapter" || e.Coverage != commentator.CoverageFull || len(e.Errors) != 0 {
		t.Errorf("adapter %q, coverage %q, errors %q", e.Adapter, e.Coverage, e.Errors)
	}
	want := []commentator.Source{
		{URL: sharedRepo, Title: "harbour-lab/tidebook", FetchedAt: testTime},
		{URL: sharedRepo + "#readme", Title: "README of harbour-lab/tidebook", FetchedAt: testTime},
		{URL: sharedRepo + "/releases/tag/v2.1.0", Title: "harbour-lab/tidebook Faster rows", FetchedAt: testTime},
	}
	if diff := cmp.Diff(want, e.Sources); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	first := []string{
		"Reads tide tables from scanned books and checks them against gauges.",
		"The repository harbour-lab/tidebook is written mostly in Go, has 12,345 stars and 1 fork, is under the Apache License 2.0, has the topics ocr, tides and time-series, and was last pushed to on 19 November 2026.",
	}
	if got := []string{e.Snippets[0].Content, e.Snippets[1].Content}; !cmp.Equal(first, got) {
		t.Errorf("first snippets %q", got)
	}
	text := textOf(e)
	for _, part := range []string{
		"four hundred volumes from twelve countries.", "queue that volunteers work through.", "A page takes two seconds on a laptop", "no page got worse.",
		"The release v2.1.0 of harbour-lab/tidebook was published on 2 November 2026.", "Volumes with red ink are read correctly now.",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in the evidence", part)
		}
	}
	for _, foreign := range []string{"go install", "build passing", "Installation", "<"} {
		if strings.Contains(text, foreign) {
			t.Errorf("evidence holds %q", foreign)
		}
	}
	for i, snippet := range e.Snippets {
		if snippet.ID != "s"+itoa(i+1) {
			t.Errorf("snippet %d has id %s", i, snippet.ID)
		}
	}
	for _, r := range s.all() {
		accept := map[string]string{askRepo: "application/vnd.github+json"}[r.URL.Path]
		if accept == "" {
			accept = "application/vnd.github.html+json"
		}
		if r.Header.Get("Accept") != accept || r.Header.Get("X-GitHub-Api-Version") != "2022-11-28" || r.Header.Get("Authorization") != "" || r.UserAgent() != DefaultUserAgent {
			t.Errorf("%s was asked with %v", r.URL.Path, r.Header)
		}
	}
}

// With the five snippets of the old deployment's rules each part has its place.
func TestRepositoryInFiveSnippets(t *testing.T) {
	s := newService(t, githubReplies(t))
	e := get(t, newSpecial(t, s, "www.github.com: {adapter: github, max_snippets: 5}\n"), "https://www.github.com/harbour-lab/tidebook")
	var from []string
	for _, snippet := range e.Snippets {
		from = append(from, strings.TrimPrefix(snippet.SourceURL, sharedRepo))
	}
	if want := []string{"", "", "#readme", "#readme", "/releases/tag/v2.1.0"}; !cmp.Equal(want, from) {
		t.Errorf("snippets are of %q", from)
	}
	if e.Coverage != commentator.CoveragePartial || len(e.Errors) != 2 {
		t.Errorf("coverage %s, errors %q", e.Coverage, e.Errors)
	}
}

func TestRulesChooseWhatIsAskedOfGithub(t *testing.T) {
	for more, want := range map[string][]string{
		"www.github.com: {adapter: github, fetch_readme: false}\n":                        {askRepo, askRepo + "/releases/latest"},
		"www.github.com: {adapter: github, fetch_releases: false}\n":                      {askRepo, askRepo + "/readme"},
		"www.github.com: {adapter: github, fetch_readme: false, fetch_releases: false}\n": {askRepo},
		"": {askRepo, askRepo + "/releases/latest", askRepo + "/readme"},
	} {
		s := newService(t, githubReplies(t))
		get(t, newSpecial(t, s, more), "https://www.github.com/harbour-lab/tidebook")
		if diff := cmp.Diff(want, s.requests()); diff != "" {
			t.Errorf("%srequests (-want +got):\n%s", more, diff)
		}
	}
}

func TestRepositoryWithoutReadmeAndRelease(t *testing.T) {
	replies := githubReplies(t)
	delete(replies, askRepo+"/readme")
	delete(replies, askRepo+"/releases/latest")
	e := get(t, newSpecial(t, newService(t, replies), ""), sharedRepo)
	if want := []string{"The repository harbour-lab/tidebook has no README."}; e.Coverage != commentator.CoveragePartial || !cmp.Equal(want, e.Errors) {
		t.Errorf("coverage %s, errors %q", e.Coverage, e.Errors)
	}
}

// The release is asked for first, and is not to take the README's time.
func TestAReleaseThatHangsLeavesTheReadme(t *testing.T) {
	replies := githubReplies(t)
	replies[askRepo+"/releases/latest"] = reply{status: hangs}
	r := newSpecial(t, newService(t, replies), "", func(c *Config) { c.Timeout = 6 * time.Second })
	e := get(t, r, sharedRepo)
	if len(e.Errors) != 1 || !strings.Contains(e.Errors[0], "The latest release is missing") || !strings.Contains(textOf(e), "read four hundred volumes") {
		t.Errorf("errors %q, text %q", e.Errors, textOf(e))
	}
}

func TestFilesOnGithub(t *testing.T) {
	t.Run("markup", func(t *testing.T) {
		s := newService(t, map[string]reply{askRepo + "/contents/docs/how%20to.md?ref=main": {header: mediaType("application/vnd.github.html+json"), body: recorded(t, "github/readme.html")}})
		e := get(t, newSpecial(t, s, ""), sharedRepo+"/blob/main/docs/how%20to.md?plain=1#L3")
		if e.Adapter != "GithubAdapter" || e.Sources[0].URL != sharedRepo+"/blob/main/docs/how%20to.md" || e.Sources[0].Title != "docs/how to.md of harbour-lab/tidebook" ||
			!strings.Contains(textOf(e), "read four hundred volumes") {
			t.Errorf("evidence %+v", e)
		}
	})
	t.Run("plain text", func(t *testing.T) {
		s := newService(t, map[string]reply{askRepo + "/contents/NOTES.txt?ref=v1": {header: mediaType("application/vnd.github.raw+json; charset=utf-8"), body: strings.Repeat("The water rose by a hand during the night of the storm. ", 30)}})
		if e := get(t, newSpecial(t, s, ""), sharedRepo+"/blob/v1/NOTES.txt"); e.Coverage != commentator.CoverageFull {
			t.Errorf("coverage %s, errors %q", e.Coverage, e.Errors)
		}
	})
	t.Run("PDF", func(t *testing.T) {
		s := newService(t, map[string]reply{askRepo + "/contents/paper.pdf?ref=main": {header: mediaType("application/vnd.github.raw+json"), body: string(newPDF("Tides", articleLines(8)).bytes())}})
		if e := get(t, newSpecial(t, s, ""), sharedRepo+"/blob/main/paper.pdf"); e.Coverage != commentator.CoverageFull || e.Sources[0].Title != "Tides" {
			t.Errorf("coverage %s, errors %q, sources %+v", e.Coverage, e.Errors, e.Sources)
		}
	})
	t.Run("code", func(t *testing.T) {
		e := get(t, newSpecial(t, newService(t, githubReplies(t)), ""), sharedRepo+"/blob/main/cmd/main.go")
		if !strings.Contains(textOf(e), "The link leads to its file cmd/main.go.") || e.Coverage != commentator.CoverageFull {
			t.Errorf("coverage %s, errors %q, text %q", e.Coverage, e.Errors, textOf(e))
		}
	})
}

func TestIssuesAndPullRequests(t *testing.T) {
	s := newService(t, map[string]reply{
		askRepo + "/issues/1347":                      {body: recorded(t, "github/issue.json")},
		askRepo + "/issues/1347/comments?per_page=20": {body: recorded(t, "github/comments.json")},
		askRepo + "/issues/1348":                      {body: recorded(t, "github/pull.json")},
	})
	e := get(t, newSpecial(t, s, ""), sharedRepo+"/issues/1347#issuecomment-12")
	if e.Sources[0].Title != "Numbers of leap days are moved by one row" || e.Sources[0].URL != sharedRepo+"/issues/1347" {
		t.Errorf("sources %+v", e.Sources)
	}
	if want := "The issue 1347 of harbour-lab/tidebook, opened by octo-reader on 22 April 2026, is closed and has 2 comments."; e.Snippets[0].Content != want {
		t.Errorf("about %q", e.Snippets[0].Content)
	}
	if text := textOf(e); !strings.Contains(text, "comparing the yearly sums") || !strings.Contains(text, "Fixed by comparing the number of rows with the calendar.") {
		t.Errorf("text %q", text)
	}
	e = get(t, newSpecial(t, s, ""), sharedRepo+"/pull/1348")
	if want := "The pull request 1348 of harbour-lab/tidebook, opened on 24 April 2026, is merged and has 0 comments."; e.Snippets[0].Content != want {
		t.Errorf("about %q", e.Snippets[0].Content)
	}
}

func TestReleasesOnGithub(t *testing.T) {
	release := reply{body: recorded(t, "github/release.json")}
	s := newService(t, map[string]reply{askRepo + "/releases/tags/v2.1.0": release, askRepo + "/releases/latest": release})
	for _, link := range []string{sharedRepo + "/releases/tag/v2.1.0", sharedRepo + "/releases", sharedRepo + "/releases/latest"} {
		e := get(t, newSpecial(t, s, ""), link)
		if e.Sources[0].URL != sharedRepo+"/releases/tag/v2.1.0" || !strings.Contains(textOf(e), "empty margins are skipped.") {
			t.Errorf("%s: evidence %+v", link, e)
		}
	}
}

// A limit that ends while the job may be put off is waited for, and the error says until when.
func TestGithubLimitsAreWaitedFor(t *testing.T) {
	reset := func(in time.Duration) string { return strconv.FormatInt(testTime.Add(in).Unix(), 10) }
	for name, tt := range map[string]struct {
		reply
		until string
		after time.Duration
	}{
		"primary, 403":      {reply{403, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {reset(5 * time.Minute)}}, recorded(t, "github/rate_limit.json")}, "12:05:00 UTC", 5 * time.Minute},
		"primary, 429":      {reply{429, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {reset(5 * time.Minute)}}, ""}, "12:05:00 UTC", 5 * time.Minute},
		"over already":      {reply{403, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {reset(-time.Minute)}}, ""}, "12:00:00 UTC", 0},
		"retry after":       {reply{403, http.Header{"Retry-After": {"90"}}, recorded(t, "github/secondary_limit.json")}, "12:01:30 UTC", 90 * time.Second},
		"secondary, 403":    {reply{403, nil, recorded(t, "github/secondary_limit.json")}, "12:01:00 UTC", time.Minute},
		"secondary, 429":    {reply{429, nil, ""}, "12:01:00 UTC", time.Minute},
		"nonsense as reset": {reply{429, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"soon"}}, ""}, "12:01:00 UTC", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{askRepo, askRepo + "/readme", askRepo + "/releases/latest"} {
				replies := githubReplies(t)
				replies[path] = tt.reply
				message := putOff(t, 5*time.Minute, tt.after, newSpecial(t, newService(t, replies), ""), sharedRepo, "GithubAdapter")
				if !strings.Contains(message, tt.until) || !strings.Contains(message, "GITHUB_TOKEN") {
					t.Errorf("%q does not say %s and what to do", message, tt.until)
				}
			}
		})
	}
}

// Where the API refuses, or takes no request for long, the page is read and says so.
func TestPageOfARepositoryIsReadInstead(t *testing.T) {
	for name, tt := range map[string]struct {
		reply
		mention string
	}{
		"not found":       {reply{404, nil, recorded(t, "github/not_found.json")}, "404"},
		"forbidden":       {reply{403, nil, `{"message": "Repository access blocked"}`}, "403"},
		"wrong token":     {reply{401, nil, recorded(t, "github/bad_credentials.json")}, "GITHUB_TOKEN"},
		"server error":    {reply{502, nil, ""}, "502"},
		"limit for long":  {reply{403, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {strconv.FormatInt(testTime.Add(time.Hour).Unix(), 10)}}, ""}, "13:00:00 UTC"},
		"no JSON":         {reply{200, nil, "<html>"}, "something else"},
		"other JSON":      {reply{200, nil, "{}"}, "something else"},
		"list for object": {reply{200, nil, "[]"}, "something else"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, map[string]reply{askRepo: tt.reply, "/harbour-lab/tidebook": {header: mediaType("text/html"), body: article(8)}})
			r := newSpecial(t, s, "127.0.0.1: {adapter: github}\n", func(c *Config) { c.GithubToken = "t0ken" })
			e := get(t, r, s.URL+"/harbour-lab/tidebook")
			if e.Adapter != "GithubAdapter" || e.Coverage != commentator.CoveragePartial || len(e.Errors) != 1 ||
				!strings.Contains(e.Errors[0], tt.mention) || !strings.HasSuffix(e.Errors[0], "The page itself was read instead.") {
				t.Errorf("adapter %s, coverage %s, errors %q", e.Adapter, e.Coverage, e.Errors)
			}
			if !strings.Contains(textOf(e), "continuous record") {
				t.Errorf("the page is not read: %q", textOf(e))
			}
		})
	}
	t.Run("neither", func(t *testing.T) {
		s := newService(t, nil)
		refusedBy(t, newSpecial(t, s, "127.0.0.1: {adapter: github}\n"), s.URL+"/harbour-lab/tidebook", "GithubAdapter", "http_404", true)
	})
}

// The token goes to the API, to nobody that the API redirects to, and to no page.
func TestTokenGoesToTheAPIAlone(t *testing.T) {
	elsewhere := newService(t, map[string]reply{"/repositories/1": {body: recorded(t, "github/repo.json")}})
	replies := githubReplies(t)
	replies["/repos/harbour-lab/old"] = reply{status: 301, header: http.Header{"Location": {elsewhere.URL + "/repositories/1"}}}
	replies["/harbour-lab/gone"] = reply{header: mediaType("text/html"), body: article(8)}
	s := newService(t, replies)
	r := newSpecial(t, s, "127.0.0.1: {adapter: github}\n", func(c *Config) { c.GithubToken = "t0ken" })
	for _, path := range []string{"/harbour-lab/tidebook", "/harbour-lab/old", "/harbour-lab/gone"} {
		get(t, r, s.URL+path)
	}
	if asked := elsewhere.all(); len(asked) != 1 || asked[0].Header.Get("Authorization") != "" {
		t.Errorf("the redirect was followed %d times, or with the token", len(asked))
	}
	for _, r := range s.all() {
		want := ""
		if strings.HasPrefix(r.URL.Path, "/repos/") {
			want = "Bearer t0ken"
		}
		if got := r.Header.Get("Authorization"); got != want {
			t.Errorf("%s was asked with Authorization %q, want %q", r.URL.Path, got, want)
		}
	}
}
