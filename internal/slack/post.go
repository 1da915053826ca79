package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/technoshare/commentator/internal/commentator"
)

// Deliveries: what became of a comment.
const (
	DeliverySlack = "slack" // a reply in the thread
	DeliveryStore = "store" // kept in the job database, as the result of the last stage
	DeliveryPrint = "print" // printed by replay
)

// payload is the request body of chat.postMessage, without blocks and metadata.
type payload struct {
	Channel     string `json:"channel"`
	ThreadTS    string `json:"thread_ts"`
	Text        string `json:"text"`
	Mrkdwn      bool   `json:"mrkdwn"`
	UnfurlLinks bool   `json:"unfurl_links"`
	UnfurlMedia bool   `json:"unfurl_media"`
}

// newPost is a post that has not been sent.
func newPost(delivery string, m commentator.Message, r commentator.Rendered) (commentator.Post, error) {
	bodies := make([]payload, len(r.Messages))
	for i, message := range r.Messages {
		bodies[i] = payload{Channel: m.Channel, ThreadTS: m.Thread(), Text: message.Text, Mrkdwn: true}
	}
	var value any = bodies
	if len(bodies) == 1 {
		value = bodies[0]
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return commentator.Post{}, fmt.Errorf("encode payload: %w", err)
	}
	return commentator.Post{
		Delivery: delivery, Channel: m.Channel, ThreadTS: m.Thread(), Text: r.Text, Payload: body.Bytes(),
	}, nil
}

// Keeper delivers nothing: the comment stays in the result of the stage, for replay to
// print or for the database to keep. Its value is the delivery that it reports.
type Keeper string

var _ commentator.Poster = Keeper(DeliveryStore)

// Post returns what would have been sent.
func (k Keeper) Post(_ context.Context, _ commentator.Job, m commentator.Message, r commentator.Rendered) (commentator.Post, error) {
	return newPost(string(k), m, r)
}
