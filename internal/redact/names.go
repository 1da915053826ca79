package redact

// Names of the rules that are code.
const (
	rulePassword      = "password"
	ruleSecret        = "secret"
	ruleAPIKey        = "api_key"
	ruleToken         = "token"
	ruleAWSSecret     = "aws_secret_access_key"
	ruleAuthorization = "authorization"
	ruleCookie        = "cookie"
	ruleURLParameter  = "url_parameter"
	ruleUserInfo      = "url_userinfo"
	ruleEmail         = "email"
	rulePrivateKey    = "private_key"
	ruleSlackUser     = "slack_user"
	ruleJWK           = "jwk"
	ruleOpenAI        = "openai_key"
)

var codeRules = []string{
	rulePassword, ruleSecret, ruleAPIKey, ruleToken, ruleAWSSecret, ruleAuthorization, ruleCookie,
	ruleURLParameter, ruleUserInfo, ruleEmail, rulePrivateKey, ruleSlackUser, ruleJWK,
}
