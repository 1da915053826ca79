package main

import (
	"context"
	"sync"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/render"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/telemetry"
)

// slackSide is what the worker does in Slack.
type slackSide struct {
	api    *slack.API // nil: there is no token
	beside sync.WaitGroup
	cancel context.CancelFunc
}

func newSlackAPI(c config.Config) *slack.API {
	if c.SlackBotToken == "" {
		return nil
	}
	return slack.NewAPI(slack.APIConfig{Token: c.SlackBotToken, APIURL: c.SlackAPIURL, Transport: telemetry.SlackTransport(nil)})
}

// poster is how jobs are delivered: to Slack when it can be done, else into the database. What
// replay prints goes nowhere else, also when it was interrupted and another process ends its job.
func (w *worker) poster() commentator.Poster {
	p := quietPoster{slack.Keeper(slack.DeliveryStore)}
	if w.slack.api != nil {
		p.others = slack.NewPoster(slack.PosterConfig{API: w.slack.api, Posts: w.store, Logger: w.app.log})
	}
	return p
}

// quietPoster keeps the comments of jobs of which nobody in Slack is to hear, for printing.
type quietPoster struct{ others commentator.Poster }

var _ commentator.Poster = quietPoster{}

// Post delivers a comment.
func (p quietPoster) Post(ctx context.Context, j commentator.Job, m commentator.Message, r commentator.Rendered) (commentator.Post, error) {
	if queue.Quiet(ctx) {
		return slack.Keeper(slack.DeliveryPrint).Post(ctx, j, m, r)
	}
	return p.others.Post(ctx, j, m, r)
}

// startSlack begins what serve does in Slack beside the jobs: replies are deleted whose link was
// taken back, and people are told of failures if they shall be. It comes before the first job.
func (w *worker) startSlack(ctx context.Context) {
	if w.slack.api == nil {
		return
	}
	ctx, w.slack.cancel = context.WithCancel(context.WithoutCancel(ctx))
	retractor := slack.NewRetractor(slack.RetractorConfig{
		API: w.slack.api, Retractions: w.store, StoreID: w.store.StoreID(), Logger: w.app.log,
	})
	w.slack.beside.Go(func() { retractor.Run(ctx) })

	notices := slack.NotifierConfig{API: w.slack.api, Notices: w.store, Render: render.Notice, Logger: w.app.log}
	if w.store.Address() != "" { // other workers may share the database
		notices.Every = 2 * time.Minute
	}
	switch w.app.cfg.FailureNotice {
	case config.NoticeReply:
	case config.NoticeReaction:
		notices.Reaction = w.app.cfg.FailureReaction
	default:
		return
	}
	notifier := slack.NewNotifier(notices)
	w.pipeline.Failed = notifier.Tell
	w.slack.beside.Go(func() { notifier.Run(ctx) })
}

// noteFailures leaves it to the next serve to tell people of the failures that they shall be told
// of.
func (w *worker) noteFailures() {
	if w.slack.api != nil && w.app.cfg.FailureNotice != config.NoticeOff {
		w.pipeline.Failed = func(int64) {}
	}
}

// endGrace is how long what hears that it is to end may take to do so.
const endGrace = time.Second

// stop waits until what was begun in Slack has ended, or ctx ends: a comment that is being taken back
// may wait for Slack for long. What is left is noted in the job database and done after the next start.
func (s *slackSide) stop(ctx context.Context) error {
	if s.cancel != nil {
		s.cancel()
	}
	ended := make(chan struct{})
	go func() {
		s.beside.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	select { // the time may have gone by with jobs, and what only has to notice its end takes a moment
	case <-ended:
		return nil
	case <-time.After(endGrace):
		return ctx.Err()
	}
}
