package store

import (
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/internal/telemetry/outboxtest"
)

func TestOutboxKeepsItsPromises(t *testing.T) {
	outboxtest.Contract(t, func(t *testing.T) (telemetry.Outbox, func(telemetry.Message, time.Time)) {
		s := newStore(t)
		return s, func(m telemetry.Message, at time.Time) {
			t.Helper()
			if _, err := s.db.ExecContext(t.Context(), insertRow, 1, m.Kind, at.UnixMicro(), m.Body, m.Size); err != nil {
				t.Fatal(err)
			}
		}
	})
}
