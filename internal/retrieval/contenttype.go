package retrieval

import (
	"mime"
	"net/http"
	"strings"
)

// format is a kind of document that can be read.
type format int

const (
	formatText format = iota // plain text or Markdown
	formatHTML
	formatPDF
)

// unreadable reports whether a declared media type can be refused without reading the
// body. No type, or the catch-all octet-stream, leaves the decision to sniffing.
func unreadable(kind string) bool {
	switch kind {
	case "", "application/octet-stream", "application/unknown", "unknown/unknown", "*/*":
		return false
	}
	return !isHTML(kind) && !isText(kind) && !isPDF(kind)
}

func isHTML(kind string) bool { return kind == "text/html" || kind == "application/xhtml+xml" }

func isText(kind string) bool {
	return kind == "text/plain" || kind == "text/markdown" || kind == "text/x-markdown"
}

func isPDF(kind string) bool { return kind == "application/pdf" || kind == "application/x-pdf" }

// classify decides what p.body is, from the declared content type and the first bytes. A
// binary file that is declared as text is refused too.
func (p *page) classify(declared string) error {
	kind, params, _ := mime.ParseMediaType(declared)
	p.charset = params["charset"]
	sniffed, _, _ := mime.ParseMediaType(http.DetectContentType(p.body))
	// UTF-16 without a byte order mark is full of zero bytes and looks binary.
	wide := strings.HasPrefix(strings.ToLower(p.charset), "utf-16")
	switch {
	case isPDF(kind) || isPDF(sniffed):
		p.format = formatPDF
	case isHTML(kind) || isText(kind):
		if !strings.HasPrefix(sniffed, "text/") && !wide {
			return contentTypeError(shorten(p.url.Redacted()), sniffed)
		}
		p.format = formatText
		if isHTML(kind) {
			p.format = formatHTML
		}
	case isHTML(sniffed):
		p.format = formatHTML
	case isText(sniffed):
		p.format = formatText
	default:
		return contentTypeError(shorten(p.url.Redacted()), sniffed)
	}
	return nil
}

func contentTypeError(shown, kind string) error {
	what := "of type " + kind
	switch {
	case strings.HasPrefix(kind, "image/"):
		what = "an image (" + kind + ")"
	case strings.HasPrefix(kind, "audio/"), strings.HasPrefix(kind, "video/"):
		what = "an audio or video file (" + kind + ")"
	case kind == "application/octet-stream":
		what = "a binary file"
	}
	return final(codeUnsupportedContentType, "%s is %s. Only HTML, plain text and PDF can be read; share the page that describes it.", shown, what)
}
