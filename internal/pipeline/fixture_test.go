package pipeline

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/slack-go/slack/slacktest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/analysis"
	"github.com/technoshare/commentator/internal/analysis/openaitest"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

// The worker emits what the fixtures of the seam hold, from which the bridge is tested: the
// same spans with the same kinds, status, attributes (names and types) and events.
func TestTheWorkerEmitsWhatTheFixturesHold(t *testing.T) {
	web := newSite(t)
	tests := []struct {
		fixture string
		mode    telemetry.Mode
		link    string
		change  func(*testing.T, *rig) // nil: the offline analyser, nothing posted
	}{
		{"success", telemetry.ModeTracing, "/article/1", nil},
		{"tracking_only", telemetry.ModeTracking, "/article/1", nil},
		{"gate_failed", telemetry.ModeTracing, "/thin", nil},
		{"not_found", telemetry.ModeTracing, "/gone", nil},
		{"no_links", telemetry.ModeTracing, "", nil},
		{"model", telemetry.ModeTracing, "/article/1", withModelAndSlack},
	}
	// Details beyond the fixtures go to MLflow's trace as they are.
	beyond := func(line string) bool {
		return strings.HasPrefix(line, "chat gpt-4o: server.")
	}
	for _, tt := range tests {
		t.Run(tt.fixture, func(t *testing.T) {
			requests, _, err := fixture.Load(tt.fixture)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]bool{}
			for _, request := range requests {
				addSpans(want, request)
			}
			c := rigConfig{mode: tt.mode}
			if tt.change != nil {
				c.slackURL = "https://example.slack.com"
			}
			r := newRig(t, c)
			if tt.change != nil {
				tt.change(t, r)
			}
			var links []string
			if tt.link != "" {
				links = []string{web.URL + tt.link}
			}
			r.finish(t, r.jobs(t, links...)[0].ID)
			got := map[string]bool{}
			for _, body := range r.bodies(t) {
				traces, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(body)
				if err != nil {
					t.Fatal(err)
				}
				addSpans(got, traces)
			}
			for line := range want {
				if !got[line] {
					t.Errorf("only in the fixture: %s", line)
				}
			}
			for line := range got {
				if !want[line] && !beyond(line) {
					t.Errorf("only from the worker: %s", line)
				}
			}
		})
	}
}

// withModelAndSlack has the comment written by a model server and posted to a Slack server.
func withModelAndSlack(t *testing.T, r *rig) {
	server := httptest.NewServer(&openaitest.Handler{})
	t.Cleanup(server.Close)
	temperature := 0.2
	analyser, err := analysis.NewOpenAI(analysis.OpenAIConfig{
		APIKey: "sk-test", BaseURL: server.URL + "/v1", ModelStageA: "gpt-4o", ModelStageB: "gpt-4o", Temperature: &temperature, MaxTokens: 4096,
	}, data.Default())
	if err != nil {
		t.Fatal(err)
	}
	r.Analyser = analyser
	web := slacktest.NewTestServer(func(c slacktest.Customize) {
		c.Handle("/chat.postMessage", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"ok":true,"channel":"C0123456789","ts":"1700000001.000200"}`))
		})
	})
	web.Start()
	t.Cleanup(web.Stop)
	r.Poster = slack.NewPoster(slack.PosterConfig{Posts: r.Store, API: slack.NewAPI(slack.APIConfig{
		Token: "xoxb-test", APIURL: web.GetAPIURL(), Transport: telemetry.SlackTransport(nil),
	})})
}

// addSpans adds a line for each span, attribute and event.
func addSpans(to map[string]bool, traces ptrace.Traces) {
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				to[span.Name()+": "+span.Kind().String()+" "+span.Status().Code().String()] = true
				addKeys(to, span.Name()+": ", span.Attributes())
				for _, event := range span.Events().All() {
					name, _ := event.Attributes().Get(wire.AttrArtifactName)
					addKeys(to, span.Name()+": event "+event.Name()+" "+name.AsString()+": ", event.Attributes())
				}
			}
		}
	}
}

func addKeys(to map[string]bool, prefix string, attributes pcommon.Map) {
	for key, value := range attributes.All() {
		to[prefix+key+" "+value.Type().String()] = true
	}
}
