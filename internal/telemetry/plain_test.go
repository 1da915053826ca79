package telemetry

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

const markup = "a <b> & c" // what encoding/json escapes

// markedStages are stages with such characters wherever a text is.
func markedStages(t testing.TB) []StageEnd {
	t.Helper()
	ends := testStages(60)
	ends[0].Evidence.Snippets[0].Content = markup
	ends[0].Input = map[string]string{"url": "https://example.org/page?a=1&b=2"}
	ends[1].Facts.KeyFacts[0].Fact = markup
	ends[2].Comment.Summary[0] = markup
	ends[3].Gates.Failures = []commentator.GateFailure{{Gate: "g", Message: markup}}
	ends[4].Post.Text = markup
	for i := range ends {
		var err error
		if ends[i].Record.Result, err = json.Marshal(stageValue(ends[i])); err != nil { // as a row of an earlier version has it
			t.Fatal(err)
		}
	}
	return ends
}

// shownTexts are the texts of a span and of its events by their names.
func shownTexts(s *tracepb.Span) map[string]string {
	texts := map[string]string{}
	for key, v := range values(s.Attributes) {
		if text, ok := v.(string); ok {
			texts[key] = text
		}
	}
	for name, a := range artifacts(s) {
		texts[name] = a[wire.AttrArtifactContent].(string)
	}
	return texts
}

func checkPlain(t *testing.T, s *tracepb.Span, with ...string) {
	t.Helper()
	texts := shownTexts(s)
	for name, text := range texts {
		for _, escape := range []string{`\u0026`, `\u003c`, `\u003e`} {
			if strings.Contains(text, escape) {
				t.Errorf("%s of %s has %s: %s", name, s.Name, escape, text)
			}
		}
	}
	for _, name := range with {
		if !strings.Contains(texts[name], "&") {
			t.Errorf("%s of %s has no &: %s", name, s.Name, texts[name])
		}
	}
}

func TestWhatIsRecordedShowsItsCharacters(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	j := testJob(p, 7)
	j.URL += "&b=2"
	var lifecycle []*tracepb.Span
	for _, m := range play(t, p, j, markedStages(t), commentator.OutcomeSuccess)[1:] {
		lifecycle = append(lifecycle, decode(t, m)[0])
	}
	for i, with := range [][]string{
		{wire.AttrInput, wire.AttrOutput, wire.ArtifactEvidence},
		{wire.AttrInput, wire.AttrOutput, wire.ArtifactFacts},
		{wire.AttrInput, wire.AttrOutput, wire.ArtifactComment},
		{wire.AttrInput, wire.AttrOutput},
		{wire.AttrInput, wire.AttrOutput},
		{wire.AttrInput, wire.AttrOutput},
	} {
		checkPlain(t, lifecycle[i], with...)
	}
}

func TestTriesShowTheirCharacters(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	_, e := p.StartExample(t.Context(), Try{Evaluation: "e", Example: "x", Repetition: 1, SuiteStart: testStart})
	m, err := e.End(ExampleEnd{
		Start: testStart, End: testStart.Add(time.Second),
		Input: map[string]string{"url": "https://example.org/?a=1&b=2"}, Output: map[string]string{"comment": markup},
	})
	if err != nil {
		t.Fatal(err)
	}
	checkPlain(t, decode(t, m)[0], wire.AttrInput, wire.AttrOutput)
}

// The row of an earlier version has <, > and & escaped. What comes of it is the same, hashes
// included, as of a row of this one.
func TestARowOfAnEarlierVersionIsRecordedAlike(t *testing.T) {
	for _, content := range []bool{true, false} {
		p, _ := newTestProvider(t, func(c *Config) { c.CaptureContent = content })
		for _, end := range markedStages(t) {
			earlier := endStage(t, p, end, nil)[0]
			end.Record.Result = nil // it is made of the value
			now := endStage(t, p, end, nil)[0]
			if diff := cmp.Diff(shownTexts(now), shownTexts(earlier)); diff != "" {
				t.Errorf("%s, content %t (-now +earlier):\n%s", end.Record.Stage, content, diff)
			}
			if diff := cmp.Diff(artifacts(now), artifacts(earlier)); diff != "" {
				t.Errorf("artifacts of %s, content %t (-now +earlier):\n%s", end.Record.Stage, content, diff)
			}
		}
	}
}

