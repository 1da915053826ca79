package render

import (
	"github.com/slack-go/slack"

	"github.com/technoshare/commentator/internal/commentator"
)

// Notice tells people that a job ended without a comment, in one line. Of the reason it says the
// code only: the sentence behind it may hold what a page or a server said.
func Notice(j commentator.Job) commentator.RenderedMessage {
	reason := "something went wrong (" + j.ErrorType + ")."
	if j.Outcome == commentator.OutcomeGateFailed {
		reason = "what came out of the page did not pass the quality checks."
	}
	before, after := "No comment on ", ": "+reason
	text := before + "this link" + after
	line := []slack.RichTextSectionElement{slack.NewRichTextSectionTextElement(text, nil)}
	if address, ok := webAddress(j.URL); ok {
		line = []slack.RichTextSectionElement{
			slack.NewRichTextSectionTextElement(before, nil), linkTo(address), slack.NewRichTextSectionTextElement(after, nil),
		}
	}
	return message(mrkdwn(text), []slack.Block{richText(slack.NewRichTextSection(line...))})
}
