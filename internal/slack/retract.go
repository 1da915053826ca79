package slack

import (
	"context"
	"log/slog"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/pause"
)

// Retractions is the memory of the replies that are to be deleted; package store implements it.
type Retractions interface {
	RetractionsDue(ctx context.Context, limit int) ([]commentator.Reply, error)
	Retracted(ctx context.Context, jobID int64, part int, at time.Time) error
}

// RetractorConfig configures a Retractor.
type RetractorConfig struct {
	API         *API
	Retractions Retractions
	StoreID     string // of the job database, which the metadata of its replies has
	// Every is the time between two looks at what is due. Default 5 s.
	Every  time.Duration
	Logger *slog.Logger // default: nothing is logged
}

// Retractor deletes replies whose link or message was taken back.
type Retractor struct{ cfg RetractorConfig }

// NewRetractor returns a Retractor.
func NewRetractor(cfg RetractorConfig) *Retractor {
	if cfg.Every == 0 {
		cfg.Every = 5 * time.Second
	}
	cfg.Logger = orSilent(cfg.Logger)
	return &Retractor{cfg}
}

// retractBatch is how many replies one look takes.
const retractBatch = 500

// hopeless are Slack's words for a message that no repetition deletes.
var hopeless = map[string]bool{"cant_delete_message": true, "compliance_exports_prevent_deletion": true}

// Run deletes what is due until ctx ends. What could not be deleted is tried again, less and
// less often while nothing succeeds.
func (r *Retractor) Run(ctx context.Context) {
	for failures := 0; ; {
		if r.runOnce(ctx) {
			failures = 0
		} else {
			failures = min(failures+1, 6)
		}
		if pause.For(ctx, r.cfg.Every<<failures) != nil {
			return
		}
	}
}

// runOnce reports whether all that is due is done. One that fails does not keep the others.
func (r *Retractor) runOnce(ctx context.Context) bool {
	due, err := r.cfg.Retractions.RetractionsDue(ctx, retractBatch)
	if err != nil {
		r.warn(ctx, "look for replies to delete", err)
		return false
	}
	ok := true
	for _, reply := range due {
		if err := r.retract(ctx, reply); err != nil {
			r.warn(ctx, "delete a reply", err, "job", reply.JobID, "reply", reply.ReplyTS)
			ok = false
		}
	}
	return ok
}

func (r *Retractor) retract(ctx context.Context, reply commentator.Reply) error {
	ts := reply.ReplyTS
	// A reply whose timestamp is not known may be there. A notice that was never asked for, or
	// was given without a message, is not.
	if ts == "" && reply.PostedAt.IsZero() && reply.Attempt > 0 {
		var err error
		k := mark{r.cfg.StoreID, reply.JobID, reply.Part}
		if ts, err = r.cfg.API.find(ctx, k, reply.Channel, reply.ThreadTS, r.cfg.API.settled(reply.AskedAt)); err != nil {
			return err
		}
	}
	if ts != "" {
		err := r.cfg.API.delete(ctx, reply.Channel, ts)
		switch code := slackCode(err); {
		case err == nil || gone[code]:
			r.cfg.Logger.InfoContext(ctx, "a reply is deleted, since its link was taken back", "job", reply.JobID, "reply", ts)
		case hopeless[code]:
			r.warn(ctx, "a reply stays though its link was taken back", err, "job", reply.JobID, "reply", ts)
		default:
			return err
		}
	}
	return r.cfg.Retractions.Retracted(context.WithoutCancel(ctx), reply.JobID, reply.Part, time.Now())
}

func (r *Retractor) warn(ctx context.Context, what string, err error, args ...any) {
	if ctx.Err() == nil {
		r.cfg.Logger.WarnContext(ctx, what, append(args, "error", commentator.ErrorCode(err), "err", err)...)
	}
}
