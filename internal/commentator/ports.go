package commentator

import "context"

// Retriever turns a link into evidence.
//
// When nothing could be fetched it returns an *Error and evidence with Coverage failed
// and the reason in Errors. A page that was fetched but holds little or no text is no
// error: Coverage is partial or failed and the gates decide. An Error that asks to come back
// Later does so within Patience(ctx).
type Retriever interface {
	Retrieve(ctx context.Context, url string) (Evidence, error)
}

// Analyser extracts facts from evidence (stage A) and composes the comment (stage B).
type Analyser interface {
	ExtractFacts(ctx context.Context, e Evidence) (Facts, Analysis, error)
	Compose(ctx context.Context, e Evidence, f Facts) (Comment, Analysis, error)
}

// Renderer lays a comment on a link out for Slack.
type Renderer func(c Comment, link string) Rendered

// Poster delivers the rendered comment. It returns what was, or would have been, sent.
//
// It returns ErrWithdrawn when the link was taken back before the comment was posted. After it, and
// after an error that wraps ErrNotTakenBack, nobody may post the comment again.
type Poster interface {
	Post(ctx context.Context, j Job, m Message, r Rendered) (Post, error)
}
