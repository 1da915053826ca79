package commentator

// Facts is the result of stage A.
type Facts struct {
	KeyFacts           []Fact   `json:"key_facts"`
	Unknowns           []string `json:"unknowns"`
	CoverageAssessment string   `json:"coverage_assessment"`
	// Related names entries of the technology index that the search tool found; stage B
	// draws similar tech from them.
	Related []string `json:"related,omitempty"`
}

// Fact is a statement with the snippets that support it.
type Fact struct {
	Fact        string   `json:"fact"`
	SupportedBy []string `json:"supported_by_snippet_ids"`
}

// Comment is the result of stage B.
//
// TLDR has exactly 3 sentences, Summary 10 to 15, Projects 3 to 8 bullets of the form
// "**Theme** — text", SimilarTech 0 to 8. Each sentence ends with . ! or ?, or what another script
// has for these, and closing marks behind it, and holds no newline. The gates check this; a Comment may break it.
type Comment struct {
	TLDR        []string `json:"tldr"`
	Summary     []string `json:"summary"`
	Projects    []string `json:"projects"`
	SimilarTech []string `json:"similar_tech"`
}

// Analysis is what an analyser used for one stage.
type Analysis struct {
	Provider    string   `json:"provider,omitempty"` // "offline", "openai"
	Model       string   `json:"model,omitempty"`
	PromptName  string   `json:"prompt_name,omitempty"`
	PromptSHA   string   `json:"prompt_sha256,omitempty"`
	Temperature *float64 `json:"temperature,omitempty"`
	MaxTokens   int      `json:"max_tokens,omitempty"`
	Usage       Usage    `json:"usage"`
	ToolCalls   int      `json:"tool_calls"`
	// Sources are the addresses and index entries that the analysis drew on, for sources.txt.
	Sources []string `json:"sources,omitempty"`
}

// Usage counts the tokens of model calls. Input includes the cached ones.
type Usage struct {
	Calls         int   `json:"calls"`
	Input         int64 `json:"input_tokens"`
	Output        int64 `json:"output_tokens"`
	CacheRead     int64 `json:"cache_read_input_tokens"`
	CacheCreation int64 `json:"cache_creation_input_tokens"`
	Reasoning     int64 `json:"reasoning_output_tokens"`
}

// Add returns the sum of two usages.
func (u Usage) Add(o Usage) Usage {
	return Usage{
		Calls: u.Calls + o.Calls, Input: u.Input + o.Input, Output: u.Output + o.Output,
		CacheRead: u.CacheRead + o.CacheRead, CacheCreation: u.CacheCreation + o.CacheCreation,
		Reasoning: u.Reasoning + o.Reasoning,
	}
}

// GateReport is the verdict of the quality gates.
type GateReport struct {
	Passed   bool          `json:"passed"`
	Total    int           `json:"total"` // gates evaluated
	Failures []GateFailure `json:"failures"`
}

// GateFailure says which gate failed and why, in a sentence for people.
type GateFailure struct {
	Gate    string `json:"gate"` // "summary_sentence_count", …
	Message string `json:"message"`
}

// GateLimits are the numbers that the gates check against.
type GateLimits struct {
	SummaryMin int `json:"summary_min"` // 10
	SummaryMax int `json:"summary_max"` // 15
	TLDR       int `json:"tldr"`        // exactly 3
	ThemesMin  int `json:"themes_min"`  // at least 2 project bullets name one of our themes
}

// Post is the result of the last stage.
type Post struct {
	Delivery string `json:"delivery"` // "slack", "store" or "print"
	Channel  string `json:"channel"`
	ThreadTS string `json:"thread_ts"`
	ReplyTS  string `json:"reply_ts,omitempty"` // Slack's timestamp of the reply
	// MoreTS are those of the further messages of a comment that is too long for one, in order.
	MoreTS []string `json:"more_ts,omitempty"`
	Text   string   `json:"text"` // the whole comment as mrkdwn
	// Payload is the request body of chat.postMessage, sent or not, without what repeats the
	// text as blocks and without the metadata; an array of these when there are several messages.
	Payload []byte `json:"payload"`
}
