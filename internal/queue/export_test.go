package queue

import "time"

// PollEvery sets how often a queue looks for jobs that nobody told it of.
func (c Config) PollEvery(d time.Duration) Config {
	c.pollEvery = d
	return c
}
