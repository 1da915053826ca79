// Package render lays a comment out as text for the place where it is read. It is pure.
package render

import "github.com/technoshare/commentator/internal/commentator"

var _ commentator.Renderer = Slack

// Slack returns the comment as Slack mrkdwn.
func Slack(c commentator.Comment) string { return "" }
