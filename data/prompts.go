package data

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Prompt is the instruction for a model stage.
type Prompt struct {
	Name        string `yaml:"name"`
	Description string `yaml:"description"`
	Content     string `yaml:"content"`
}

// SHA256 identifies the content: lower-case hex of its UTF-8 bytes, as decoded from YAML.
func (p Prompt) SHA256() string {
	sum := sha256.Sum256([]byte(p.Content))
	return hex.EncodeToString(sum[:])
}

func loadPrompt(ctx context.Context, files source, name string) (Prompt, error) {
	body, err := files.read(ctx, name)
	if err != nil {
		return Prompt{}, err
	}
	name = files.name(name)
	var p Prompt
	if err := decode(name, body, &p); err != nil {
		return Prompt{}, err
	}
	var errs []error
	for _, f := range []struct{ key, value string }{{"name", p.Name}, {"description", p.Description}, {"content", p.Content}} {
		if strings.TrimSpace(f.value) == "" {
			errs = append(errs, fmt.Errorf("%s: %s: is missing", name, f.key))
		}
	}
	return p, errors.Join(errs...)
}
