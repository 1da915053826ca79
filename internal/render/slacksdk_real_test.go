//go:build realserver

package render

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/commentator"
)

// The models of Slack's own Python client accept the blocks of any comment and notice: each is of
// a kind that they know, has no field that they don't, and is within the limits that they check.
func TestRealSlackClientAcceptsEveryPayload(t *testing.T) {
	const count = 400
	dir := filepath.Join("testdata", "slack_sdk")
	install := exec.Command(filepath.Join("..", "..", "scripts", "python_env.sh"), "slack-python", filepath.Join(dir, "requirements.txt"))
	install.Stderr = os.Stderr
	out, err := install.Output()
	if err != nil {
		t.Fatalf("install slack_sdk: %v", err)
	}

	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	messages := 0
	write := func(m commentator.RenderedMessage) {
		messages++
		if err := encoder.Encode(map[string]any{"text": m.Text, "blocks": m.Blocks}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range examples {
		for _, m := range Reply(c, "https://example.org/").Messages {
			write(m)
		}
	}
	for seed := range count {
		link := links().Example(seed)
		for _, m := range Reply(comments(seed%4 != 0).Example(seed), link).Messages {
			write(m)
		}
		write(Notice(commentator.Job{URL: link, Outcome: commentator.OutcomeError, ErrorType: "http_404"}))
	}

	check := exec.Command(strings.TrimSpace(string(out)), filepath.Join(dir, "check.py"))
	check.Stdin = &lines
	said, err := check.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	last := bufio.NewScanner(bytes.NewReader(said))
	line := ""
	for last.Scan() {
		line = last.Text()
	}
	if accepted, err := strconv.Atoi(line); err != nil || accepted != messages {
		t.Errorf("%q of %d messages are accepted", line, messages)
	}
	t.Logf("%d messages", messages)
}
