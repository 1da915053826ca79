package render

import (
	"os"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/commentator"
)

func TestNoticeSaysWhyAndNamesTheLink(t *testing.T) {
	long := "https://example.org/" + strings.Repeat("a", 300)
	for _, tt := range []struct {
		job  commentator.Job
		want string // as text; the blocks show the same
	}{
		{commentator.Job{URL: "https://example.org/a?b=c&d=e", ErrorType: "http_404"}, "No comment on https://example.org/a?b=c&amp;d=e: the page does not exist."},
		{commentator.Job{URL: "https://example.org/", ErrorType: "http_403"}, "No comment on https://example.org/: the page needs a login or keeps programs out."},
		{commentator.Job{URL: "https://example.org/", ErrorType: "http_503"}, "No comment on https://example.org/: the site has a problem."},
		{commentator.Job{URL: long, ErrorType: "timeout"}, "No comment on " + long[:maxLink-1] + "…: the page took too long to answer."},
		{commentator.Job{URL: "https://u:secret@example.org/", ErrorType: "bad_url"}, "No comment on this link: this is no address of a public web page."},
		{commentator.Job{URL: "https://example.org/", ErrorType: "model_quota_exceeded"}, "No comment on https://example.org/: something went wrong (model_quota_exceeded)."},
		{
			commentator.Job{URL: "https://example.org/", Outcome: commentator.OutcomeGateFailed},
			"No comment on https://example.org/: what came out of the page did not pass the quality checks.",
		},
	} {
		m := Notice(tt.job)
		if m.Text != tt.want {
			t.Errorf("%s: text %q, want %q", tt.job.ErrorType, m.Text, tt.want)
		}
		if shown := check(t, m)[0].words(); escape.Replace(shown) != tt.want {
			t.Errorf("%s: blocks show %q, want %q", tt.job.ErrorType, shown, tt.want)
		}
	}
}

// The codes are those that package retrieval gives. It is no import: adapters stand apart.
func TestReasonsAreForCodesThatThereAre(t *testing.T) {
	source, err := os.ReadFile("../retrieval/errors.go")
	if err != nil {
		t.Fatal(err)
	}
	for code, text := range reasons {
		if !strings.HasPrefix(code, "http_") && !strings.Contains(string(source), ` = "`+code+`"`) {
			t.Errorf("there is no %s", code)
		}
		if !strings.HasSuffix(text, ".") {
			t.Errorf("%s: %q is no sentence", code, text)
		}
	}
}
