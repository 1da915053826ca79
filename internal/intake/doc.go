// Package intake takes what Slack sends, from Socket Mode, HTTP or the history of a channel,
// decides what becomes of it, and writes messages and jobs in one transaction. Only then may
// Slack be told that it arrived.
//
// Slack repeats deliveries, and keeps no order. What is written depends neither on how often
// something came nor on which way, and on its order only as far as which of a message's links
// became jobs first.
package intake
