package redact

import "strings"

// Rules of webhooks, whose path is the secret.
const (
	ruleSlackWebhook   = "slack_webhook"
	ruleDiscordWebhook = "discord_webhook"
	ruleTeamsWebhook   = "teams_webhook"
)

const (
	slackHost = "hooks.slack.com"
	teamsHost = "webhook.office.com"
)

// slackHook masks the path of a webhook of Slack, given where the host of a URL begins.
func (sc *scan) slackHook(host int) {
	s := sc.s
	if !begins(s[host:], slackHost, true) {
		return
	}
	path := slash(s, skipPort(s, host+len(slackHost)))
	if path < 0 {
		return
	}
	for _, kind := range []string{"services", "workflows", "triggers"} {
		if strings.HasPrefix(s[path:], kind) && slash(s, path+len(kind)) > 0 {
			sc.add(path, pathEnd(s, path), ruleSlackWebhook)
		}
	}
}

// slackService masks services/T…/B…/… around its B, also without the host before it.
func (sc *scan) slackService(b int) {
	s := sc.s
	team := slashBefore(s, b)
	if team < sc.done {
		return
	}
	start := team
	for start > sc.done && team-start < 16 && (isUpper(s[start-1]) || isDigit(s[start-1])) {
		start--
	}
	start = skipEscape(s, start, team) // %2F
	if start == team || s[start] != 'T' {
		return
	}
	if start = slashBefore(s, start) - len("services"); start < sc.done || !strings.HasPrefix(s[start:], "services") {
		return
	}
	bot := b
	for bot < len(s) && bot-b < 16 && (isUpper(s[bot]) || isDigit(s[bot])) {
		bot++
	}
	secret := slash(s, bot)
	if secret < 0 {
		return
	}
	// Not the rest of the path: a mask of user and password in it makes it longer.
	end := secret
	for end < len(s) && isAlnum(s[end]) {
		end++
	}
	if end >= secret+8 {
		sc.add(start, pathEnd(s, start), ruleSlackWebhook)
	}
}

// webhook masks what follows the word in an address of Discord or Microsoft Teams.
func (sc *scan) webhook(at int) {
	s := sc.s
	if begins(s[at:], teamsHost, true) {
		if path := slash(s, skipPort(s, at+len(teamsHost))); path > 0 {
			sc.add(path, pathEnd(s, path), ruleTeamsWebhook)
		}
		return
	}
	if !begins(s[at:], "webhooks", true) {
		return
	}
	path := slash(s, at+len("webhooks"))
	if path < 0 || path == len(s) || !isDigit(s[path]) {
		return
	}
	// The host stands before it, with api and perhaps a version between.
	before := strings.ToLower(s[max(0, at-64):at])
	if strings.Contains(before, "discord.com") || strings.Contains(before, "discordapp.com") {
		sc.add(path, pathEnd(s, path), ruleDiscordWebhook)
	}
}

// skipPort steps over :443 behind a host.
func skipPort(s string, at int) int {
	k := at
	switch {
	case strings.HasPrefix(s[at:], ":"):
		k++
	case strings.HasPrefix(s[at:], "%3A"), strings.HasPrefix(s[at:], "%3a"):
		k += 3
	default:
		return at
	}
	for k < len(s) && k-at < 8 && isDigit(s[k]) {
		k++
	}
	return k
}

// slash returns the place behind a slash, which JSON may write as \/ and a URL within a URL as
// %2F; -1 when none is there.
func slash(s string, at int) int {
	if at >= len(s) {
		return -1
	}
	if s[at] == '%' {
		if len(s) >= at+3 && strings.EqualFold(s[at:at+3], "%2f") {
			return at + 3
		}
		return -1
	}
	for at < len(s) && s[at] == '\\' {
		at++
	}
	if at < len(s) && s[at] == '/' {
		return at + 1
	}
	return -1
}

// slashBefore returns where such a slash begins that ends right before a place; -1 when none
// is there.
func slashBefore(s string, at int) int {
	if at >= 3 && strings.EqualFold(s[at-3:at], "%2f") {
		return at - 3
	}
	if at <= 0 || s[at-1] != '/' {
		return -1
	}
	for at--; at > 0 && s[at-1] == '\\'; at-- {
	}
	return at
}

// pathEnd returns where the path of a URL ends that begins at a place. The full stop of a
// sentence is no part of it.
func pathEnd(s string, start int) int {
	at := start
	for at < len(s) {
		if isAlnum(s[at]) || strings.IndexByte("-_.~@", s[at]) >= 0 {
			at++
		} else if next := slash(s, at); next > 0 {
			at = next
		} else if strings.HasPrefix(s[at:], "%40") {
			at += 3
		} else {
			break
		}
	}
	for at > start && s[at-1] == '.' {
		at--
	}
	return at
}
