package slack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/slack-go/slack/slackevents"

	"github.com/technoshare/commentator/internal/commentator"
)

// Codes of the errors of ParseEvent.
const (
	CodeMalformedEvent   = "malformed_event"
	CodeUnsupportedEvent = "unsupported_event"
)

// ParseEvent reads the envelope of a Slack message event, as Slack posts it to an Events
// API address: {"type":"event_callback","event":{"type":"message",…}}. The errors are final
// and of type *commentator.Error.
func ParseEvent(raw []byte, receivedAt time.Time) (commentator.Message, error) {
	none := commentator.Message{}
	if err := checkJSON(raw); err != nil {
		return none, malformed(err)
	}
	var outer struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &outer); err != nil {
		return none, malformed(errors.New(`want an object {"type":"event_callback","event":{…}}`))
	}
	if outer.Type != slackevents.CallbackEvent {
		return none, unsupported("its type is %q, want event_callback; give the whole envelope that Slack posts, not only its event", outer.Type)
	}
	envelope, err := slackevents.ParseEvent(raw, slackevents.OptionNoVerifyToken())
	if err != nil {
		return none, malformed(err)
	}
	message, ok := envelope.InnerEvent.Data.(*slackevents.MessageEvent)
	if !ok {
		return none, unsupported("it holds an event of type %q, want message", envelope.InnerEvent.Type)
	}
	if err := acceptable(message); err != nil {
		return none, err
	}
	m := commentator.Message{
		Channel: message.Channel, TS: message.TimeStamp, ThreadTS: message.ThreadTimeStamp,
		User: message.User, Text: message.Text, ReceivedAt: receivedAt,
	}
	if callback, ok := envelope.Data.(*slackevents.EventsAPICallbackEvent); ok {
		m.EventID = callback.EventID
	}
	return m, nil
}

// acceptable refuses what is no new message of a person.
func acceptable(m *slackevents.MessageEvent) error {
	switch m.SubType {
	case "", "file_share", "thread_broadcast", "me_message":
	case "message_changed", "message_deleted":
		return unsupported("it is a %s event; only new messages are commented on", m.SubType)
	case "bot_message":
		return unsupported("a bot wrote it; only messages of people are commented on")
	default:
		return unsupported("it is a message of subtype %q; only messages of people are commented on", m.SubType)
	}
	if m.BotID != "" {
		return unsupported("a bot wrote it; only messages of people are commented on")
	}
	if m.Channel == "" {
		return malformed(errors.New(`event.channel is missing; Slack sends it as "C0123456789"`))
	}
	if m.TimeStamp == "" {
		return malformed(errors.New(`event.ts is missing; Slack sends it as "1700000000.000100"`))
	}
	return nil
}

// checkJSON says where a text stops being JSON.
func checkJSON(raw []byte) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return errors.New("it is empty")
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	var value any
	err := decoder.Decode(&value)
	if err == nil {
		if _, err = decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("there is text after the closing brace")
	}
	offset := decoder.InputOffset()
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		offset = syntax.Offset
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		offset, err = int64(len(raw)), errors.New("it ends too early")
	}
	before := raw[:min(int(offset), len(raw))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n') - 1
	return fmt.Errorf("line %d, column %d: %w", line, column, err)
}

func malformed(err error) error {
	return &commentator.Error{
		Code: CodeMalformedEvent, Final: true, Err: err,
		Message: "This is not the envelope of a Slack event",
	}
}

func unsupported(format string, args ...any) error {
	return &commentator.Error{
		Code: CodeUnsupportedEvent, Final: true,
		Message: "This event is not commented on: " + fmt.Sprintf(format, args...),
	}
}
