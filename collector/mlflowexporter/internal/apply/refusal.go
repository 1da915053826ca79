package apply

import (
	"errors"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/technoshare/commentator/internal/mlflow"
)

// refusal tells of a server that refuses every request until a person changes something: the
// plans stay in the queue meanwhile and come again and again, so it tells once, and once
// more when that is over.
type refusal struct{ told atomic.Bool }

func (r *refusal) note(log *zap.Logger, items []*ItemError) {
	waiting := false
	for _, item := range items {
		var e *mlflow.Error
		if errors.As(item, &e) && e.Configuration() {
			if !r.told.Swap(true) {
				log.Error("MLflow refuses every request until the configuration is right: look at `endpoint`, `headers`, `auth`, `host_header` and `workspace`, or at the server's users; what comes stays in the queue", zap.Error(e))
			}
			return
		}
		waiting = waiting || !item.Permanent
	}
	if !waiting && r.told.Swap(false) {
		log.Info("MLflow takes requests now")
	}
}
