package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/redact"
)

// app is what every command works with.
type app struct {
	cfg    config.Config
	cfgErr error // what is wrong with the settings; only the command config runs in spite of it
	log    *slog.Logger
	// redactor masks what is logged and recorded; nil: nothing.
	redactor *redact.Redactor

	stdin          io.Reader
	stdout, stderr io.Writer
}

// newLogHandler writes to standard error: coloured for a terminal, JSON for a service, else text.
func newLogHandler(w io.Writer, service bool, level slog.Leveler) slog.Handler {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: "15:04:05"})
	}
	if service {
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})
	}
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})
}
