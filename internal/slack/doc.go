// Package slack reads Slack message events, finds the links in them, and delivers
// comments: to a thread, to the job database, or to standard output.
package slack
