package apply_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// A server that refuses everybody is told of once, however often plans come again, and once
// more when it takes them; a server that is away is not told of in this way.
func TestRefusalIsToldOnce(t *testing.T) {
	e, server := faulty(t)
	core, logs := observer.New(zapcore.InfoLevel)
	now := time.UnixMilli(startMS)
	e.cfg.Now, e.cfg.Logger = func() time.Time { return now }, zap.New(core)
	e.restart(t)
	job := 0
	for _, c := range []struct {
		status int
		want   []string
	}{
		{http.StatusBadGateway, nil},
		{http.StatusUnauthorized, []string{"MLflow refuses every request"}},
		{http.StatusOK, []string{"MLflow takes requests now"}},
		{http.StatusForbidden, []string{"MLflow refuses every request"}},
	} {
		server.Fail(func(*http.Request) *mlflowtest.Fault {
			if c.status == http.StatusOK {
				return nil
			}
			return &mlflowtest.Fault{Status: c.status, Body: "no"}
		})
		for range 5 {
			now = now.Add(time.Minute)
			job++ // what MLflow has would cost no request
			if err := e.Apply(t.Context(), e.plan(job)); (err == nil) != (c.status == http.StatusOK) {
				t.Errorf("%d: %v", c.status, err)
			}
		}
		var got []string
		for _, entry := range logs.TakeAll() {
			text, _, _ := strings.Cut(entry.Message, " until")
			got = append(got, text)
		}
		if strings.Join(got, "|") != strings.Join(c.want, "|") {
			t.Errorf("%d: log is %q, want %q", c.status, got, c.want)
		}
	}
}
