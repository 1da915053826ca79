package slack

import (
	"context"
	"errors"
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
type Retractor struct {
	cfg   RetractorConfig
	stuck map[replyPart]stuckReply // those that could not be deleted
}

// replyPart names a reply.
type replyPart struct {
	job  int64
	part int
}

type stuckReply struct {
	failures int
	next     time.Time // when it is tried again
	refused  bool      // the last answer was of those that a repetition hardly changes
}

// NewRetractor returns a Retractor.
func NewRetractor(cfg RetractorConfig) *Retractor {
	if cfg.Every == 0 {
		cfg.Every = 5 * time.Second
	}
	cfg.Logger = orSilent(cfg.Logger)
	return &Retractor{cfg: cfg}
}

// retractBatch is how many replies one look takes.
const retractBatch = 500

// hopeless are Slack's words for a message that no repetition deletes.
var hopeless = map[string]bool{"cant_delete_message": true, "compliance_exports_prevent_deletion": true}

// Run deletes what is due until ctx ends. What could not be deleted is tried again, less and
// less often, and holds nothing else up.
func (r *Retractor) Run(ctx context.Context) {
	for failures := 0; ; {
		if err := r.runOnce(ctx); err != nil {
			r.warn(ctx, "look for replies to delete", err)
			failures = min(failures+1, mostDoublings)
		} else {
			failures = 0
		}
		if pause.For(ctx, r.cfg.Every<<failures) != nil {
			return
		}
	}
}

// mostDoublings of RetractorConfig.Every are the longest pause: five minutes. For what Slack
// refuses, such as a channel that the app was removed from, refusedDoublings are: three hours.
const (
	mostDoublings    = 6
	refusedDoublings = 11
)

// runOnce tries each reply that is due once.
func (r *Retractor) runOnce(ctx context.Context) error {
	// Those that are stuck are the oldest, and must not be all that is looked at.
	due, err := r.cfg.Retractions.RetractionsDue(ctx, retractBatch+len(r.stuck))
	if err != nil {
		return err
	}
	stuck := make(map[replyPart]stuckReply, len(r.stuck))
	for _, reply := range due {
		key := replyPart{reply.JobID, reply.Part}
		s := r.stuck[key]
		if time.Now().Before(s.next) {
			stuck[key] = s
			continue
		}
		if err := r.retract(ctx, reply); err != nil {
			if s.failures == 0 || !s.refused {
				r.warn(ctx, "delete a reply", err, "job", reply.JobID, "reply", reply.ReplyTS)
			}
			stuck[key] = s.again(r.cfg.Every, commentator.IsFinal(err))
		}
	}
	r.stuck = stuck
	return nil
}

// again is the reply after one more failure.
func (s stuckReply) again(every time.Duration, refused bool) stuckReply {
	most := mostDoublings
	if refused {
		most = refusedDoublings
	}
	s.failures = min(s.failures+1, most)
	s.next, s.refused = time.Now().Add(every<<s.failures), refused
	return s
}

func (r *Retractor) retract(ctx context.Context, reply commentator.Reply) error {
	ts := reply.ReplyTS
	// A reply whose timestamp is not known may be there. A notice that was never asked for, or
	// was given without a message, is not.
	if ts == "" && reply.PostedAt.IsZero() && reply.Attempt > 0 {
		var err error
		k := mark{r.cfg.StoreID, reply.JobID, reply.Part}
		ts, err = r.cfg.API.find(ctx, k, reply.Channel, reply.ThreadTS, r.cfg.API.settled(reply.AskedAt))
		if err != nil && !errors.Is(err, errThreadGone) {
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
