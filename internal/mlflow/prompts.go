package mlflow

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// Tags by which MLflow knows prompts among registered models.
const (
	TagIsPrompt   = "mlflow.prompt.is_prompt"
	TagPromptText = "mlflow.prompt.text"
)

// PromptVersion names a version of a prompt.
type PromptVersion struct {
	Name    string `json:"name"`
	Version string `json:"version"` // a number from 1 on
}

// ModelVersion is a version of a registered model; a prompt is one with certain tags.
type ModelVersion struct {
	Name    string     `json:"name"`
	Version string     `json:"version"`
	Tags    []KeyValue `json:"tags"`
}

// Tag gives the value of a tag, and "" when there is none.
func (v ModelVersion) Tag(key string) string {
	for _, t := range v.Tags {
		if t.Key == key {
			return t.Value
		}
	}
	return ""
}

// PromptVersions lists one page of the versions of a prompt, and gives the token of the next,
// which is empty on the last one. A prompt that is not there has none.
func (c *Client) PromptVersions(ctx context.Context, name, pageToken string) ([]ModelVersion, string, error) {
	q := url.Values{
		"filter":      {"name = '" + strings.ReplaceAll(name, "'", "") + "' AND tags.`" + TagIsPrompt + "` = 'true'"},
		"max_results": {"100"},
	}
	if pageToken != "" {
		q.Set("page_token", pageToken)
	}
	var out struct {
		Versions []ModelVersion `json:"model_versions"`
		Next     string         `json:"next_page_token"`
	}
	err := c.call(ctx, http.MethodGet, api2+"/model-versions/search", q, nil, &out)
	return out.Versions, out.Next, err
}

// LinkPrompts makes a trace findable by versions of prompts. Linking again changes nothing;
// whether the prompts exist is not checked.
func (c *Client) LinkPrompts(ctx context.Context, traceID string, prompts ...PromptVersion) error {
	in := map[string]any{"trace_id": traceID, "prompt_versions": prompts}
	return c.call(ctx, http.MethodPost, api2+"/traces/link-prompts", nil, in, nil)
}

// CreatePromptVersion registers a version of a prompt, and the prompt when it is not there.
// MLflow makes a new version even of a text that it has.
func (c *Client) CreatePromptVersion(ctx context.Context, name, text string, tags ...KeyValue) (PromptVersion, error) {
	mark := KeyValue{Key: TagIsPrompt, Value: "true"}
	prompt := map[string]any{"name": name, "tags": []KeyValue{mark}}
	err := c.call(ctx, http.MethodPost, api2+"/registered-models/create", nil, prompt, nil)
	if err != nil && !IsCode(err, CodeAlreadyExists) {
		return PromptVersion{}, err
	}
	version := map[string]any{
		"name": name, "source": "prompt-template", // required, and without meaning for prompts
		"tags": append([]KeyValue{mark, {Key: TagPromptText, Value: text}, {Key: "_mlflow_prompt_type", Value: "text"}}, tags...),
	}
	var out struct {
		Version PromptVersion `json:"model_version"`
	}
	err = c.call(ctx, http.MethodPost, api2+"/model-versions/create", nil, version, &out)
	return out.Version, err
}
