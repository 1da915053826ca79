package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/mlflow"
)

var modelProbes = []Probe{
	{
		ID: "model", Title: "The model server",
		About: "OPENAI_BASE_URL is asked for its models, which costs nothing: nobody there, key refused, no such API (fail); a model of MODEL_STAGE_A or _B that it does not list (warn).",
		run:   probeModel,
	},
	{
		ID: "prompts", Title: "Prompts in MLflow's registry",
		About: "The prompts that recent jobs used and those of DATA_DIR, by the hash of their text: one that the registry does not have (warn).",
		Needs: []string{reachable, admitted, "mlflow-access"}, run: probePrompts,
	},
}

// openAI is where models are asked when no address is set.
const openAI = "https://api.openai.com/v1"

func probeModel(ctx context.Context, p *Patient) Finding {
	c := p.Config
	if c.OpenAIKey == "" {
		return skip("there is no OPENAI_API_KEY: comments are made of the page's own sentences")
	}
	base := strings.TrimRight(c.OpenAIBaseURL, "/")
	if base == "" {
		base = openAI
	}
	status, body, err := p.askModel(ctx, http.MethodGet, base+"/models", "")
	if err == nil && status == http.StatusNotFound {
		// It may have no list. An empty request for an answer is refused before any model is
		// asked: as wrong where the API is, as unknown where it is not.
		status, body, err = p.askModel(ctx, http.MethodPost, base+"/chat/completions", "{}")
		if err == nil && (status == http.StatusBadRequest || status == http.StatusUnprocessableEntity) {
			return ok("%s answers; it lists no models, so that whether it has %s is not known", base, c.ModelA)
		}
	}
	f := Finding{Status: Fail, Means: "Stage A of each job fails; after five attempts the job ends as an error."}
	switch {
	case err != nil:
		f.Found, f.Fix = fmt.Sprintf("%s cannot be reached: %v", base, err), "Correct OPENAI_BASE_URL, or the way out of this network (a proxy, a firewall)."
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		f.Found, f.Fix = fmt.Sprintf("%s refuses the key: %s", base, modelError(status, body)), "Correct OPENAI_API_KEY."
	case status == http.StatusTooManyRequests:
		f.Found, f.Fix = fmt.Sprintf("%s refuses more requests: %s", base, modelError(status, body)), "Look at the quota and the limits of the account."
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		f.Found, f.Fix = fmt.Sprintf("%s has no chat completions: %s", base, modelError(status, body)), "OPENAI_BASE_URL is the address with its path, which ends in /v1 with most servers."
	case status != http.StatusOK:
		f.Found, f.Fix = fmt.Sprintf("%s: %s", base, modelError(status, body)), "Look at the model server's own log."
	default:
		return listed(base, body, c.ModelA, c.ModelB)
	}
	return f
}

// listed compares the models that a server lists with those that are set.
func listed(base string, body []byte, wanted ...string) Finding {
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return Finding{
			Status: Fail, Found: base + "/models answers with what is no list of models",
			Means: "What is there is another server.", Fix: "OPENAI_BASE_URL is the address with its path, which ends in /v1 with most servers.",
		}
	}
	var have, missing []string
	for _, m := range list.Data {
		have = append(have, m.ID)
	}
	for _, w := range wanted {
		if !slices.Contains(have, w) && !slices.Contains(missing, w) {
			missing = append(missing, w)
		}
	}
	if len(missing) > 0 {
		shown := joined(have[:min(len(have), 8)])
		return Finding{
			Status: Warn, Found: fmt.Sprintf("%s does not list %s; it has %s", base, joined(missing), shown),
			Means: "Unless the server takes names that it does not list, each job ends as an error.", Fix: "Set MODEL_STAGE_A and MODEL_STAGE_B to models that it has.",
		}
	}
	return ok("%s takes the key and has %s", base, joined(slices.Compact(wanted)))
}

func (p *Patient) askModel(ctx context.Context, method, address, body string) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+p.Config.OpenAIKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: p.Transport}).Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	return resp.StatusCode, answer, err
}

// modelError is what a model server says of a failure.
func modelError(status int, body []byte) string {
	var said struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	text := strings.TrimSpace(string(body))
	if json.Unmarshal(body, &said) == nil && said.Error.Message != "" {
		text = said.Error.Message
	}
	return fmt.Sprintf("HTTP %d %s", status, cut(text, 200))
}

// used is a prompt that the registry should have.
type used struct{ name, hash, by string }

// promptsUsed lists the prompts of recent jobs, and those that the next job uses.
func (p *Patient) promptsUsed(ctx context.Context) (all []used, err error) {
	if db, dbErr := p.database(ctx); dbErr == nil {
		recent, err := db.PromptsUsed(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range recent {
			all = append(all, used{r.Name, r.SHA256, fmt.Sprintf("used by %s, last by job %d", counted.Of(r.Stages, "stage"), r.LastJob)})
		}
	}
	if p.Config.OpenAIKey == "" {
		return all, nil // the offline analyser has none
	}
	d, err := data.Load(ctx, p.path(p.Config.DataDir))
	if err != nil {
		return all, err
	}
	for _, prompt := range []data.Prompt{d.StageA, d.StageB} {
		hash := prompt.SHA256()
		if !slices.ContainsFunc(all, func(u used) bool { return u.name == prompt.Name && u.hash == hash }) {
			all = append(all, used{prompt.Name, hash, "used by the next job"})
		}
	}
	return all, nil
}

func probePrompts(ctx context.Context, p *Patient) Finding {
	all, err := p.promptsUsed(ctx)
	if err != nil {
		return Finding{Status: Fail, Found: err.Error(), Means: "The worker does not start with these prompts.", Fix: "Correct the file that is named."}
	}
	if len(all) == 0 {
		return skip("no recent job used a prompt")
	}
	registered := map[string]map[string]bool{}
	var missing []string
	for _, u := range all {
		if registered[u.name] == nil {
			hashes, err := registeredPrompt(ctx, p.MLflow, u.name)
			if err != nil {
				return skip("the registry cannot be asked: %v", err)
			}
			registered[u.name] = hashes
		}
		if !registered[u.name][u.hash] {
			missing = append(missing, fmt.Sprintf("%s with the text %s (%s)", u.name, cut(u.hash, 12), u.by))
		}
	}
	if len(missing) == 0 {
		return ok("%s used, the registry has all of them", counted.Form(len(all), "prompt is", "prompts are"))
	}
	return Finding{
		Status: Warn, Found: "the registry does not have " + strings.Join(missing, "; "),
		Means: "Runs and traces of these jobs are not linked to a prompt.",
		Fix:   promptFix,
	}
}

const promptFix = "Register the texts of DATA_DIR/prompts: mlflowctl prompts push. Jobs that come later are linked; a text that only older jobs used has to be put back there for that."

// registeredPrompt lists the hashes of a prompt's texts in the registry.
func registeredPrompt(ctx context.Context, m *mlflow.Client, name string) (map[string]bool, error) {
	hashes, token := map[string]bool{}, ""
	for {
		versions, next, err := m.PromptVersions(ctx, name, token)
		if err != nil {
			return nil, err
		}
		for _, v := range versions {
			hashes[v.TextSHA256()] = true
		}
		if token = next; token == "" {
			return hashes, nil
		}
	}
}