// Beside the characters that are not escaped any more the same secrets are found.
func TestSecretsBesideMarkupAreMasked(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	const text = "<password>hunter2 x</password> https://x.org/?a=1&sig=S3cret99&b=2 <mailto:jane@example.org|jane@example.org> DB_PASS='a&S3cret99'"
	const want = "<password>[redacted:password]</password> https://x.org/?a=1&sig=REDACTED&b=2 <mailto:[redacted:email]|[redacted:email]> DB_PASS='[redacted:password]'"
	end := markedStages(t)[3]
	end.Gates.Failures[0].Message = text
	end.Input = map[string]string{"password": "a&S3cret99", "text": text}
	got := shownTexts(endStage(t, p, end, nil)[0])
	if in := `{"password":"[redacted:password]","text":"` + want + `"}`; got[wire.AttrInput] != in {
		t.Errorf("input  %s\nwant   %s", got[wire.AttrInput], in)
	}
	if !strings.Contains(got[wire.AttrOutput], `"message":"`+want+`"`) {
		t.Errorf("output %s\nwant   %s", got[wire.AttrOutput], want)
	}
}

// In traces people read what they would read in Slack; the comment is Markdown, as MLflow's UI takes it
// for. What was posted is there too, as it was.
func TestRequestAndResponseAreWithoutMarkupOfSlack(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	j := testJob(p, 7)
	ends := testStages(60)
	const posted = "*tldr*\n• A &amp; B, see <https://example.org/?a=1&amp;b=2|the manual>"
	ends[4].Post.Text, ends[4].Record.Result = posted, nil
	m := testMessage()
	m.Text = "by <@U0123456789>: <https://example.org/page?a=1&amp;b=2|the page> &amp; more"
	var records []commentator.StageRecord
	for _, end := range ends {
		_, st := p.StartStage(t.Context(), j, end.Record.Stage)
		end.Record.SpanID = st.SpanID()
		if _, err := st.End(end); err != nil {
			t.Fatal(err)
		}
		records = append(records, end.Record)
	}
	root, err := p.JobEnded(finish(j, commentator.OutcomeSuccess), m, records)
	if err != nil {
		t.Fatal(err)
	}
	got := values(decode(t, root)[0].Attributes)
	in := `{"url":"https://example.org/page?a=1","message":"by <@` + userID(testKey, "U0123456789") + `>: the page (https://example.org/page?a=1&b=2) & more"}`
	out := `{"outcome":"success","comment":"**tldr**\n\n- A & B, see [the manual](https://example.org/?a=1&b=2)"}`
	if got[wire.AttrInput] != in || got[wire.AttrOutput] != out || got[wire.AttrCommentText] != posted {
		t.Errorf("input    %s\nwant     %s\noutput   %s\nwant     %s\nposted   %s", got[wire.AttrInput], in, got[wire.AttrOutput], out, got[wire.AttrCommentText])
	}
}

// A secret is masked as it was written in Slack: without the escapes it may look like none.
func TestSecretsAreMaskedBeforeTheMarkupGoes(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	j := testJob(p, 7)
	m := testMessage()
	m.Text = "password: &lt;hunter2xQ9zK4mP!"
	root, err := p.JobEnded(finish(j, commentator.OutcomeSuccess), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if in := values(decode(t, root)[0].Attributes)[wire.AttrInput].(string); strings.Contains(in, "hunter2") || !strings.Contains(in, "[redacted:password]") {
		t.Errorf("input %s", in)
	}
}

// So is the label of a link, whether it holds what shows the secret or follows it.
func TestSecretsInLabelsOfLinksAreMasked(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	for posted, want := range map[string]string{
		"see <https://example.org|API key: abcd1234efgh5678>": "[redacted:",
		"*tldr* password: <https://example.org|hunter2xY9>":   "[redacted:password]",
		"*tldr* see <https://example.org|the manual>":         "**tldr** see [the manual](https://example.org)",
	} {
		got := string(p.rec.mask(p.laidOut(posted)))
		if strings.Contains(got, "abcd1234") || strings.Contains(got, "hunter2") || !strings.Contains(got, want) {
			t.Errorf("%s\nis shown as %s", posted, got)
		}
	}
}
