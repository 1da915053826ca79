package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"github.com/technoshare/commentator/internal/config"
)

// app is what every command works with.
type app struct {
	cfg    config.Config
	cfgErr error // what is wrong with the settings; only the command config runs in spite of it
	log    *slog.Logger

	stdin          io.Reader
	stdout, stderr io.Writer
}

// newLogger writes to standard error: coloured for a terminal, JSON for a service, else text.
func newLogger(w io.Writer, service bool, level slog.Leveler) *slog.Logger {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: "15:04:05"}))
	}
	if service {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
