package analysis

import (
	"strings"
	"testing"
)

// People read what a span has of a conversation; texts are as the model got them.
func TestMessagesShowTheirCharacters(t *testing.T) {
	for _, c := range []struct {
		message chatMessage
		want    string
	}{
		{chatMessage{role: roleSystem, content: "a <b> & c"}, `"content":"a <b> & c"`},
		{chatMessage{role: roleUser, content: toJSON("a & b")}, `"content":"\"a \\u0026 b\""`},
		{chatMessage{role: roleTool, content: toJSON("a <b> & c")}, `"response":"a <b> & c"`},
		{chatMessage{role: roleTool, content: "a & b"}, `"response":"a & b"`},
		{chatMessage{role: roleAssistant, calls: []toolCall{{id: "1", name: "search", arguments: `{"query":"a \u0026 \\u0026"}`}}}, `"arguments":{"query":"a & \\u0026"}`},
	} {
		if got := telemetryJSON(c.message); !strings.Contains(got, c.want) {
			t.Errorf("%+v is %s", c.message, got)
		}
	}
	if got := spanJSON(searchArguments{"a & b"}); got != `{"query":"a & b"}` {
		t.Errorf("arguments are %s", got)
	}
}
