// Package slack takes events over Socket Mode and HTTP, reads them and the history of channels,
// finds the links in messages, and delivers comments: to a thread, to the job database, or to
// standard output. Replies are posted once and within Slack's rate limits, and deleted when their
// link is taken back.
package slack
