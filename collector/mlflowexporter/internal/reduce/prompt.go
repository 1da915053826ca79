package reduce

import (
	"slices"
	"strings"
)

// PromptSource names the attributes of a span that tell which prompt was used.
type PromptSource struct {
	Name   string `mapstructure:"name"`   // attribute with the prompt's name
	SHA256 string `mapstructure:"sha256"` // attribute with the hash of its text, in hex
}

// Prompt is a prompt by its name and the hash of its text, lower-case hex of SHA-256. MLflow
// knows prompts by version numbers, which only the registry can tell.
type Prompt struct{ Name, SHA256 string }

// united adds prompts to others, each once.
func united(used, more []Prompt) []Prompt {
	used = slices.Clip(used)
	for _, one := range more {
		if !slices.Contains(used, one) {
			used = append(used, one)
		}
	}
	return used
}

// prompts are those that the sources tell of, in their order, each once.
func (s Span) prompts(sources []PromptSource) (used []Prompt) {
	for _, src := range sources {
		one := Prompt{Name: s.text(src.Name), SHA256: strings.ToLower(s.text(src.SHA256))}
		if one.Name != "" && one.SHA256 != "" && !slices.Contains(used, one) {
			used = append(used, one)
		}
	}
	return used
}
