package retrieval

import (
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// githubKind is what a link to GitHub leads to.
type githubKind int

const (
	githubOther   githubKind = iota // left to the generic adapter
	githubRepo                      // the repository, or a folder of it
	githubFile                      // a file of text
	githubIssue                     // an issue or a pull request
	githubRelease                   // one release
)

// githubLink is a link to GitHub, taken apart.
type githubLink struct {
	kind        githubKind
	owner, repo string
	ref, file   string // githubFile; file may also be set for githubRepo: a file that is no text
	number      string // githubIssue
	tag         string // githubRelease; empty: the latest
}

var (
	githubName   = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}$`)
	githubNumber = regexp.MustCompile(`^[1-9][0-9]{0,9}$`)

	// First segments of paths that are pages of GitHub's own, not accounts.
	githubPages = []string{
		"about", "apps", "collections", "customer-stories", "enterprise", "events", "explore", "features", "login", "marketplace",
		"orgs", "readme", "resources", "search", "security", "settings", "site", "solutions", "sponsors", "stars", "topics", "trending", "users",
	}
	// Files of markup, which GitHub renders, and of plain text.
	githubMarkup = []string{".md", ".markdown", ".mdown", ".mkd", ".rst", ".adoc", ".asciidoc", ".org", ".textile", ".mediawiki", ".rdoc", ".pod"}
	githubPlain  = []string{".txt", ".text", ".pdf"}
)

// parseGithub takes a link to GitHub apart. The branch of a file is taken to be one segment;
// where it is several, the API does not find the file, and its page is read instead.
func parseGithub(link *url.URL) githubLink {
	parts := strings.Split(strings.Trim(link.Path, "/"), "/")
	if below(link.Hostname()) || len(parts) < 2 || slices.Contains(githubPages, strings.ToLower(parts[0])) {
		return githubLink{}
	}
	l := githubLink{owner: parts[0], repo: strings.TrimSuffix(parts[1], ".git")}
	if !githubName.MatchString(l.owner) || !githubName.MatchString(l.repo) || dots(l.owner) || dots(l.repo) || slices.ContainsFunc(parts, dots) {
		return githubLink{}
	}
	rest := parts[2:]
	switch {
	case len(rest) == 0, rest[0] == "tree":
		l.kind = githubRepo
	case rest[0] == "blob" && len(rest) > 2:
		l.kind, l.ref, l.file = githubRepo, rest[1], strings.Join(rest[2:], "/")
		if ext := strings.ToLower(path.Ext(l.file)); ext == "" || slices.Contains(githubMarkup, ext) || slices.Contains(githubPlain, ext) {
			l.kind = githubFile
		}
	case (rest[0] == "issues" || rest[0] == "pull") && len(rest) > 1 && githubNumber.MatchString(rest[1]):
		l.kind, l.number = githubIssue, rest[1]
	case rest[0] == "releases" && (len(rest) == 1 || rest[1] == "latest" && len(rest) == 2):
		l.kind = githubRelease
	case rest[0] == "releases" && rest[1] == "tag" && len(rest) > 2:
		l.kind, l.tag = githubRelease, strings.Join(rest[2:], "/")
	}
	return l
}

// below reports whether a host is below the site's own, such as gist.github.com.
func below(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	return strings.Count(strings.TrimPrefix(strings.ToLower(host), "www."), ".") > 1
}

// dots reports whether a segment would change the path of a request to the API.
func dots(segment string) bool { return segment == "" || segment == "." || segment == ".." }

// api returns the path of the API that lies below the repository.
func (l githubLink) api(segments ...string) string {
	all := append([]string{"repos", l.owner, l.repo}, segments...)
	for i := range all {
		all[i] = url.PathEscape(all[i])
	}
	return "/" + strings.Join(all, "/")
}

// full is the repository's name with its owner's.
func (l githubLink) full() string { return l.owner + "/" + l.repo }
