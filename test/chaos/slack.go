//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/technoshare/commentator/test/slackfake"
)

// slackResult is what slack.json holds.
type slackResult struct {
	Time     time.Time `json:"time"`
	Revision string    `json:"revision"`
	Seed     uint64    `json:"seed"`
	Messages int       `json:"messages"`
	Links    int       `json:"links"` // that have to be answered
	Kills    int       `json:"kills"`
	// Between is how many of them came between a post and its record.
	Between int `json:"kills_between_post_and_record"`

	Lost     int           `json:"lost"`
	Doubled  int           `json:"doubled"`
	Wrong    int           `json:"wrong"`
	Findings slackFindings `json:"findings"`
	// Untold are deleted messages that Slack never told of, as the worker was away: not judged.
	Untold  int      `json:"untold"`
	Trouble []string `json:"trouble"` // a worker that ended by itself, time that ran out

	AckP50 float64 `json:"ack_p50_ms"`
	AckP99 float64 `json:"ack_p99_ms"`

	Posts      int                  `json:"posts"`      // that Slack accepted
	Kinds      map[kind]int         `json:"kinds"`      // messages by kind
	Sockets    int                  `json:"sockets"`    // that were opened
	Refusals   slackfake.Refusals   `json:"refusals"`   // with Retry-After
	Deliveries slackfake.Deliveries `json:"deliveries"` // raw
	GivenUp    int                  `json:"given_up"`   // events that Slack could not deliver
	Events     map[event]int        `json:"events"`
	Seconds    float64              `json:"seconds"`
	SettledIn  float64              `json:"settled_seconds"` // from the last kill until nothing was due any more
	Log        []slackAct           `json:"log"`
}

func (r slackResult) passed() bool {
	impatient := 0
	for _, n := range r.Refusals.Impatient {
		impatient += n
	}
	return r.Lost+r.Doubled+r.Wrong+len(r.Trouble)+impatient == 0
}

func runSlack(args []string) error {
	o := slackOptions{options: options{patience: slackPatience}}
	flags := flag.NewFlagSet("chaos slack", flag.ContinueOnError)
	flags.IntVar(&o.messages, "messages", 1000, "messages that people write")
	flags.IntVar(&o.kills, "kills", 20, "times that the worker is killed")
	flags.IntVar(&o.channels, "channels", 8, "channels that they write in; Slack takes one post a second in each")
	flags.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "chooses messages, kills and faults; the default is another one each time")
	flags.StringVar(&o.bin, "bin", "bin", "folder of commentator")
	flags.StringVar(&o.out, "out", ".bench", "folder of the results")
	flags.BoolVar(&o.keep, "keep", false, "keep database and logs when nothing is wrong, too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := o.prepare("slack")
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Fprintf(os.Stderr, "seed %d, database and log in %s\n", o.seed, dir)
	r, err := slackSiegeOf(ctx, o, dir)
	if err == nil {
		err = save(filepath.Join(o.out, "slack.json"), r)
	}
	if err != nil {
		return fmt.Errorf("%w (see %s)", err, dir)
	}
	fmt.Print(r)
	if !r.passed() {
		return errors.New("not what was promised; database and log are in " + dir)
	}
	if o.keep {
		return nil
	}
	return os.RemoveAll(dir)
}

// slackPatience is the time from the last kill in which every link has to be answered.
const slackPatience = 5 * time.Minute

// slackSiegeOf runs and judges; an error means that it could not be judged.
func slackSiegeOf(ctx context.Context, o slackOptions, dir string) (slackResult, error) {
	r := slackResult{Time: time.Now().UTC(), Revision: revision(o.top), Seed: o.seed, Messages: o.messages, Kinds: map[kind]int{}}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := newSlackSiege(o, dir)
	if err != nil {
		return r, err
	}
	defer s.close()
	plan := slackPlan(rand.New(rand.NewPCG(o.seed, 0)), o.kills, downsFor(o.messages))
	if err := s.run(ctx, plan); err != nil {
		r.Trouble = append(r.Trouble, err.Error())
	} else if err := s.settle(ctx); err != nil {
		r.Trouble = append(r.Trouble, err.Error())
	}
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	r.SettledIn = s.sinceKill().Seconds()
	s.close()
	r.sum(s)
	return r, nil
}

// quiet is how long nothing may happen before it is believed that nothing will: a post shows
// itself to who searches for it after two seconds only.
const quiet = 6 * time.Second

