package main

import (
	"io"
	"log/slog"

	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/redact"
)

// app is what every command works with.
type app struct {
	cfg      config.Config
	warnings []config.Warning // of the settings; they were printed
	cfgErr   error            // what is wrong with the settings; only the command config runs in spite of it
	log      *slog.Logger
	// service says that the command is serve, which is left running.
	service bool
	// redactor masks what is logged and recorded; nil: nothing.
	redactor *redact.Redactor

	stdin          io.Reader
	stdout, stderr io.Writer
}
