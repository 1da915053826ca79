package redact

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

type valuer struct{}

func (valuer) LogValue() slog.Value { return slog.StringValue("valuer@example.org") }

// Whatever way a text takes into a log, it is masked; what needs no mask keeps its type.
func TestLogsAreMasked(t *testing.T) {
	for _, make := range []func(*bytes.Buffer) slog.Handler{
		func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
	} {
		var out bytes.Buffer
		inner := make(&out)
		log := slog.New(New(nil).Handler(inner)).With("with", "with@example.org").WithGroup("g").With("more", "more@example.org")
		log.Warn("message to message@example.org",
			"string", "string@example.org",
			"error", fmt.Errorf("send: %w", errors.New("error@example.org refused")),
			slog.Group("group", "in", "group@example.org"),
			"list", []string{"list@example.org"},
			"struct", struct{ Mail string }{"struct@example.org"},
			"pointer", &struct{ Mail *string }{new("pointer@example.org")},
			"map", map[string]string{"a": "map@example.org"},
			"bytes", []byte("bytes@example.org"),
			"valuer", valuer{},
			"key@example.org", 1,
			"number", 12, "plain", []int{1, 2},
		)
		if strings.Contains(out.String(), "@example.org") || strings.Contains(out.String(), "Ynl0ZXNAZXhhbXBsZS5vcmc") {
			t.Errorf("a log shows an address: %s", &out)
		}
		if n := strings.Count(out.String(), "[redacted:email]"); n < 10 {
			t.Errorf("only %d masks: %s", n, &out)
		}
		if !strings.Contains(out.String(), "12") || !strings.Contains(out.String(), "1") {
			t.Errorf("numbers are gone: %s", &out)
		}
		out.Reset()
		slog.New((*Redactor)(nil).Handler(inner)).Warn("to a@example.org")
		if !strings.Contains(out.String(), "a@example.org") {
			t.Errorf("a nil Redactor masks: %s", &out)
		}
	}
}
