package retrieval

import (
	"context"
	"net/url"
	"path"
	"slices"
	"strings"

	"golang.org/x/net/html"

	"github.com/technoshare/commentator/internal/commentator"
)

// githubAdapter reads repositories, files, issues, pull requests and releases of GitHub by its
// API. Where the API refuses, the page is read instead; only a limit of requests that ends
// soon is waited for.
type githubAdapter struct {
	generic *genericAdapter
	api     *githubAPI
}

func newGithubAdapter(cfg Config, generic *genericAdapter) *githubAdapter {
	return &githubAdapter{generic: generic, api: &githubAPI{fetcher: generic.fetcher, base: cfg.GithubAPI, token: cfg.GithubToken}}
}

func (a *githubAdapter) name() string { return "GithubAdapter" }

func (a *githubAdapter) reads(link *url.URL) bool { return parseGithub(link).kind != githubOther }

func (a *githubAdapter) retrieve(ctx context.Context, link *url.URL, rule rule) (commentator.Evidence, error) {
	l := parseGithub(link)
	fetching, cancel := context.WithTimeout(ctx, rule.timeout)
	defer cancel()
	g := gather(a.name(), rule.limits)
	var err error
	switch l.kind {
	case githubFile:
		err = a.file(ctx, fetching, g, l, link)
	case githubIssue:
		err = a.issue(fetching, g, l)
	case githubRelease:
		err = a.release(fetching, g, l)
	default:
		err = a.repository(fetching, g, l, rule)
	}
	switch {
	case err == nil:
		return g.evidence(shorten(link.Redacted())), nil
	case worthWaiting(ctx, err):
		return commentator.Evidence{}, err
	}
	return a.generic.instead(ctx, link, rule, a.name(), err)
}

// repository gathers description and figures, the README, and the notes of the latest
// release, which have a fifth of the room.
func (a *githubAdapter) repository(ctx context.Context, g *gathering, l githubLink, rule rule) error {
	var info githubRepoInfo
	got, err := a.api.decode(ctx, l.api(), githubJSON, &info)
	if err != nil {
		return err
	}
	if info.FullName == "" || info.HTMLURL == "" {
		return final(codeAPIRefused, "GitHub's API answered something else than a repository for %s.", l.full())
	}
	g.source(info.HTMLURL, info.FullName, got.at)
	g.fact(asSentence(info.Description), info.HTMLURL)
	g.fact(info.about(), info.HTMLURL)
	if l.file != "" {
		g.fact("The link leads to its file "+oneLine(l.file)+".", info.HTMLURL)
	}

	var latest *githubReleaseInfo
	var latestAt *answer
	if rule.FetchReleases {
		latest = &githubReleaseInfo{}
		// It is asked before the README, which has to have some of the time if it hangs.
		some, cancel := context.WithTimeout(ctx, rule.timeout*2/3)
		latestAt, err = a.api.decode(some, l.api("releases", "latest"), githubHTML, latest)
		cancel()
		switch {
		case commentator.ErrorCode(err) == "http_404": // it has none
			latest = nil
		case worthWaiting(ctx, err):
			return err
		case err != nil:
			g.lacks("The latest release is missing. %v", err)
			latest = nil
		}
	}
	if rule.FetchReadme {
		room := g.left()
		if latest != nil {
			room -= max(1, room/5)
		}
		if err := a.readme(ctx, g, l, info.HTMLURL, room); err != nil {
			return err
		}
	}
	if latest != nil {
		g.source(latest.HTMLURL, releaseTitle(*latest, l), latestAt.at)
		g.fact(latest.about(l), latest.HTMLURL)
		if g.text(htmlBlocks(latest.BodyHTML), latest.HTMLURL, g.left()) {
			g.lacks("The notes of the release %s are longer than what is kept of a page; their end is missing.", latest.TagName)
		}
	}
	return nil
}

// readme adds the README, in at most so many snippets. Only a limit of requests is an error.
func (a *githubAdapter) readme(ctx context.Context, g *gathering, l githubLink, repo string, room int) error {
	got, err := a.api.get(ctx, l.api("readme"), githubHTML)
	switch {
	case worthWaiting(ctx, err):
		return err
	case commentator.ErrorCode(err) == "http_404":
		g.lacks("The repository %s has no README.", l.full())
		return nil
	case err != nil:
		g.lacks("The README is missing. %v", err)
		return nil
	}
	address := repo + "#readme"
	g.source(address, "README of "+l.full(), got.at)
	if g.text(htmlBlocks(string(got.body)), address, room) {
		g.lacks("The README of %s is longer than what is kept of a page; its end is missing.", l.full())
	}
	return nil
}

