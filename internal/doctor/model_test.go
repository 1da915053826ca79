package doctor

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/analysis/openaitest"
	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/test/slackfake"
)

func TestFailuresOfTheModelServerAreNamed(t *testing.T) {
	const key = "sk-right"
	model := &openaitest.Handler{Key: key, Models: []string{"gpt-4o", "gpt-4o-mini"}}
	mux := http.NewServeMux()
	mux.Handle("/v1/", model)
	unlisted := &openaitest.Handler{Key: key}
	mux.Handle("/unlisted/", unlisted)
	s := httptest.NewServer(mux)
	defer s.Close()
	for _, c := range []struct {
		name  string
		lines []string
		want  Status
		found string
		fix   string
	}{
		{"well", []string{"OPENAI_API_KEY=" + key, "OPENAI_BASE_URL=" + s.URL + "/v1"}, OK, "takes the key and has gpt-4o", ""},
		{"no key", nil, Skip, "there is no OPENAI_API_KEY", ""},
		{"wrong key", []string{"OPENAI_API_KEY=sk-wrong", "OPENAI_BASE_URL=" + s.URL + "/v1"}, Fail, "refuses the key: HTTP 401", "OPENAI_API_KEY"},
		{"path forgotten", []string{"OPENAI_API_KEY=" + key, "OPENAI_BASE_URL=" + s.URL}, Fail, "has no chat completions", "ends in /v1"},
		{"nobody there", []string{"OPENAI_API_KEY=" + key, "OPENAI_BASE_URL=http://" + closed(t) + "/v1"}, Fail, "cannot be reached", "OPENAI_BASE_URL"},
		{"unknown model", []string{"OPENAI_API_KEY=" + key, "OPENAI_BASE_URL=" + s.URL + "/v1", "MODEL_STAGE_B=gpt-9"}, Warn, "does not list gpt-9; it has gpt-4o", "MODEL_STAGE_B"},
		{"no list", []string{"OPENAI_API_KEY=" + key, "OPENAI_BASE_URL=" + s.URL + "/unlisted"}, OK, "it lists no models", ""},
		{"no list and wrong key", []string{"OPENAI_API_KEY=sk-wrong", "OPENAI_BASE_URL=" + s.URL + "/unlisted"}, Fail, "refuses the key", "OPENAI_API_KEY"},
	} {
		t.Run(c.name, func(t *testing.T) { names(t, newRig(t, c.lines...).probe(t, "model"), c.want, c.found, c.fix) })
	}
	for _, h := range []*openaitest.Handler{model, unlisted} {
		for _, asked := range h.Requests() {
			if len(asked.Messages) > 0 {
				t.Error("a model was asked, which costs money")
			}
		}
	}
}

