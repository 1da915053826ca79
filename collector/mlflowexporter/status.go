package mlflowexporter

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
)

// status tells the Collector, and the log, when MLflow goes away and when it is back. The
// Collector knows an exporter per signal, each by the host that it was started with. A
// server that is away is never a permanent error: when a person mends what stands in the
// way, everything goes on without a restart.
type status struct {
	log *zap.Logger

	mu    sync.Mutex // held while reporting, so that the last report is the latest state
	hosts []component.Host
	last  apply.State // that was reported
}

// join reports to a host from now on. What starts is taken to be well by the Collector.
func (s *status) join(host component.Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts = append(s.hosts, host)
	if ill := s.ill(host); ill != "" {
		report(host, ill)
	}
}

// ill is what is wrong for a host: MLflow is away, the disk of its queue takes nothing, or artifacts wait.
// Empty: nothing.
func (s *status) ill(host component.Host) string {
	if queue, ok := host.(interface{ Err() error }); ok && s.last.Away == "" {
		if err := queue.Err(); err != nil {
			return err.Error()
		}
	}
	return cmp.Or(s.last.Away, s.last.Files)
}

// disk reports that the disk of a host's queue takes nothing, or something again. While MLflow is away
// the host was told of that, and hears of the disk when MLflow is back.
func (s *status) disk(host component.Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.Away == "" && slices.Contains(s.hosts, host) {
		report(host, s.ill(host))
	}
}

// end ends all reports: what stops is neither well nor ill.
func (s *status) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts = nil
}

// update reports the state when MLflow went away, came back, or began or ended to refuse
// everything since the last report, and when artifacts began or ended to wait; that the reason is
// another one now is no news. State is asked for under the lock.
func (s *status) update(state func() apply.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := state()
	server := (now.Away == "") != (s.last.Away == "") || now.Refuses != s.last.Refuses
	files := now.Away == "" && (now.Files == "") != (s.last.Files == "")
	if now.Away != "" {
		now.Files = s.last.Files // it is not known meanwhile
	}
	if !server && !files {
		return
	}
	s.last = now
	if server {
		s.logServer(now)
	}
	switch {
	case !files:
	case now.Files == "":
		s.log.Info("No artifact waits any more")
	default:
		s.log.Warn("MLflow fails at artifacts each time while it does everything else; they wait at the end of the queue: look at its artifact store", zap.String("reason", now.Files))
	}
	for _, h := range s.hosts {
		report(h, s.ill(h))
	}
}

func (s *status) logServer(now apply.State) {
	switch {
	case now.Away == "":
		s.log.Info("MLflow is back")
	case now.Refuses:
		s.log.Error("MLflow refuses every request until the configuration is right: look at `endpoint`, `headers`, `auth`, `host_header` and `workspace`, or at the server's users; what comes stays in the queue", zap.String("reason", now.Away))
	default:
		s.log.Warn("MLflow is away", zap.String("reason", now.Away))
	}
}

func report(host component.Host, ill string) {
	event := componentstatus.NewEvent(componentstatus.StatusOK)
	if ill != "" {
		event = componentstatus.NewRecoverableErrorEvent(errors.New(ill))
	}
	componentstatus.ReportStatus(host, event)
}
