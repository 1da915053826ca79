package retrieval

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/sentence"
)

// Media types of GitHub's API: what is asked for, markup rendered to HTML, and a file as it
// is.
const (
	githubJSON = "application/vnd.github+json"
	githubHTML = "application/vnd.github.html+json"
	githubRaw  = "application/vnd.github.raw+json"
)

type githubRepoInfo struct {
	FullName    string    `json:"full_name"`
	HTMLURL     string    `json:"html_url"`
	Description string    `json:"description"`
	Language    string    `json:"language"`
	Stars       int64     `json:"stargazers_count"`
	Forks       int64     `json:"forks_count"`
	Topics      []string  `json:"topics"`
	Archived    bool      `json:"archived"`
	PushedAt    time.Time `json:"pushed_at"`
	License     *struct {
		Name string `json:"name"`
	} `json:"license"`
}

type githubReleaseInfo struct {
	Name        string     `json:"name"`
	TagName     string     `json:"tag_name"`
	HTMLURL     string     `json:"html_url"`
	BodyHTML    string     `json:"body_html"`
	PublishedAt *time.Time `json:"published_at"` // null for a draft
	Prerelease  bool       `json:"prerelease"`
}

type githubIssueInfo struct {
	Title     string     `json:"title"`
	HTMLURL   string     `json:"html_url"`
	State     string     `json:"state"` // open, closed
	BodyHTML  string     `json:"body_html"`
	Comments  int        `json:"comments"`
	CreatedAt time.Time  `json:"created_at"`
	ClosedAt  *time.Time `json:"closed_at"`
	User      *struct {  // null when the account is gone
		Login string `json:"login"`
	} `json:"user"`
	PullRequest *struct {
		MergedAt *time.Time `json:"merged_at"`
	} `json:"pull_request"` // only of pull requests
}

type githubComment struct {
	BodyHTML string `json:"body_html"`
}

// githubAPI asks GitHub's REST API.
type githubAPI struct {
	fetcher *fetcher
	base    string
	token   string // may be empty
}

// get asks for a path with a query.
func (a *githubAPI) get(ctx context.Context, path, accept string) (*answer, error) {
	link, err := url.Parse(a.base + path)
	if err != nil {
		return nil, final(codeBadURL, "The address of GitHub's API is wrong: %v. Correct it.", err)
	}
	header := http.Header{"Accept": {accept}, "X-Github-Api-Version": {"2022-11-28"}}
	if a.token != "" {
		header.Set("Authorization", "Bearer "+a.token)
	}
	return a.fetcher.get(ctx, link, header, func(resp *http.Response) error {
		return a.refusal(resp, a.fetcher.now())
	})
}

// decode asks for JSON.
func (a *githubAPI) decode(ctx context.Context, path, accept string, v any) (*answer, error) {
	got, err := a.get(ctx, path, accept)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(got.body, v); err != nil {
		return nil, final(codeAPIRefused, "GitHub's API answered %s with something else than was asked for (%v).", shorten(path), err)
	}
	return got, nil
}

// refusal reads an answer that is none, as GitHub's documentation describes them: a limit of
// requests is 403 or 429, with the time to wait in Retry-After, or in X-RateLimit-Reset when
// X-RateLimit-Remaining is 0, or else a minute.
func (a *githubAPI) refusal(resp *http.Response, now time.Time) error {
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return final(codeAPIRefused, "GitHub's API refuses the token (401). Check GITHUB_TOKEN, or take it out.")
	case http.StatusForbidden, http.StatusTooManyRequests:
	default:
		return nil
	}
	wait := time.Minute
	seconds, noSeconds := strconv.ParseInt(resp.Header.Get("Retry-After"), 10, 32)
	reset, noReset := strconv.ParseInt(resp.Header.Get("X-RateLimit-Reset"), 10, 64)
	switch {
	case noSeconds == nil:
		wait = time.Duration(seconds) * time.Second
	case resp.Header.Get("X-RateLimit-Remaining") == "0" && noReset == nil:
		wait = time.Unix(reset, 0).Sub(now)
	case resp.StatusCode == http.StatusForbidden:
		text := make([]byte, 4<<10)
		n, _ := io.ReadFull(resp.Body, text) // what came of it
		if !bytes.Contains(bytes.ToLower(text[:n]), []byte("rate limit")) {
			return nil
		}
	}
	wait = max(wait, 0).Round(time.Second)
	remedy := "Without a token it takes 60 an hour; GITHUB_TOKEN makes them 5,000."
	if a.token != "" {
		remedy = "Wait, or share fewer links."
	}
	return later(wait, "GitHub's API takes no more requests from here until %s. %s", now.Add(wait).UTC().Format("15:04:05 UTC"), remedy)
}

// about says in a sentence what the repository is.
func (i githubRepoInfo) about() string {
	var parts []string
	if i.Language != "" {
		parts = append(parts, "is written mostly in "+i.Language)
	}
	parts = append(parts, fmt.Sprintf("has %s and %s", grouped(i.Stars, "star"), grouped(i.Forks, "fork")))
	if i.License != nil && i.License.Name != "" && i.License.Name != "Other" {
		parts = append(parts, "is under the "+i.License.Name)
	}
	if len(i.Topics) > 0 {
		parts = append(parts, "has the topics "+enumerate(i.Topics[:min(len(i.Topics), 8)]))
	}
	if !i.PushedAt.IsZero() {
		parts = append(parts, "was last pushed to on "+i.PushedAt.Format(dateLayout))
	}
	if i.Archived {
		parts = append(parts, "is archived")
	}
	return oneLine("The repository " + i.FullName + " " + enumerateWith(parts, ", ", ", and ") + ".")
}

// about says in a sentence what became of the issue or pull request.
func (i githubIssueInfo) about(l githubLink) string {
	kind, state := "issue", i.State
	if i.PullRequest != nil {
		kind = "pull request"
		if i.PullRequest.MergedAt != nil {
			state = "merged"
		}
	}
	by := ""
	if i.User != nil && i.User.Login != "" {
		by = " by " + i.User.Login
	}
	opened := ""
	if !i.CreatedAt.IsZero() {
		opened = ", opened" + by + " on " + i.CreatedAt.Format(dateLayout) + ","
	}
	return oneLine(fmt.Sprintf("The %s %s of %s%s is %s and has %s.", kind, l.number, l.full(), opened, state, grouped(int64(i.Comments), "comment")))
}

// about says in a sentence which release it is.
func (i githubReleaseInfo) about(l githubLink) string {
	kind := "release"
	if i.Prerelease {
		kind = "pre-release"
	}
	when := " is not published yet"
	if i.PublishedAt != nil {
		when = " was published on " + i.PublishedAt.Format(dateLayout)
	}
	return oneLine("The " + kind + " " + i.TagName + " of " + l.full() + when + ".")
}

// grouped writes a number with its noun, thousands apart.
func grouped(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && n > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits + " " + noun
}

// asSentence makes a description one.
func asSentence(text string) string {
	text = oneLine(text)
	if text == "" || sentence.Ends(text) {
		return text
	}
	return strings.TrimRight(text, " ,;:-–—") + "."
}
