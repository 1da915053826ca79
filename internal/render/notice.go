package render

import (
	"strings"

	"github.com/slack-go/slack"

	"github.com/technoshare/commentator/internal/commentator"
)

// Notice tells people that a job ended without a comment, in one line. Why it did is one of a few
// fixed sentences, or the code: the error's own sentence may hold what a page or a server said.
func Notice(j commentator.Job) commentator.RenderedMessage {
	why := reason(j.ErrorType)
	if j.Outcome == commentator.OutcomeGateFailed {
		why = "what came out of the page did not pass the quality checks."
	}
	before, after := "No comment on ", ": "+why
	text := before + "this link" + after
	line := []slack.RichTextSectionElement{slack.NewRichTextSectionTextElement(text, nil)}
	if address, ok := webAddress(j.URL); ok {
		text = before + shortened(address, maxLink) + after
		line = []slack.RichTextSectionElement{
			slack.NewRichTextSectionTextElement(before, nil), linkTo(address), slack.NewRichTextSectionTextElement(after, nil),
		}
	}
	return message(mrkdwn(text), []slack.Block{richText(slack.NewRichTextSection(line...))})
}

// reasons are what people are told of errors that lie with the link or its site, by the codes of
// package retrieval.
var reasons = map[string]string{
	"http_404": "the page does not exist.",
	"http_410": "the page does not exist any more.",
	"http_401": "the page needs a login or keeps programs out.",
	"http_403": "the page needs a login or keeps programs out.",
	"http_429": "the site takes no more requests for now.",

	"not_found":                "the page does not exist, or is not public.",
	"bad_url":                  "this is no address of a public web page.",
	"unsupported_scheme":       "this is no address of a public web page.",
	"private_address":          "it leads to a private network.",
	"redirect_loop":            "the page redirects too often.",
	"unsupported_content_type": "it cannot be read as HTML, plain text or PDF.",
	"too_large":                "the page is too large.",
	"empty_body":               "the page is empty.",
	"tls":                      "no secure connection to the site can be made.",
	"dns":                      "the site's name is not known.",
	"connect":                  "the site cannot be reached.",
	"timeout":                  "the page took too long to answer.",
	"rate_limited":             "the site takes no more requests for now.",
	"pdf_damaged":              "the PDF file is damaged.",
	"pdf_locked":               "the PDF file asks for a password.",
	"pdf_too_heavy":            "the PDF file is too large to be read.",
}

func reason(code string) string {
	switch known, ok := reasons[code]; {
	case ok:
		return known
	case strings.HasPrefix(code, "http_5"):
		return "the site has a problem."
	}
	return "something went wrong (" + code + ")."
}
