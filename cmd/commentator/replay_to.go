package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/slack"
)

// postTimeout is how long replay --to waits for an answer. Slack waits for three seconds.
const postTimeout = 10 * time.Second

// postEvent signs the event as Slack does and posts it to a running server.
func (c *replayCommand) postEvent(ctx context.Context, a *app) error {
	switch {
	case c.Event == "" || len(c.URLs) > 0 || c.Latest:
		return usageError{errors.New("--to posts an event: replay --event FILE --to URL")}
	case c.Again || c.Enqueue || c.JSON:
		return usageError{errors.New("--again, --enqueue and --json have no effect with --to")}
	case a.cfg.SlackSigningSecret == "":
		return usageError{errors.New("set SLACK_SIGNING_SECRET to that of the server")}
	}
	target, err := eventsAddress(c.To)
	if err != nil {
		return usageError{err}
	}
	raw, err := readFile(c.Event, a.stdin, slack.MaxEnvelope)
	if err != nil {
		return usageError{err}
	}
	if _, err := slack.ParseEnvelope(raw, time.Now()); err != nil {
		return usageError{fmt.Errorf("read event %s: %w", c.Event, err)}
	}
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header = slack.Sign(a.cfg.SlackSigningSecret, time.Now(), raw)
	req.Header.Set("Content-Type", "application/json")
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("post event: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	fmt.Fprintf(a.stdout, "%s in %d ms\n", resp.Status, time.Since(began).Milliseconds())
	if text := strings.TrimSpace(string(answer)); text != "" {
		fmt.Fprintln(a.stdout, text)
	}
	if resp.StatusCode != http.StatusOK {
		return errSaid
	}
	return nil
}

// eventsAddress completes an address without a path.
func eventsAddress(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("--to %s: want an address such as http://127.0.0.1:3000", text)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = slack.EventsPath
	}
	return u.String(), nil
}