// file gathers a file of text.
func (a *githubAdapter) file(ctx, fetching context.Context, g *gathering, l githubLink, link *url.URL) error {
	accept := githubRaw
	markup := slices.Contains(githubMarkup, strings.ToLower(path.Ext(l.file)))
	if markup {
		accept = githubHTML
	}
	where := l.api(append([]string{"contents"}, strings.Split(l.file, "/")...)...) + "?" + url.Values{"ref": {l.ref}}.Encode()
	got, err := a.api.get(fetching, where, accept)
	if err != nil {
		return err
	}
	shared := *link
	shared.Fragment, shared.RawQuery = "", ""
	address := shared.Redacted()
	d := document{blocks: htmlBlocks(string(got.body)), whole: true}
	if !markup {
		// The declared type is GitHub's own, so the bytes decide.
		p := &page{url: link, body: got.body, fetchedAt: got.at}
		if err := p.classify(""); err != nil {
			return err
		}
		if d, err = a.generic.read(ctx, p, g.limits); err != nil {
			return err
		}
	}
	title := l.file + " of " + l.full()
	if d.title != "" {
		title = d.title
	}
	g.source(address, title, got.at)
	if g.text(d.blocks, address, g.left()) || d.more {
		g.lacks("%s is longer than what is kept of a page; its end is missing.", shorten(address))
	}
	return nil
}

// issue gathers an issue or a pull request with its first comments.
func (a *githubAdapter) issue(ctx context.Context, g *gathering, l githubLink) error {
	var info githubIssueInfo
	got, err := a.api.decode(ctx, l.api("issues", l.number), githubHTML, &info)
	if err != nil {
		return err
	}
	if info.Title == "" || info.HTMLURL == "" {
		return final(codeAPIRefused, "GitHub's API answered something else than an issue for %s#%s.", l.full(), l.number)
	}
	g.source(info.HTMLURL, oneLine(info.Title), got.at)
	g.fact(info.about(l), info.HTMLURL)
	cut := g.text(htmlBlocks(info.BodyHTML), info.HTMLURL, g.left())
	if info.Comments > 0 && !cut {
		var comments []githubComment
		_, err := a.api.decode(ctx, l.api("issues", l.number, "comments")+"?per_page=20", githubHTML, &comments)
		switch {
		case worthWaiting(ctx, err):
			return err
		case err != nil:
			g.lacks("The comments are missing. %v", err)
		}
		for _, c := range comments {
			cut = g.text(htmlBlocks(c.BodyHTML), info.HTMLURL, g.left()) || cut
		}
		cut = cut || err == nil && info.Comments > len(comments)
	}
	if cut {
		g.lacks("%s is longer than what is kept of a page; its end is missing.", shorten(info.HTMLURL))
	}
	return nil
}

// release gathers the notes of a release.
func (a *githubAdapter) release(ctx context.Context, g *gathering, l githubLink) error {
	where := l.api("releases", "latest")
	if l.tag != "" {
		where = l.api("releases", "tags", l.tag)
	}
	var info githubReleaseInfo
	got, err := a.api.decode(ctx, where, githubHTML, &info)
	if err != nil {
		return err
	}
	if info.TagName == "" || info.HTMLURL == "" {
		return final(codeAPIRefused, "GitHub's API answered something else than a release for %s.", l.full())
	}
	g.source(info.HTMLURL, releaseTitle(info, l), got.at)
	g.fact(info.about(l), info.HTMLURL)
	if g.text(htmlBlocks(info.BodyHTML), info.HTMLURL, g.left()) {
		g.lacks("%s is longer than what is kept of a page; its end is missing.", shorten(info.HTMLURL))
	}
	return nil
}

func releaseTitle(info githubReleaseInfo, l githubLink) string {
	title := oneLine(info.Name)
	if title == "" {
		title = info.TagName
	}
	return l.full() + " " + title
}

// htmlBlocks returns the text of HTML that GitHub rendered.
func htmlBlocks(fragment string) []string {
	text := cleanUTF8([]byte(fragment))
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		return tokenBlocks(text) // nested too deep
	}
	dropNotes(root)
	return nodeBlocks(root)
}
