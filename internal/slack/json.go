package slack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/technoshare/commentator/internal/commentator"
)

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