// settle starts the worker anew when nothing is under way any more, so that it fetches what Slack
// gave up, waits until every link is answered, and starts it once more: nothing may be answered
// again.
func (s *slackSiege) settle(ctx context.Context) error {
	calm := func() bool {
		s.mu.Lock()
		last := s.last
		s.mu.Unlock()
		return time.Since(last) > quiet && s.fake.Deliveries().Underway == 0
	}
	s.changes.Wait()
	if err := s.until(ctx, "events to be delivered", s.o.patience, calm); err != nil {
		return err
	}
	if err := s.restart(ctx); err != nil {
		return err
	}
	err := s.until(ctx, "all links to be answered", s.o.patience, func() bool {
		time.Sleep(100 * time.Millisecond)
		return s.due() == 0 && s.retracted() && calm()
	})
	if err != nil {
		return fmt.Errorf("%w; %d answers are due", err, s.due())
	}
	if err := s.restart(ctx); err != nil {
		return err
	}
	return s.until(ctx, "the worker to be calm after its start", s.o.patience, calm)
}

func (s *slackSiege) restart(ctx context.Context) error {
	s.worker.stop()
	s.mu.Lock()
	s.last = time.Now()
	s.mu.Unlock()
	if err := s.worker.start(); err != nil {
		return err
	}
	return s.connected(ctx)
}

// untold are deleted messages of which Slack gave up to tell the app: nobody can know.
func (s *slackSiege) untold() map[threadKey]bool {
	untold := map[threadKey]bool{}
	for _, e := range s.fake.Deliveries().GivenUp {
		if e.Kind == "message_deleted" || e.Kind == "message_changed" {
			untold[threadKey{e.Channel, e.TS}] = true
		}
	}
	return untold
}

// retracted reports whether no reply to a deleted message is left.
func (s *slackSiege) retracted() bool {
	held, untold := s.record.held(s.fake, s.channels), s.untold()
	for _, m := range s.written() {
		if m.Kind == deleted && !untold[threadKey{m.Channel, m.TS}] && slices.ContainsFunc(held[threadKey{m.Channel, m.TS}], func(r reply) bool { return !r.Deleted }) {
			return false
		}
	}
	return true
}

func (s *slackSiege) sinceKill() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.log) == 0 {
		return 0
	}
	return time.Since(s.began) - time.Duration(s.log[len(s.log)-1].Seconds*float64(time.Second))
}

func (s *slackSiege) close() {
	s.worker.stop()
	s.fake.Close()
	_ = s.server.Close()
	_ = s.site.server.Close()
}

func (r *slackResult) sum(s *slackSiege) {
	written := s.written()
	for _, m := range written {
		r.Links += len(m.answered())
		r.Kinds[m.Kind]++
	}
	if len(written) < len(s.messages) {
		r.Trouble = append(r.Trouble, fmt.Sprintf("only %d of %d messages were written", len(written), len(s.messages)))
	}
	held := s.record.held(s.fake, s.channels)
	for _, replies := range held {
		r.Posts += len(replies)
	}
	untold := s.untold()
	for _, m := range written {
		if m.Kind == deleted && untold[threadKey{m.Channel, m.TS}] {
			r.Untold++
		}
	}
	r.Findings = judgeThreads(written, held, untold)
	r.Lost, r.Doubled, r.Wrong = len(r.Findings.Lost), len(r.Findings.Doubled), len(r.Findings.Wrong)
	r.Deliveries, r.Refusals = s.fake.Deliveries(), s.fake.Refusals()
	r.GivenUp = len(r.Deliveries.GivenUp)
	r.AckP50, r.AckP99 = quantile(r.Deliveries.AckMS, 0.5), quantile(r.Deliveries.AckMS, 0.99)
	_, r.Sockets = s.fake.Sockets()
	r.Events, r.Seconds = s.bell.total(), time.Since(s.began).Seconds()
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Trouble = append(r.Trouble, s.trouble.all()...)
	r.Log, r.Kills = s.log, len(s.log)
	for _, a := range s.log {
		if a.On == eventPosted {
			r.Between++
		}
	}
}

func (r slackResult) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d messages with %d links to answer in %.0f s, the worker killed %d times (%d between a post and its record)\n",
		r.Seed, r.Messages, r.Links, r.Seconds, r.Kills, r.Between)
	d := r.Deliveries
	fmt.Fprintf(&b, "%d events: %d retries, %d duplicates, %d acknowledgements unheard, %d given up by Slack; %d sockets; acknowledged after %.1f ms (p50), %.1f ms (p99)\n",
		d.Events, d.Retries, d.Again, d.Unheard, r.GivenUp, r.Sockets, r.AckP50, r.AckP99)
	fmt.Fprintf(&b, "%d posts, refused for their rate %v, impatient %v: %d lost, %d doubled, %d wrong\n",
		r.Posts, r.Refusals.Refused, r.Refusals.Impatient, r.Lost, r.Doubled, r.Wrong)
	for _, list := range [][]string{r.Findings.Lost, r.Findings.Doubled, r.Findings.Wrong, r.Trouble} {
		for i, text := range list {
			if i == 10 {
				fmt.Fprintf(&b, "  … %d more\n", len(list)-i)
				break
			}
			fmt.Fprintf(&b, "  %s\n", text)
		}
	}
	return b.String()
}
