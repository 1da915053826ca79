// Package retrieval fetches what is behind a link and turns it into evidence: titles and
// short snippets of readable text in reading order.
//
// A link goes through parseLink (is it an address at all) and the rules of its domain, which
// choose an adapter. The generic one reads the page: fetch (HTTP with limits), then readable
// text of HTML, plain text or PDF, cut into snippets. Those of arXiv and GitHub ask the site's
// API instead, and leave what they do not know to the generic one. Every request of all of
// them goes through the guard (no connection to a private address, checked after name
// resolution) and the same limits. Every step refuses with a *commentator.Error whose code
// is listed in errors.go.
package retrieval
