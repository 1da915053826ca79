package mlflowexporter

import (
	"errors"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"
)

// status tells the Collector, and the log, when MLflow goes away and when it is back. The
// Collector knows an exporter per signal, each by the host that it was started with. A
// server that is away is never a permanent error: when a person mends what stands in the
// way, everything goes on without a restart.
type status struct {
	log *zap.Logger

	mu    sync.Mutex // held while reporting, so that the last report is the latest state
	hosts []component.Host
	away  string // what was reported last; empty: nothing, or that it is back
}

// join reports to a host from now on. What starts is taken to be well by the Collector.
func (s *status) join(host component.Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts = append(s.hosts, host)
	if s.away != "" {
		report(host, s.away)
	}
}

// end ends all reports: what stops is neither well nor ill.
func (s *status) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts = nil
}

// update reports the state when MLflow went away or came back since the last report; that
// the reason is another one now is no news. State is asked for under the lock.
func (s *status) update(state func() (away string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := state()
	if (now == "") == (s.away == "") {
		return
	}
	s.away = now
	if now == "" {
		s.log.Info("MLflow is back")
	} else {
		s.log.Warn("MLflow is away", zap.String("reason", now))
	}
	for _, h := range s.hosts {
		report(h, now)
	}
}

func report(host component.Host, away string) {
	event := componentstatus.NewEvent(componentstatus.StatusOK)
	if away != "" {
		event = componentstatus.NewRecoverableErrorEvent(errors.New(away))
	}
	componentstatus.ReportStatus(host, event)
}
