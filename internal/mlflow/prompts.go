package mlflow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Tags by which MLflow knows prompts among registered models.
const (
	TagIsPrompt   = "mlflow.prompt.is_prompt"
	TagPromptText = "mlflow.prompt.text"
	// TagPromptExperiments of a prompt are the ids of the experiments whose pages list it, each
	// between commas. MLflow 3.7 and newer look at it.
	TagPromptExperiments = "_mlflow_experiment_ids"
)

// MaxPromptText is how many characters the text of a prompt may have.
const MaxPromptText = 100_000

// PromptVersion names a version of a prompt.
type PromptVersion struct {
	Name    string `json:"name"`
	Version string `json:"version"` // a number from 1 on
}

// ModelVersion is a version of a registered model; a prompt is one with certain tags.
type ModelVersion struct {
	Name        string     `json:"name"`
	Version     string     `json:"version"`
	Description string     `json:"description"`        // of a prompt: the commit message
	Created     int64      `json:"creation_timestamp"` // ms since 1970
	Tags        []KeyValue `json:"tags"`
}

// Prompt is a registered model that is a prompt.
type Prompt struct {
	Name        string     `json:"name"`
	Description string     `json:"description"`
	Tags        []KeyValue `json:"tags"`
	// Aliases name versions.
	Aliases []Alias `json:"aliases"`
}

// Alias names a version of a prompt.
type Alias struct {
	Alias   string `json:"alias"`
	Version string `json:"version"`
}

// Tag gives the value of a tag, and "" when there is none.
func (p Prompt) Tag(key string) string { return tagOf(p.Tags, key) }

// Version gives the version that an alias names, and "" when it names none.
func (p Prompt) Version(alias string) string {
	for _, a := range p.Aliases {
		if a.Alias == alias {
			return a.Version
		}
	}
	return ""
}

// Tag gives the value of a tag, and "" when there is none.
func (v ModelVersion) Tag(key string) string { return tagOf(v.Tags, key) }

// TextSHA256 is the hash of a prompt's text in hex, as the worker records it.
func (v ModelVersion) TextSHA256() string {
	sum := sha256.Sum256([]byte(v.Tag(TagPromptText)))
	return hex.EncodeToString(sum[:])
}

// VersionNumber is a version to sort by.
func VersionNumber(version string) int {
	n, _ := strconv.Atoi(version) // MLflow counts versions
	return n
}

func tagOf(tags []KeyValue, key string) string {
	for _, t := range tags {
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

// NewPromptVersion is a version to register.
type NewPromptVersion struct {
	Name string
	Text string
	// Message says why, as that of a commit does.
	Message string
	Tags    []KeyValue
}

// CreatePromptVersion registers a version of a prompt, and the prompt when it is not there.
// MLflow makes a new version even of a text that it has.
func (c *Client) CreatePromptVersion(ctx context.Context, v NewPromptVersion) (PromptVersion, error) {
	mark := KeyValue{Key: TagIsPrompt, Value: "true"}
	prompt := map[string]any{"name": v.Name, "tags": []KeyValue{mark}}
	err := c.call(ctx, http.MethodPost, api2+"/registered-models/create", nil, prompt, nil)
	if err != nil && !IsCode(err, CodeAlreadyExists) {
		return PromptVersion{}, err
	}
	version := map[string]any{
		"name": v.Name, "source": "prompt-template", // required, and without meaning for prompts
		"description": v.Message,
		"tags":        append([]KeyValue{mark, {Key: TagPromptText, Value: v.Text}, {Key: "_mlflow_prompt_type", Value: "text"}}, v.Tags...),
	}
	var out struct {
		Version PromptVersion `json:"model_version"`
	}
	err = c.call(ctx, http.MethodPost, api2+"/model-versions/create", nil, version, &out)
	return out.Version, err
}

// GetPrompt reads a prompt with its aliases. One that is not there is an error with CodeNotFound.
func (c *Client) GetPrompt(ctx context.Context, name string) (Prompt, error) {
	var out struct {
		Prompt Prompt `json:"registered_model"`
	}
	err := c.call(ctx, http.MethodGet, api2+"/registered-models/get", url.Values{"name": {name}}, nil, &out)
	return out.Prompt, err
}

// DescribePrompt changes the description of a prompt.
func (c *Client) DescribePrompt(ctx context.Context, name, description string) error {
	in := map[string]string{"name": name, "description": description}
	return c.call(ctx, http.MethodPatch, api2+"/registered-models/update", nil, in, nil)
}

// TagPrompt sets a tag of a prompt.
func (c *Client) TagPrompt(ctx context.Context, name string, tag KeyValue) error {
	in := map[string]string{"name": name, "key": tag.Key, "value": tag.Value}
	return c.call(ctx, http.MethodPost, api2+"/registered-models/set-tag", nil, in, nil)
}

// ListPrompt makes the page of an experiment list a prompt, beside those that do. MLflow has no call that adds an
// id: the tag is read right before it is written, since MLflow's clients and other Collectors add theirs.
func (c *Client) ListPrompt(ctx context.Context, name, experimentID string) error {
	p, err := c.GetPrompt(ctx, name)
	if err != nil {
		return err
	}
	ids := strings.FieldsFunc(p.Tag(TagPromptExperiments), func(r rune) bool { return r == ',' || r == ' ' })
	if slices.Contains(ids, experimentID) {
		return nil
	}
	return c.TagPrompt(ctx, name, KeyValue{Key: TagPromptExperiments, Value: "," + strings.Join(append(ids, experimentID), ",") + ","})
}

// TagPromptVersion sets a tag of a version.
func (c *Client) TagPromptVersion(ctx context.Context, v PromptVersion, tag KeyValue) error {
	in := map[string]string{"name": v.Name, "version": v.Version, "key": tag.Key, "value": tag.Value}
	return c.call(ctx, http.MethodPost, api2+"/model-versions/set-tag", nil, in, nil)
}

// SetPromptAlias makes an alias name a version, and no other one any more.
func (c *Client) SetPromptAlias(ctx context.Context, v PromptVersion, alias string) error {
	in := map[string]string{"name": v.Name, "alias": alias, "version": v.Version}
	return c.call(ctx, http.MethodPost, api2+"/registered-models/alias", nil, in, nil)
}
