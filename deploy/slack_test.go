package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	slackgo "github.com/slack-go/slack"

	"github.com/technoshare/commentator/internal/slack"
)

// The app's manifest is one by slack-go's account, its events are those that the worker reads,
// and each of them has the scope that Slack wants for it.
func TestSlackManifestFitsTheWorker(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("slack", "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m slackgo.Manifest
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		t.Fatal(err)
	}
	if !m.Settings.SocketModeEnabled {
		t.Error("Socket Mode is off")
	}
	scopes := m.OAuthConfig.Scopes.Bot
	if !slices.Contains(scopes, "chat:write") {
		t.Error("the app cannot post")
	}
	events := m.Settings.EventSubscriptions.BotEvents
	if len(events) == 0 {
		t.Error("the app hears nothing")
	}
	needs := map[string]string{
		"message.channels": "channels:history", "message.groups": "groups:history",
		"reaction_added": "reactions:read", "reaction_removed": "reactions:read",
	}
	for _, event := range events {
		if !slices.Contains(scopes, needs[event]) {
			t.Errorf("event %s needs scope %q", event, needs[event])
		}
		kind, _, _ := strings.Cut(event, ".")
		e, err := slack.ParseEnvelope(fmt.Appendf(nil, `{"type":"event_callback","event":{"type":%q,"channel":"C1","ts":"1.0","user":"U1",
			"reaction":"+1","item":{"channel":"C1","ts":"1.0"}}}`, kind), time.Now())
		if err != nil || e.Kind == slack.KindOther {
			t.Errorf("the worker does not use event %s", event)
		}
	}
}
