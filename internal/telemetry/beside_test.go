package telemetry

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"pgregory.net/rapid"
)

// The job goes on while its spans are described; the stage's message has everything, in the
// order of the calls, and spans end when the work ended, not when they were described.
func TestSpansAreDescribedBesideTheWork(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	synctest.Test(t, func(t *testing.T) {
		spans := endStage(t, p, testStages(10)[1], func(ctx context.Context) {
			start := time.Now()
			_, d := StartDetail(ctx, "chat", trace.SpanKindClient)
			d.Describe(func(d Description) {
				time.Sleep(time.Hour)
				d.Set(attribute.String("a", "described"), attribute.String("b", "described"))
				d.SetArray("c", d.Mask(`"jane@example.org"`), d.Mask(`1`))
			})
			time.Sleep(time.Second)
			d.Set(attribute.String("b", "set"))
			d.End(errors.New("jane@example.org is away"))
			if took := time.Since(start); took != time.Second {
				t.Errorf("the work waited for %v", took-time.Second)
			}
		})
		s := spans[1]
		got := values(s.Attributes)
		if got["a"] != "described" || got["b"] != "set" || got["c"] != `["[redacted:email]",1]` {
			t.Errorf("attributes are %v", got)
		}
		if s.Status.GetMessage() != "[redacted:email] is away" {
			t.Errorf("status is %v", s.Status)
		}
		if took := time.Duration(s.EndTimeUnixNano - s.StartTimeUnixNano); took != time.Second {
			t.Errorf("the span took %v", took)
		}
	})
}

// A defect in what describes a span costs its attributes, not the worker.
func TestPanicInADescriptionIsContained(t *testing.T) {
	var log bytes.Buffer
	p, _ := newTestProvider(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	spans := endStage(t, p, testStages(10)[1], func(ctx context.Context) {
		_, d := StartDetail(ctx, "chat", trace.SpanKindClient)
		d.Describe(func(Description) { panic("a defect") })
		d.Set(attribute.Int("after", 1))
		d.End(nil)
	})
	if got := values(spans[1].Attributes)["after"]; got != int64(1) {
		t.Errorf("what came behind the panic is %v", got)
	}
	if !strings.Contains(log.String(), "a detail span is not described") || !strings.Contains(log.String(), "a defect") {
		t.Errorf("logged is %q", log.String())
	}
}

// Texts that were masked one by one make the attribute that they would make together.
func TestArrayIsWhatItsPartsAreTogether(t *testing.T) {
	var r recorder
	rapid.Check(t, func(t *rapid.T) {
		var items []Text
		var parts []string
		for range rapid.IntRange(0, 6).Draw(t, "items") {
			s := strings.Repeat(rapid.SampledFrom([]string{"a", "é", "日", "🙂"}).Draw(t, "rune"), rapid.IntRange(0, 30_000).Draw(t, "times"))
			items, parts = append(items, Text{masked(s)}), append(parts, s)
		}
		want := cutText("["+strings.Join(parts, ",")+"]", maxText)
		if got := string(r.limited(jsonArray(items))); got != want {
			t.Fatalf("%d bytes, want %d", len(got), len(want))
		}
	})
}
