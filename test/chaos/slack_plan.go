//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/technoshare/commentator/test/slackfake"
)

// Events of the fake Slack, each held until it is dealt with.
const (
	eventAsked     = event(slackfake.Asked)     // a post, before Slack takes it
	eventPosted    = event(slackfake.Posted)    // a post that Slack has and the worker does not know of
	eventAnswered  = event(slackfake.Answered)  // the answer to a post is on its way
	eventSearched  = event(slackfake.Searched)  // the worker looks into a thread
	eventHistory   = event(slackfake.History)   // the worker fetches what it missed
	eventDelivered = event(slackfake.Delivered) // an event is on its way to the worker
	eventAcked     = event(slackfake.Acked)     // the worker acknowledged an event
)

// kind of message, by what has to come of it.
type kind string

const (
	plain   kind = "links"       // up to three links: each is answered
	many    kind = "many links"  // five links: the first three are answered
	chatter kind = "no link"     // nothing happens
	robot   kind = "another bot" // its links are not answered
	preview kind = "preview"     // Slack tells that the preview of the link changed: it is answered once
	edited  kind = "link added"  // a link is added later: both are answered
	deleted kind = "deleted"     // the message is deleted: no reply is left
	inReply kind = "in a thread" // somebody answers in the thread of a message, without a link
)

// shares are how many of a hundred messages are of a kind.
var shares = []struct {
	kind  kind
	share int
}{{plain, 70}, {many, 2}, {chatter, 8}, {robot, 3}, {preview, 5}, {edited, 5}, {deleted, 4}, {inReply, 3}}

const maxLinks = 3 // MAX_LINKS_PER_MESSAGE

// said is a message that is written into the fake Slack.
type said struct {
	N       int    `json:"n"`
	Kind    kind   `json:"kind"`
	Channel string `json:"channel"`
	Links   []int  `json:"links"`           // editions in its text
	Added   []int  `json:"added,omitempty"` // by an edit
	TS      string `json:"ts"`              // when it is written

	// After is how long after it was written it is edited or deleted.
	After time.Duration `json:"-"`
}

// answered are the editions that have to be commented on in its thread.
func (s said) answered() []int {
	switch s.Kind {
	case robot, deleted:
		return nil
	case many:
		return s.Links[:maxLinks]
	}
	return append(append([]int(nil), s.Links...), s.Added...)
}

// messagesOf makes n messages in some channels.
func messagesOf(random *rand.Rand, n int, channels []string) []said {
	var all []said
	edition := 0
	take := func(links int) (list []int) {
		for range links {
			edition++
			list = append(list, edition)
		}
		return list
	}
	for i := range n {
		m := said{N: i, Kind: kindOfMessage(random.IntN(100)), Channel: channels[random.IntN(len(channels))]}
		m.After = time.Duration(random.IntN(6000)) * time.Millisecond
		switch m.Kind {
		case plain:
			m.Links = take([]int{1, 1, 1, 2, 2, 3}[random.IntN(6)])
		case many:
			m.Links = take(maxLinks + 2)
		case robot, preview, deleted:
			m.Links = take(1)
		case edited:
			m.Links, m.Added = take(1), take(1)
		case chatter, inReply:
		}
		all = append(all, m)
	}
	return all
}

func kindOfMessage(share int) kind {
	for _, s := range shares {
		if share -= s.share; share < 0 {
			return s.kind
		}
	}
	return plain
}

// text is what a person writes; links are marked up as Slack marks them.
func (s said) text(link func(n int) string, editions []int) string {
	if len(editions) == 0 {
		return "Good morning, is there coffee?"
	}
	var list []string
	for _, n := range editions {
		list = append(list, "<"+link(n)+">")
	}
	return fmt.Sprintf("No. %d, look: %s", s.N, strings.Join(list, " and "))
}

// slackStep is a kill of the worker.
type slackStep struct {
	On    event         `json:"on"`
	After int           `json:"after"` // events of this kind since the worker was started
	Down  time.Duration `json:"down"`
}

// slackEvents are those at which the worker is killed. Between a post and its record comes
// first, and twice as often.
var (
	slackEvents = []event{eventPosted, eventAsked, eventAnswered, eventSearched, eventDelivered, eventAcked, eventPage, eventHistory}
	slackSharp  = []event{eventPosted, eventPosted}
)

// downsFor is how long the worker stays away. After the longest of many messages Slack has
// given up what it could not deliver.
func downsFor(messages int) []time.Duration {
	downs := []time.Duration{0, 0, 500 * time.Millisecond, 0, 2 * time.Second}
	if messages >= 100 {
		downs = append(downs, 12*time.Second)
	}
	return downs
}

// atStart are events that come soon after a start, and seldom later.
var atStart = map[event]bool{eventSearched: true, eventHistory: true}

func slackPlan(random *rand.Rand, kills int, downs []time.Duration) []slackStep {
	moments := deck[event]{random: random, list: slackEvents, first: slackSharp}
	away := deck[time.Duration]{random: random, list: downs}
	var plan []slackStep
	for range kills {
		s := slackStep{On: moments.deal(), Down: away.deal()}
		if s.After = 1 + random.IntN(12); atStart[s.On] {
			s.After = 1 + random.IntN(2)
		}
		plan = append(plan, s)
	}
	return plan
}

// treatmentOf chooses what happens to the deliveries of an event, by the seed and its number.
func treatmentOf(seed uint64) func(slackfake.Event) slackfake.Treatment {
	return func(e slackfake.Event) slackfake.Treatment {
		random := rand.New(rand.NewPCG(seed, uint64(e.N)))
		var t slackfake.Treatment
		t.ByHTTP = random.IntN(10) < 4
		if random.IntN(10) < 3 {
			t.Delay = time.Duration(random.IntN(2000)) * time.Millisecond
		}
		switch n := random.IntN(100); {
		case n < 6:
			t.Unheard = 1
		case n < 8:
			t.Unheard = 2
		}
		if random.IntN(100) < 12 {
			t.Again = time.Duration(1+random.IntN(4000)) * time.Millisecond
		}
		return t
	}
}

// cuts are how many of a hundred requests are cut off at a moment.
var cuts = map[slackfake.Moment]int{slackfake.Asked: 3, slackfake.Posted: 5, slackfake.Searched: 3, slackfake.History: 5}
