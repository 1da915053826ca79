package main

import (
	"context"
	"errors"

	"github.com/technoshare/commentator/internal/health"
)

// startHealth lets those who watch the worker ask it, when there is an address for it. Ready
// are the conditions beside the queue's.
func (w *worker) startHealth(ready ...health.Check) (err error) {
	if w.app.cfg.MetricsAddr == "" {
		return nil
	}
	w.health, err = health.Start(health.Config{
		Addr:  w.app.cfg.MetricsAddr,
		Alive: []health.Check{{Name: "database", Check: w.store.Writable}},
		Ready: append([]health.Check{{Name: "queue", Check: func(context.Context) error {
			if !w.working.Load() {
				return errors.New("the queue is not started")
			}
			return nil
		}}}, ready...),
		Metrics: w.telemetry.MetricsHandler(),
		Logger:  w.app.log,
	})
	if err != nil {
		return usageError{err}
	}
	w.app.log.Info("health and metrics are answered", "address", w.health.Addr())
	return nil
}

// connected is the condition that Slack can deliver, if it is to.
func (w *worker) connected(context.Context) error {
	if !w.app.cfg.ReceivesEvents() {
		return nil
	}
	switch r := w.receiver.Load(); {
	case r == nil:
		return errors.New("events of Slack are not taken yet")
	case r.sockets != nil && r.sockets.Open() == 0:
		return errors.New("no Socket Mode connection is open")
	}
	return nil
}
