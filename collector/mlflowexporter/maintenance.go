package mlflowexporter

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
)

const (
	// maintenanceInterval is how often uptime is counted and stale runs are looked for.
	maintenanceInterval = time.Minute
	// pingInterval is how often MLflow is asked whether it is there, unless a request in the
	// last half of it has shown that.
	pingInterval = 15 * time.Second
	// pruneInterval is how often the ledger forgets what is old.
	pruneInterval = time.Hour
	// ledgerMemory is for how long the ledger remembers a job, and a verdict waits for one at most. Of
	// older ones MLflow is asked.
	ledgerMemory = 30 * 24 * time.Hour

	// reasonForgotten is that of jobs that ran, or verdicts that waited, when a ledger in memory was full.
	reasonForgotten = "forgotten"
)

// maintenance ends stale runs, keeps the ledger small and asks after MLflow.
type maintenance struct {
	applier    *apply.Applier
	ledger     *ledger.Ledger
	staleAfter time.Duration // 0: never
	count      func(reason string, n int64)
	log        *zap.Logger

	pruned    time.Time // when the ledger was pruned last
	forgotten int       // as Stats of the ledger had it last
}

// run works until ctx ends.
func (m *maintenance) run(ctx context.Context) {
	ticker, pings := time.NewTicker(maintenanceInterval), time.NewTicker(pingInterval)
	defer ticker.Stop()
	defer pings.Stop()
	m.applier.Ping(ctx, pingInterval/2)
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			m.once(ctx, now)
		case <-pings.C:
			m.applier.Ping(ctx, pingInterval/2)
		}
	}
}

// once does what is due, maintenanceInterval after it was called last. Time counts for stale runs
// only while news that comes is written.
func (m *maintenance) once(ctx context.Context, now time.Time) {
	if m.staleAfter > 0 && m.applier.Healthy() {
		if err := m.ledger.AddUptime(ctx, maintenanceInterval); err != nil {
			m.log.Warn("Uptime was not counted, and no stale run is ended", zap.Error(err))
		} else if err := m.applier.Reap(ctx, m.staleAfter); err != nil && ctx.Err() == nil {
			m.log.Warn("Stale runs were not ended; they are tried again", zap.Error(err))
		}
	}
	if m.applier.Healthy() {
		// Those that `stale_after` has not ended: it is 0, or longer, or the Collector was not there.
		if err := m.applier.GiveUp(ctx, now.Add(-ledgerMemory)); err != nil && ctx.Err() == nil {
			m.log.Warn("Verdicts that wait for a job were not given up; they are tried again", zap.Error(err))
		}
	}
	m.tellForgotten()
	if now.Sub(m.pruned) < pruneInterval {
		return
	}
	m.pruned = now
	removed, err := m.ledger.Prune(ctx, now, ledgerMemory)
	if err != nil && ctx.Err() == nil {
		m.log.Warn("The ledger was not pruned", zap.Error(err))
	} else if removed > 0 {
		m.log.Info("The ledger forgot what is old", zap.Int("traces", removed))
	}
}

// tellForgotten counts what the ledger forgot for want of room, and says so once.
func (m *maintenance) tellForgotten() {
	n := m.ledger.Stats().Forgotten
	if n == m.forgotten {
		return
	}
	if m.forgotten == 0 {
		m.log.Warn("More jobs run than the ledger in memory has room for: those without news for longest are forgotten. Their runs are looked for in MLflow when there is news, but `stale_after` does not end them, and verdicts that wait for them are lost. Set `storage`")
	}
	m.count(reasonForgotten, int64(n-m.forgotten))
	m.forgotten = n
}
