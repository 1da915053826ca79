package wire

// Token counts have names of two parts: whose tokens, and which.
const (
	UsageOfCalls  = "gen_ai.usage"
	UsageOfStageA = "stage_a.usage"
	UsageOfStageB = "stage_b.usage"

	UsageInput         = ".input_tokens"
	UsageOutput        = ".output_tokens"
	UsageCacheRead     = ".cache_read.input_tokens"
	UsageCacheCreation = ".cache_creation.input_tokens"
)