func TestPromptsThatAreNotRegisteredAreNamed(t *testing.T) {
	d := data.Default()
	r := newRig(t, "OPENAI_API_KEY=sk-any")
	s := fakeMLflow(t, r)
	c, err := mlflow.New(mlflow.Config{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	register := func(name, text string) {
		t.Helper()
		if _, err := c.CreatePromptVersion(t.Context(), mlflow.NewPromptVersion{Name: name, Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	register(d.StageA.Name, d.StageA.Content)
	names(t, r.probe(t, "prompts"), Warn, "does not have "+d.StageB.Name+" with the text "+d.StageB.SHA256()[:12]+"… (used by the next job)", "mlflowctl prompts push")
	register(d.StageB.Name, d.StageB.Content)
	names(t, r.probe(t, "prompts"), OK, "2 prompts are used")

	// A job of last week used another text.
	r.database(t, func(ctx context.Context, st *store.Store) {
		job(ctx, t, st)
		exec(ctx, t, st, `INSERT INTO stages (job_id, stage, attempt, started_at, ended_at, analysis) VALUES (1, 'stage_a', 1, 1, 2, ?)`,
			`{"prompt_name":"`+d.StageA.Name+`","prompt_sha256":"0123456789abcdef"}`)
	})
	names(t, r.probe(t, "prompts"), Warn, d.StageA.Name+" with the text 0123456789ab… (used by 1 stage, last by job 1)")
	register(d.StageA.Name, "a third text")
	names(t, newRig(t, "MLFLOW_TRACKING_URI="+s.URL).probe(t, "prompts"), Skip, "no recent job used a prompt")
}

// workspace is a Slack, and the settings of a worker in it.
func workspace(t *testing.T, cfg slackfake.Config) *rig {
	t.Helper()
	w := slackfake.New(cfg)
	s := httptest.NewServer(w)
	t.Cleanup(func() { w.Close(); s.Close() })
	return newRig(t, "SLACK_BOT_TOKEN=xoxb-fake", "SLACK_APP_TOKEN=xapp-fake", "SLACK_API_URL="+s.URL+"/api/", "TECHNOSHARE_CHANNEL_ID=C0TECHSHARE")
}

func TestFailuresOfSlackAreNamed(t *testing.T) {
	well := workspace(t, slackfake.Config{})
	for _, probe := range []string{"slack-token", "slack-scopes", "slack-channels", "slack-sockets"} {
		found := map[string]string{
			"slack-token": "it is commentator in the workspace Fake", "slack-scopes": "the app may channels:history",
			"slack-channels": "the app reads C0TECHSHARE", "slack-sockets": "0 are open, and no worker runs here",
		}[probe]
		names(t, well.probe(t, probe), OK, found)
	}
	for _, c := range []struct {
		name, probe string
		cfg         slackfake.Config
		lines       []string
		want        Status
		found, fix  string
	}{
		{"wrong token", "slack-token", slackfake.Config{}, []string{"SLACK_BOT_TOKEN=xoxb-old"}, Fail, "invalid_auth", "OAuth & Permissions"},
		{"no Slack", "slack-token", slackfake.Config{}, []string{"SLACK_API_URL=http://" + closed(t) + "/api/"}, Fail, "Slack cannot be reached", "network"},
		{"no token", "slack-token", slackfake.Config{}, []string{"SLACK_BOT_TOKEN="}, Skip, "there is no SLACK_BOT_TOKEN", ""},
		{"may not write", "slack-scopes", slackfake.Config{Scopes: []string{"channels:history", "reactions:read"}}, nil, Fail, "chat:write (post comments), groups:history", "install the app again"},
		{"private channels", "slack-scopes", slackfake.Config{Scopes: []string{"chat:write", "channels:history", "reactions:read"}}, nil, Warn, "lacks groups:history", "manifest.json"},
		{"may not react", "slack-scopes", slackfake.Config{Scopes: []string{"chat:write", "channels:history", "groups:history", "reactions:read"}}, []string{"FAILURE_NOTICE=reaction"}, Fail, "reactions:write", "manifest.json"},
		{"no such channel", "slack-channels", slackfake.Config{}, []string{"TECHNOSHARE_CHANNEL_ID=C0TECHSHARE,C0ELSEWHERE"}, Fail, "C0ELSEWHERE: ", "Invite the app"},
		{"no way to receive", "slack-sockets", slackfake.Config{}, []string{"SLACK_APP_TOKEN="}, Warn, config.NothingReceived, "connections:write"},
		{"HTTP", "slack-sockets", slackfake.Config{}, []string{"SLACK_APP_TOKEN=", "SLACK_SIGNING_SECRET=x"}, Skip, "Socket Mode is not used", ""},
		{"no Slack at all", "slack-sockets", slackfake.Config{}, []string{"SLACK_APP_TOKEN=", "SLACK_BOT_TOKEN="}, Skip, "Socket Mode is not used", ""},
		{"wrong app token", "slack-sockets", slackfake.Config{}, []string{"SLACK_APP_TOKEN=xapp-old"}, Fail, "Slack refuses SLACK_APP_TOKEN", "connections:write"},
	} {
		t.Run(c.name, func(t *testing.T) {
			names(t, workspace(t, c.cfg).set(c.lines...).probe(t, c.probe), c.want, c.found, c.fix)
		})
	}
}

func TestTroubleOfSlackIsNoWrongToken(t *testing.T) {
	for _, c := range []struct {
		name, body, found string
		status            int
	}{
		{"outage", "upstream connect error", "HTTP 503 Service Unavailable", http.StatusServiceUnavailable},
		{"a proxy's page", "<html>Sign in</html>", "not JSON", http.StatusOK},
		{"a proxy's refusal", "<html>Forbidden</html>", "HTTP 403 Forbidden", http.StatusForbidden},
		{"Slack's own trouble", `{"ok":false,"error":"internal_error"}`, "internal_error", http.StatusOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			})
			got := newRig(t, "SLACK_BOT_TOKEN=xoxb-fake", "SLACK_API_URL="+address+"/api/").probe(t, "slack-token")
			names(t, got, Fail, c.found, "slack-status.com", "SLACK_API_URL")
			if strings.Contains(got.Fix, "Copy the bot token") {
				t.Errorf("the token is to be copied: %s", got.Fix)
			}
		})
	}
}

// One channel is refused, and Slack has trouble with another one.
func TestEachChannelHasItsRemedy(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "auth.test"):
			_, _ = w.Write([]byte(`{"ok":true,"user":"commentator","team":"Fake"}`))
		case r.FormValue("channel") == "C0REFUSED":
			_, _ = w.Write([]byte(`{"ok":false,"error":"not_in_channel"}`))
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	for _, order := range []string{"C0REFUSED,C0TROUBLE", "C0TROUBLE,C0REFUSED"} {
		r := newRig(t, "SLACK_BOT_TOKEN=xoxb-fake", "SLACK_API_URL="+address+"/api/", "TECHNOSHARE_CHANNEL_ID="+order)
		got := r.probe(t, "slack-channels")
		names(t, got, Fail, "C0REFUSED: ", "Invite the app", "slack-status.com")
		names(t, got, Fail, "HTTP 503")
	}
}

// The date in Slack's answers is compared with this host's clock, too.
func TestAClockThatIsNotSlacksIsNamed(t *testing.T) {
	r := workspace(t, slackfake.Config{})
	r.now = func() time.Time { return time.Now().Add(-time.Hour) }
	names(t, r.probe(t, "clock"), Fail, "ahead of this host's", "NTP")
}
