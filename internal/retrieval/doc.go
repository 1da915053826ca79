// Package retrieval fetches the page behind a link and turns it into evidence: a title
// and short snippets of its readable text in reading order.
//
// A link goes through parseLink (is it an address at all), the guard (no connection to a
// private address, checked after name resolution), fetch (HTTP with limits), decode
// (bytes to text) and extract (text to snippets). Every step refuses with a
// *commentator.Error whose code is listed in errors.go.
package retrieval
