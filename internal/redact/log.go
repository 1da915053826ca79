package redact

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
)

// Handler returns a slog.Handler that masks messages and the values of all attributes,
// errors included, before next sees them. A nil Redactor returns next.
func (r *Redactor) Handler(next slog.Handler) slog.Handler {
	if r == nil {
		return next
	}
	return handler{next, r}
}

type handler struct {
	next slog.Handler
	r    *Redactor
}

func (h handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

func (h handler) Handle(ctx context.Context, rec slog.Record) error {
	masked := slog.NewRecord(rec.Time, rec.Level, h.r.Text(rec.Message), rec.PC)
	rec.Attrs(func(a slog.Attr) bool {
		masked.AddAttrs(h.attr(a))
		return true
	})
	return h.next.Handle(ctx, masked)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.next.WithAttrs(h.attrs(attrs)), h.r}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.next.WithGroup(name), h.r} }

func (h handler) attrs(attrs []slog.Attr) []slog.Attr {
	masked := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		masked[i] = h.attr(a)
	}
	return masked
}

func (h handler) attr(a slog.Attr) slog.Attr {
	return slog.Attr{Key: h.r.Text(a.Key), Value: h.value(a.Value.Resolve())}
}

// value masks a value of any kind. Of a struct, map or the like it cannot be known how the
// next handler writes it, so it becomes text as soon as something in it has to be masked.
func (h handler) value(v slog.Value) slog.Value {
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(h.r.Text(v.String()))
	case slog.KindGroup:
		return slog.GroupValue(h.attrs(v.Group())...)
	case slog.KindAny:
		switch x := v.Any().(type) {
		case error:
			return slog.StringValue(h.r.Text(x.Error()))
		case []byte:
			if masked := h.r.Text(string(x)); masked != string(x) {
				return slog.StringValue(masked)
			}
			return v
		}
		text := fmt.Sprintf("%+v", v.Any())
		encoded, err := json.Marshal(v.Any())
		if masked := h.r.Text(text); masked != text || err == nil && h.r.Text(string(encoded)) != string(encoded) {
			return slog.StringValue(masked)
		}
	}
	return v
}
