package evaluation

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/telemetry"
)

// shownTry returns the message of a try with a text of Slack and a comment.
func shownTry(t *testing.T, slackText, comment string) string {
	t.Helper()
	p, err := telemetry.New(t.Context(), telemetry.Config{
		Mode: telemetry.ModeTracing, Ratio: 1, CaptureContent: true, StoreID: "0123456789abcdef0123456789abcdef", PseudonymKey: "key",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	at := time.Unix(1700000000, 0)
	ctx, e := p.StartExample(t.Context(), telemetry.Try{Evaluation: "e", Example: "x", Repetition: 1, SuiteStart: at})
	_, d := telemetry.StartDetail(ctx, "stage_a", trace.SpanKindInternal)
	describe(ctx, d, map[string]string{"url": "https://example.org/?a=1&b=2"}, "a <b>")
	d.End(nil)
	a := &attempt{runner: &runner{}, task: task{example: Example{ID: "x", SlackText: slackText}}, text: comment}
	m, err := e.End(a.end(e, Try{}, at, at.Add(time.Second)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := s2.Decode(nil, m.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// People read in the trace of a try what they would read in Slack, with its characters.
func TestTriesAreShownAsPeopleReadThem(t *testing.T) {
	body := shownTry(t, "<https://example.org|look> &amp; see", "*tldr*\n• A &amp; B")
	for _, want := range []string{
		`{"url":"https://example.org/?a=1&b=2"}`, `"a <b>"`, `"slack_text":"look (https://example.org) & see"`, `{"comment":"**tldr**\n\n- A & B","passed":false}`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the message has no %s", want)
		}
	}
}

// Secrets are masked before the markup of Slack goes, which may be all that shows them.
func TestSecretsOfTriesAreMaskedBeforeTheMarkupGoes(t *testing.T) {
	body := shownTry(t, "password: &lt;hunter2xQ9zK4mP!", "see <https://example.org|API key: abcd1234efgh5678> there")
	for _, secret := range []string{"hunter2", "abcd1234"} {
		if strings.Contains(body, secret) {
			t.Errorf("the message has %s", secret)
		}
	}
}
