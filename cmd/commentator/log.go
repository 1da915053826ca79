package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/logfile"
	"github.com/technoshare/commentator/internal/telemetry"
)

// openLog makes the logger. It ends what it started when the returned function is called.
func (a *app) openLog() (end func(), err error) {
	end = func() {}
	out := a.stderr
	var file *logfile.File
	if a.service && a.cfg.LogFile != "" && a.cfgErr == nil {
		if file, err = logfile.Open(a.cfg.LogFile); err != nil {
			return end, err
		}
		out = file
	}
	a.log = slog.New(a.redactor.Handler(telemetry.TraceIDs(newLogHandler(out, a.service, a.cfg))))
	if file != nil {
		stop := onHangUp(func() {
			if err := file.Reopen(); err != nil {
				a.log.WarnContext(context.Background(), "the log file is not opened anew; the old one is used", "err", err)
			}
		})
		end = func() { stop(); _ = file.Close() } // what is logged later has no place
	}
	return end, nil
}

// onHangUp calls fn at each SIGHUP, which otherwise ends the process, until stop is called.
func onHangUp(fn func()) (stop func()) {
	signals, done, ended := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		defer close(ended)
		for {
			select {
			case <-signals:
				fn()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
		<-ended
	}
}

// newLogHandler writes as LOG_FORMAT says; auto is coloured for a terminal, JSON for a
// service, else text.
func newLogHandler(w io.Writer, service bool, cfg config.Config) slog.Handler {
	terminal := isTerminal(w)
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	switch format := strings.ToLower(cfg.LogFormat); {
	case format == "json", format != "text" && service && !terminal:
		return slog.NewJSONHandler(w, options)
	case terminal:
		return tint.NewTextHandler(w, &tint.Options{Level: cfg.LogLevel, TimeFormat: "15:04:05"})
	default:
		return slog.NewTextHandler(w, options)
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
