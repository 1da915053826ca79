// Package slackfake is a Slack for tests: one workspace with its Web API, Socket Mode and
// Events API, which keeps Slack's documented rules and breaks down where Slack may.
//
// Rules: timestamps of a channel differ and grow; chat.postMessage is limited to one message a
// second and channel with short bursts, the conversations methods to fifty calls a minute, and
// who is refused gets Retry-After; payloads beyond Slack's limits are refused; a post is in
// conversations.replies only after two seconds; a socket's address is good for one connection,
// ten connections are open at most; an event that nobody acknowledges within three seconds is
// delivered again at once, a minute later and five minutes later, and then never.
//
// Faults come from the two functions of Config, Treat for events and Happen for requests.
//
// What a test compares with is what the workspace holds, see Workspace.Messages: whatever Slack
// accepted is there, seen or not.
package slackfake
