package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

// Rules may come from a pipe, as of a shell's <(…), which can be read once.
func TestRedactTakesRulesFromAPipe(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, redaction := range []string{"on", "off"} {
		from, to, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer from.Close()
		if _, err := to.WriteString("rules:\n  - name: ticket\n    regex: 'TICKET-[0-9]+'\n"); err != nil {
			t.Fatal(err)
		}
		if err := to.Close(); err != nil {
			t.Fatal(err)
		}
		environ := []string{"HOME=" + t.TempDir(), "REDACTION=" + redaction, fmt.Sprintf("REDACTION_FILE=/dev/fd/%d", from.Fd())}
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"redact", "-"}, environ, strings.NewReader("see TICKET-4711\n"), &stdout, &stderr)
		if code != exitOK || strings.Contains(stdout.String(), "4711") {
			t.Errorf("REDACTION=%s: exit code %d, %q, %s", redaction, code, &stdout, &stderr)
		}
	}
}

// The place of a finding is counted in lines and characters, from the one before it.
func TestRedactListsWhereAFindingIs(t *testing.T) {
	const text = "jane@example.com, jürgen: joe@example.com\n\nÄrger mit 木 ann@example.com und\n  bob@example.com bob@example.com"
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"redact", "--list", "-"}, []string{"HOME=" + t.TempDir()}, strings.NewReader(text), &stdout, &stderr)
	want := ""
	for _, place := range []string{"1:1", "1:27", "3:13", "4:3", "4:19"} {
		want += "-:" + place + ": email, "
		if strings.HasPrefix(place, "1:1") {
			want += "16 bytes\n"
		} else {
			want += "15 bytes\n"
		}
	}
	if code != exitFailed || stdout.String() != want {
		t.Errorf("exit code %d, %s%s, want %s", code, &stdout, &stderr, want)
	}
}
