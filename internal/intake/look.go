package intake

import (
	"context"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/store"
)

// Look says what would become of a message that is not known, and returns the links that
// would become jobs. It knows nothing of earlier messages, so that links that have been
// commented on not long ago are among them; an Onlooker does.
func (in *Intake) Look(p slack.Posted) (Outcome, []store.Link) {
	if why := in.refusal(p, nil); why != "" {
		return why, nil
	}
	links := in.links(p.Text)
	if len(links) == 0 {
		return NoLinks, nil
	}
	return Accepted, links[:min(in.rules.Limit, len(links))]
}

// Onlooker says what has become of messages, or what would if they came now, one after the other.
// It writes nothing.
type Onlooker struct {
	in *Intake
	db *store.ReadOnly
	// soon are the pages of messages before that would become jobs.
	soon []soon
}

type soon struct {
	channel, key, ts string
	at               time.Time
}

// Onlooker looks at a job database as well. Nil: there is none yet.
func (in *Intake) Onlooker(db *store.ReadOnly) *Onlooker { return &Onlooker{in: in, db: db} }

// Prospect is what has become of a link, or what would.
type Prospect struct {
	URL     string // empty: the message holds no link
	Outcome string // LinkJob, LinkCooldown, LinkOverLimit or LinkNoJob
	// Job is with LinkJob the job that the link has, and with LinkCooldown the one of its page. 0: it
	// is still to come.
	Job int64
	// TS is with LinkCooldown the message that is to have that job. Empty: there is Job.
	TS string
}

// Look is that of Intake, with what would become of each link.
func (o *Onlooker) Look(ctx context.Context, p slack.Posted) (Outcome, []Prospect, error) {
	outcome, _ := o.in.Look(p)
	if outcome != Accepted {
		return outcome, nil, nil
	}
	found, err := o.db.Foresee(ctx, p.Message, p.EditedTS, o.in.rules)
	if err != nil {
		return outcome, nil, err
	}
	var all []Prospect
	for _, f := range found {
		one := Prospect{URL: f.URL, Outcome: LinkJob, Job: f.Job}
		switch {
		case f.OverLimit:
			one.Outcome = LinkOverLimit
		case f.Cooled:
			one.Outcome = LinkCooldown
		case f.Left:
			one.Outcome = LinkNoJob
		case f.Job == 0:
			if one.TS = o.take(p, f.Key); one.TS != "" {
				one.Outcome = LinkCooldown
			}
		}
		all = append(all, one)
	}
	return outcome, all, nil
}

// take notes that a page would become a job, unless a message before, which it returns, keeps it from
// that.
func (o *Onlooker) take(p slack.Posted, key string) (ts string) {
	at := p.ReceivedAt
	if written, err := commentator.ParseTS(p.TS); err == nil && o.db == nil { // as though somebody had listened all the time
		at = written
	}
	for _, s := range o.soon {
		if s.channel == p.Channel && s.key == key && key != "" && s.at.After(at.Add(-o.in.rules.Cooldown)) {
			return s.ts
		}
	}
	o.soon = append(o.soon, soon{p.Channel, key, p.TS, at})
	return ""
}
