package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/intake"
	"github.com/technoshare/commentator/internal/slack"
)

// receiver holds the parts that take what Slack sends.
type receiver struct {
	intake  *intake.Intake
	sockets *slack.Sockets  // nil: no Socket Mode
	server  *http.Server    // nil: no HTTP
	catchUp *intake.CatchUp // nil: nothing is fetched

	cancel context.CancelFunc
	tasks  sync.WaitGroup
	failed chan error // why a part cannot go on
}

// receive starts to take events from Slack; without settings for that it says so and returns a
// receiver that does nothing.
func (w *worker) receive(ctx context.Context) (*receiver, error) {
	cfg := w.app.cfg
	r := &receiver{failed: make(chan error, 3)}
	if !cfg.ReceivesEvents() {
		level := slog.LevelInfo // without any setting of Slack, nobody expects more
		if cfg.PostsOnly() {
			level = slog.LevelWarn
		}
		w.app.log.Log(ctx, level, config.NothingReceived)
		return r, nil
	}
	settings := intakeConfig(cfg)
	settings.Store, settings.Enqueue, settings.Telemetry, settings.Logger = w.store, w.queue.Enqueue, w.telemetry, w.app.log
	settings.React = w.feedback.React
	r.intake = intake.New(settings)
	if err := r.intake.Start(ctx); err != nil {
		return nil, err
	}
	listener, err := w.listen(ctx, r)
	if err != nil {
		return nil, err
	}
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.cancel = cancel
	w.startHistory(background, r)
	if cfg.SlackAppToken != "" {
		r.sockets = slack.NewSockets(slack.SocketsConfig{
			AppToken: cfg.SlackAppToken, APIURL: cfg.SlackAPIURL, Sink: r.intake, Reconnected: r.reconnected, Logger: w.app.log,
		})
		r.run(func() error { return r.sockets.Run(background) })
	}
	if r.server != nil {
		r.run(func() error {
			if err := r.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("take events over HTTP: %w", err)
			}
			return nil
		})
		w.app.log.InfoContext(ctx, "taking events over HTTP", "address", "http://"+listener.Addr().String()+slack.EventsPath)
	}
	return r, nil
}

// listen opens the address for events over HTTP.
func (w *worker) listen(ctx context.Context, r *receiver) (net.Listener, error) {
	cfg := w.app.cfg
	if cfg.SlackSigningSecret == "" {
		return nil, nil
	}
	var how net.ListenConfig
	listener, err := how.Listen(ctx, "tcp", cfg.SlackEventsAddr)
	if err != nil {
		return nil, fmt.Errorf("take events over HTTP: %w; set SLACK_EVENTS_ADDR to another address", err)
	}
	mux := http.NewServeMux()
	mux.Handle(slack.EventsPath, slack.NewEvents(slack.EventsConfig{
		SigningSecret: cfg.SlackSigningSecret, Sink: r.intake, Logger: w.app.log,
	}))
	r.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(w.app.log.Handler(), slog.LevelDebug),
	}
	return listener, nil
}

// startHistory asks Slack as whom the app writes and fetches messages that were missed.
func (w *worker) startHistory(ctx context.Context, r *receiver) {
	cfg := w.app.cfg
	if cfg.SlackBotToken == "" {
		return
	}
	history := slack.NewHistory(slack.HistoryConfig{Token: cfg.SlackBotToken, APIURL: cfg.SlackAPIURL})
	r.run(func() error { return r.intake.Introduce(ctx, history) })
	if cfg.BackfillMaxAge == 0 {
		return
	}
	r.catchUp = intake.NewCatchUp(intake.CatchUpConfig{
		Intake: r.intake, Store: w.store, History: history, Channels: cfg.Channels, MaxAge: cfg.BackfillMaxAge,
		Now: time.Now, Logger: w.app.log,
	})
	r.run(func() error { r.catchUp.Run(ctx); return nil })
}

func (r *receiver) run(task func() error) {
	r.tasks.Go(func() {
		if err := task(); err != nil {
			r.failed <- err
		}
	})
}

// reconnected is called when no Socket Mode connection was open for a while.
func (r *receiver) reconnected() {
	if r.catchUp != nil {
		r.catchUp.Again()
	}
}

// stop takes nothing more from Slack. What is being written is finished, as far as ctx
// allows.
func (r *receiver) stop(ctx context.Context) error {
	if r == nil || r.cancel == nil {
		return nil
	}
	var err error
	if r.server != nil {
		err = r.server.Shutdown(ctx)
	}
	r.cancel()
	r.tasks.Wait()
	if errors.Is(err, context.DeadlineExceeded) {
		err = r.server.Close() // Slack sends again what was cut off
	}
	return err
}
