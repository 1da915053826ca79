package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// apiURL is Slack's Web API.
const apiURL = "https://slack.com/api/"

// maxAnswer bounds what is read of an answer of the Web API, in bytes.
const maxAnswer = 64 << 20

// HistoryConfig configures a History.
type HistoryConfig struct {
	// Token is the bot token, xoxb-…, with the scope channels:history, or groups:history for
	// private channels. Required.
	Token string
	// APIURL is Slack's Web API, ending in a slash. Default: Slack's own.
	APIURL string
	// Transport carries the requests. Default: http.DefaultTransport.
	Transport http.RoundTripper
	// Timeout bounds one request. Default 30 s.
	Timeout time.Duration
	// Now is when a message is said to be received. Default time.Now.
	Now func() time.Time
}

// History reads the messages of channels.
//
// It asks conversations.history itself: slack-go refuses a whole page for one block that it
// cannot read, and the messages on it would never be seen.
type History struct{ cfg HistoryConfig }

// NewHistory returns a History.
func NewHistory(cfg HistoryConfig) *History {
	if cfg.APIURL == "" {
		cfg.APIURL = apiURL
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &History{cfg}
}

// Range is which messages of a channel are asked for. Both ends belong to it.
type Range struct {
	Channel string
	Oldest  string // Slack's time; empty: from the beginning
	Latest  string // Slack's time; empty: up to now
	Cursor  string // of the page before; empty: the first page
	Limit   int    // messages of a page, at most 999
}

// Page is a part of a channel's history.
type Page struct {
	Messages []Posted // the oldest first, whatever the order of pages is
	Unread   int      // messages that were left out because they cannot be read
	Next     string   // cursor of the next page; empty when this is the last one

	At time.Time // when Slack answered, by its own clock, in whole seconds; zero when it does not say
}

// RateLimited says that Slack asks to wait.
type RateLimited struct{ After time.Duration }

func (e *RateLimited) Error() string { return fmt.Sprintf("wait for %s", e.After) }

// Page reads one page. Replies in threads are not in a channel's history unless they were sent
// to the channel too. An error wraps a *RateLimited when Slack asks to wait.
func (h *History) Page(ctx context.Context, r Range) (Page, error) {
	form := url.Values{"channel": {r.Channel}, "limit": {strconv.Itoa(r.Limit)}, "inclusive": {"true"}}
	for key, value := range map[string]string{"oldest": r.Oldest, "latest": r.Latest, "cursor": r.Cursor} {
		if value != "" {
			form.Set(key, value)
		}
	}
	var answer struct {
		Messages []json.RawMessage `json:"messages"`
		Metadata struct {
			NextCursor string `json:"next_cursor"`
		} `json:"response_metadata"`
	}
	at, err := h.call(ctx, "conversations.history", " for channel "+r.Channel, form, &answer)
	if err != nil {
		return Page{}, err
	}
	page := Page{Next: answer.Metadata.NextCursor, At: at}
	now := h.cfg.Now()
	for _, raw := range answer.Messages {
		var m rawMessage
		if err := json.Unmarshal(raw, &m); err != nil || m.TS == "" {
			page.Unread++ // it could not be read later either
			continue
		}
		page.Messages = append(page.Messages, m.posted(r.Channel, now))
	}
	slices.SortStableFunc(page.Messages, func(a, b Posted) int { return strings.Compare(a.TS, b.TS) })
	return page, nil
}

// call asks a method of the Web API and reads its answer into out; about goes into errors. It
// returns when Slack answered, by its own clock.
func (h *History) call(ctx context.Context, method, about string, form url.Values, out any) (at time.Time, err error) {
	header, err := h.ask(ctx, method, about, form, out)
	if err != nil {
		return at, err
	}
	return answeredAt(header), nil
}

// answeredAt is the time in the head of an answer; zero: it holds none.
func answeredAt(header http.Header) time.Time {
	date, _ := http.ParseTime(header.Get("Date")) // zero with an error
	return date
}

// ask is call that returns the head of the answer.
func (h *History) ask(ctx context.Context, method, about string, form url.Values, out any) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.cfg.APIURL+method, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", method, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer "+h.cfg.Token)
	client := http.Client{Transport: h.cfg.Transport}
	resp, err := client.Do(req)
	if err != nil {
		return nil, &commentator.Error{Code: "slack_unreachable", Message: "Slack cannot be reached for " + method, Err: withoutURL(err)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, &commentator.Error{Code: "slack_unreachable", Message: "Slack's answer to " + method + " was cut off", Err: err}
	}
	if err := answerError(method, about, resp, body); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, out); err != nil {
		return nil, fmt.Errorf("read the answer to %s: %w", method, err)
	}
	return resp.Header, nil
}

func answerError(method, about string, resp *http.Response, body []byte) error {
	if resp.StatusCode == http.StatusTooManyRequests {
		seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		if err != nil {
			seconds = 0
		}
		return limitedError(method, seconds)
	}
	if resp.StatusCode != http.StatusOK {
		return &commentator.Error{
			Code: fmt.Sprintf("slack_http_%d", resp.StatusCode), Final: resp.StatusCode < 500,
			Message: fmt.Sprintf("Slack's answer to %s is HTTP %d %s", method, resp.StatusCode, http.StatusText(resp.StatusCode)),
		}
	}
	var said struct {
		OK     bool   `json:"ok"`
		Error  string `json:"error"`
		Needed string `json:"needed"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return &commentator.Error{Code: codeNoJSON, Message: "Slack's answer to " + method + " is not JSON", Err: errors.New("not JSON")}
	}
	switch said.Error {
	case "ratelimited", "rate_limited":
		return limitedError(method, 0)
	}
	if said.OK {
		return nil
	}
	return &commentator.Error{
		Code: "slack_" + said.Error, Final: !passing[said.Error],
		Message: fmt.Sprintf("Slack refused %s%s: %s%s", method, about, said.Error, remedy(said.Error, said.Needed)),
	}
}

// remedy says what a person can do about an error of the Web API.
func remedy(code, needed string) string {
	switch code {
	case "missing_scope":
		return fmt.Sprintf("; give the app the scope %s and install it again", needed)
	case "not_in_channel":
		return "; invite the app to the channel"
	case "channel_not_found":
		return "; check TECHNOSHARE_CHANNEL_ID, and invite the app when the channel is private"
	case "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired":
		return "; check SLACK_BOT_TOKEN"
	}
	return ""
}

// Identity returns the Slack user as whom the app writes.
func (h *History) Identity(ctx context.Context) (user string, err error) {
	var answer struct {
		UserID string `json:"user_id"`
	}
	if _, err := h.call(ctx, "auth.test", "", url.Values{}, &answer); err != nil {
		return "", err
	}
	return answer.UserID, nil
}

// defaultWait is how long to wait when Slack does not say.
const defaultWait = 30 * time.Second

func limitedError(method string, seconds int) error {
	limited := &RateLimited{After: time.Duration(seconds) * time.Second}
	if seconds < 1 {
		limited.After = defaultWait
	}
	return &commentator.Error{Code: "slack_ratelimited", Message: "Slack limits " + method, Err: limited}
}
