package intake

import (
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/store"
)

// Look says what would become of a message that is not known, and returns the links that
// would become jobs. It knows nothing of earlier messages, so that links that have been
// commented on not long ago are among them.
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
