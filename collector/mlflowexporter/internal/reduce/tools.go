package reduce

import (
	"cmp"
	"encoding/json"

	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/wire"
)

// typeFunction is the type of tools that the caller carries out; MLflow knows no other.
const typeFunction = "function"

// chatTool is a tool as OpenAI's chat completions and MLflow's autologging spell it.
type chatTool struct {
	Type     string          `json:"type"`
	Function json.RawMessage `json:"function"`
}

// offeredTools returns the tools that a model was offered in OpenAI's form. The conventions put name,
// description and parameters beside the type; who passes OpenAI's own form on has them nested already.
// A tool that is carried out by the provider is one with a name, as in autologging. All must be tools:
// the UI shows all or none. Of anything else it returns nil.
func offeredTools(s Span) []chatTool {
	var given []map[string]json.RawMessage
	text := s.text(wire.AttrGenAITools)
	if text == "" || json.Unmarshal([]byte(text), &given) != nil {
		return nil
	}
	var tools []chatTool
	for _, tool := range given {
		kind := rawText(tool["type"])
		function, nested := tool["function"], tool["function"] != nil
		if !nested {
			delete(tool, "type")
			if name := cmp.Or(rawText(tool["name"]), kind); kind != typeFunction && name != "" {
				tool["name"], _ = plainjson.Marshal(name) // a string cannot fail
			}
			function, _ = plainjson.Marshal(tool) // nor can what was decoded
		}
		var named struct {
			Name string `json:"name"`
		}
		if json.Unmarshal(function, &named) != nil || named.Name == "" {
			return nil
		}
		tools = append(tools, chatTool{typeFunction, function})
	}
	return tools
}
