package telemetry

import (
	"bytes"
	"encoding/json"
	"strings"
)

// marshalIndented writes a value as people read it in MLflow: two spaces a level, the
// characters <, > and & as they are, no newline at the end.
func marshalIndented(v any) (string, error) { return encodeJSON(v, "  ") }

// marshalCompact writes a value on one line, <, > and & as they are.
func marshalCompact(v any) (string, error) { return encodeJSON(v, "") }

func encodeJSON(v any, indent string) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// marshalOutline writes the structure of a value without its texts: each becomes its
// length and its hash, except ids and enumerations.
func marshalOutline(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return "", err
	}
	return marshalIndented(outline(tree, false))
}

// plainKeys hold ids, times and enumerations: structure rather than content.
var plainKeys = map[string]bool{
	"id": true, "supported_by_snippet_ids": true, "adapter": true, "coverage": true,
	"fetched_at": true, "channel": true, "thread_ts": true, "reply_ts": true, "delivery": true,
}

func outline(v any, plain bool) any {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			v[k] = outline(item, plainKeys[k])
		}
		return v
	case []any:
		for i, item := range v {
			v[i] = outline(item, plain)
		}
		return v
	case string:
		if plain {
			return v
		}
		return map[string]any{"bytes": len(v), "sha256": hash(v)}
	default:
		return v
	}
}
