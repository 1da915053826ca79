package redact

import (
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const testKey = "0b8f7c5e-1111-4222-8333-444455556666"

// join keeps whole tokens out of this file, so that scanners of secrets leave it alone.
func join(parts ...string) string { return strings.Join(parts, "") }

var (
	alnum36 = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"
	hex32   = "0123456789abcdef0123456789abcdef"
	pemBody = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
)

// pem is a private key without a blank, as label says.
func pem(label string) string {
	return join("-----BEGIN ", label, "-----\n", pemBody, "\n", pemBody[8:], "\nq2w3e4==\n-----END ", label, "-----")
}

// secrets are examples of what has a rule of its own, by rule; the whole of each is masked.
var secrets = map[string][]string{
	"anthropic_key":         {join("sk-", "ant-api03-", alnum36)},
	"openrouter_key":        {join("sk-", "or-v1-", hex32)},
	"langfuse_key":          {join("sk-", "lf-0123456789ab-cdef")},
	"openai_key":            {join("sk-", alnum36), join("sk-", "proj-", alnum36, "_x-", alnum36), join("sk-", "svcacct-", alnum36)},
	"huggingface_token":     {join("hf", "_", alnum36)},
	"groq_key":              {join("gsk", "_", alnum36)},
	"xai_key":               {join("xai", "-", alnum36)},
	"replicate_token":       {join("r8", "_", alnum36)},
	"perplexity_key":        {join("pplx", "-", alnum36)},
	"langsmith_key":         {join("lsv2", "_pt_", hex32, "_", "0123456789")},
	"tavily_key":            {join("tvly", "-", alnum36)},
	"aws_access_key_id":     {join("AKIA", "QWERTYUIOPASDFGH"), join("ASIA", "QWERTYUIOPASDFGH")},
	"google_api_key":        {join("AIza", "SyA-", alnum36[:31])},
	"google_oauth_secret":   {join("GOCSPX", "-", alnum36[:28])},
	"google_oauth_token":    {join("ya29", ".a0", alnum36)},
	"digitalocean_token":    {join("dop_v1", "_", hex32, hex32)},
	"supabase_token":        {join("sbp", "_", hex32, "01234567")},
	"aws_bedrock_key":       {join("ABSK", alnum36, alnum36)},
	"azure_client_secret":   {join("aB3", "8Q~", alnum36[:34]), join("_.~", "8Q~", alnum36[:34])},
	"databricks_token":      {join("dapi", hex32, "-2")},
	"mailchimp_key":         {join(hex32, "-us12")},
	"heroku_key":            {join("HRKU", "-01234567-89ab-cdef-0123-456789abcdef")},
	"planetscale_token":     {join("pscale", "_tkn_", alnum36), join("pscale", "_pw_", alnum36)},
	"bitbucket_token":       {join("ATBB", alnum36[:32]), join("ATCTT3", alnum36)},
	"brevo_key":             {join("xkeysib", "-", hex32, hex32, "-", alnum36[:16])},
	"twilio_key":            {join("SK", hex32)},
	"github_token":          {join("ghp", "_", alnum36), join("ghs", "_", alnum36), join("gho", "_", alnum36), join("github", "_pat_11ABCDEFG0", alnum36)},
	"gitlab_token":          {join("glpat", "-", alnum36[:20]), join("gldt", "-", alnum36[:20]), join("glrt", "-", alnum36[:20]), join("GR", "1348941", alnum36[:20])},
	"npm_token":             {join("npm", "_", alnum36)},
	"pypi_token":            {join("pypi", "-AgEIcHlwaS5vcmc", alnum36)},
	"rubygems_key":          {join("rubygems", "_", hex32)},
	"docker_token":          {join("dckr", "_pat_", alnum36)},
	"vault_token":           {join("hvs", ".CAES", alnum36)},
	"age_key":               {join("AGE-SECRET", "-KEY-1QQPQ0123456789ABCDEFGHJK")},
	"slack_token":           {join("xoxb", "-123456789012-1234567890123-", alnum36[:24]), join("xoxp", "-1-2-3-", hex32), join("xoxe.xoxp", "-1-", alnum36), join("xapp", "-1-A012-3-", hex32), join("xwfp", "-1-A012-3-", hex32)},
	"telegram_token":        nil, // masked in part, see TestPartsAreMasked
	"sendgrid_key":          {join("SG", ".", alnum36[:22], ".", alnum36)},
	"mailgun_key":           {join("key", "-", hex32)},
	"stripe_key":            {join("sk", "_live_", alnum36[:24]), join("rk", "_test_", alnum36[:24]), join("sk", "_org_live_", alnum36[:24])},
	"stripe_webhook_secret": {join("whsec", "_", alnum36)},
	"square_token":          {join("sq0", "csp-", alnum36)},
	"shopify_token":         {join("shpat", "_", hex32)},
	"grafana_token":         {join("glsa", "_", alnum36, "_a1b2c3d4")},
	"newrelic_key":          {join("NRAK", "-0123456789ABCDEFGHIJKLMNOPQ")},
	"sentry_token":          {join("sntrys", "_", alnum36)},
	"linear_key":            {join("lin", "_api_", alnum36)},
	"notion_token":          {join("ntn", "_", alnum36)},
	"figma_token":           {join("figd", "_", alnum36)},
	"postman_key":           {join("PMAK", "-", hex32)},
	"atlassian_token":       {join("ATATT3", alnum36)},
	"jwt":                   {join("eyJ", "hbGciOiJIUzI1NiJ9.", "eyJ", "zdWIiOiIxMjM0NTY3ODkwIn0.", alnum36)},
	"private_key":           {pem("PRIVATE KEY"), pem("RSA PRIVATE KEY"), pem("EC PRIVATE KEY"), pem("OPENSSH PRIVATE KEY"), pem("PGP PRIVATE KEY BLOCK")},
	"email":                 {"jane.doe+news@example.co.uk", "jürgen@exämple.de", "a_b@sub.domain.example"},
	"slack_user":            {"U0123456789", "W012A3CDE", "U02AB34CD5E"},
}

// Each token is masked wherever it stands: alone, in prose, in brackets, behind an escape, in
// JSON, in JSON within JSON, in a URL.
func TestVendorsTokensAreMaskedInEveryPlace(t *testing.T) {
	r := New(nil)
	for rule, examples := range secrets {
		for _, secret := range examples {
			for _, form := range []string{"%", "see % now", "(%)", "\"%\"", "a\n%\nb", "<%>", "x=%", "x: %", "https://example.org/a/%/b", "`%`", "%.", "%, and", "key is '%'"} {
				text := strings.Replace(form, "%", secret, 1)
				for layer := range 3 {
					got := r.Text(text)
					if strings.Contains(got, secret) || strings.Contains(got, pemBody[8:28]) || !strings.Contains(got, "[redacted:"+rule+"]") {
						t.Errorf("%s, %d layers of JSON: %q became %q", rule, layer, text, got)
					}
					if layer > 0 && !json.Valid([]byte(got)) {
						t.Errorf("%s: no JSON any more: %s", rule, got)
					}
					b, err := json.Marshal(map[string]string{"content": text})
					if err != nil {
						t.Fatal(err)
					}
					text = string(b)
				}
			}
		}
	}
}

func TestEveryRuleHasAnExample(t *testing.T) {
	elsewhere := map[string]bool{}
	for _, tc := range parts {
		for _, f := range New(nil).Find(tc.in) {
			elsewhere[f.Rule] = true
		}
	}
	for _, name := range New(nil).Rules() {
		if _, ok := secrets[name]; !ok && !elsewhere[name] {
			t.Errorf("rule %s is tried by no test", name)
		}
	}
}

// parts are texts of which a part is masked.
var parts = []struct{ in, want string }{
	{"no secret here", "no secret here"},
	// URLs
	{"see https://example.org/a?b=c#d.", "see https://example.org/a?b=c#d."},
	{"https://medium.com/@user/post", "https://medium.com/@user/post"},
	{"https://user:pass@example.org/x", "https://REDACTED:REDACTED@example.org/x"},
	{"https://token@example.org", "https://REDACTED@example.org"},
	{"https://us@er:pa@ss@example.org/x", "https://REDACTED:REDACTED@example.org/x"},
	{"https://0123456789abcdef… carries a user name", "https://REDACTED… carries a user name"}, // the @ was cut off
	{"two: ftp://a:b@c and https://d:e@f/g", "two: ftp://REDACTED:REDACTED@c and https://REDACTED:REDACTED@f/g"},
	{"https://x.org/?access_token=abc&b=1", "https://x.org/?access_token=REDACTED&b=1"},
	{"https://x.org/?a=1&X-Amz-Signature=abc#f", "https://x.org/?a=1&X-Amz-Signature=REDACTED#f"},
	{`{"url":"https://x.org/?a=1\u0026sig=abc\u0026b=2"}`, `{"url":"https://x.org/?a=1\u0026sig=REDACTED\u0026b=2"}`},
	{"https://x.org/?a=1&amp;key=abc&amp;b=2", "https://x.org/?a=1&amp;key=REDACTED&amp;b=2"},
	{"/login?redirect=https%3A%2F%2Fx.org%2F%3Ftoken%3Dabc%26b%3D2", "/login?redirect=https%3A%2F%2Fx.org%2F%3Ftoken%3DREDACTED%26b%3D2"},
	{"https://x.org/cb#access_token=abc&state=x", "https://x.org/cb#access_token=REDACTED&state=x"},
	{"https://x.org/?token=", "https://x.org/?token="},
	{"https://x.org/? key=abc&b=1", "https://x.org/? key=REDACTED&b=1"}, // cut into sentences and put together
	{`{"content": "sig=abc&b=1"}`, `{"content": "sig=REDACTED&b=1"}`},
	{"say X-Amz-Signature=0123456789abcdef&b=1", "say X-Amz-Signature=[redacted:token]&b=1"},
	{"a key=value store", "a key=value store"},
	{`"KEY=value" lines`, `"KEY=value" lines`},
	{`"session.id": "november"`, `"session.id": "november"`},
	{"<https://u:p@x.org|text>", "<https://REDACTED:REDACTED@x.org|text>"},
	{"postgres://u:p@db:5432/x?sslmode=on", "postgres://REDACTED:REDACTED@db:5432/x?sslmode=on"},
	{"dial postgres://app:pa/s5w0rd@db:5432/x", "dial postgres://REDACTED:REDACTED@db:5432/x"},
	{"postgres://app:pa?s5w0rd@db.example.com/x, redis://a:p#w:1@db", "postgres://REDACTED:REDACTED@db.example.com/x, redis://REDACTED:REDACTED@db"},
	{`{"u":"amqp:\/\/app:pa\/s5w0rd@db\/x","e":"ftp://a:b/c\nd@e.org"}`, `{"u":"amqp:\/\/REDACTED:REDACTED@db\/x","e":"ftp://a:b/c\n[redacted:email]"}`},
	{"https://host:8080/@jane/x https://example.org/a:b/@jane http://[::1]/@jane http://[::1]:80/@jane", "https://host:8080/@jane/x https://example.org/a:b/@jane http://[::1]/@jane http://[::1]:80/@jane"},
	{"http://host:port/x and @jane, http://host:/@jane", "http://host:port/x and @jane, http://host:/@jane"},
	{"http://your-host:port/@scope/pkg, http://localhost:${PORT}/@vite/client, http://$HOST:$PORT/x@2x.png", "http://your-host:port/@scope/pkg, http://localhost:${PORT}/@vite/client, http://$HOST:$PORT/x@2x.png"},
	{"http://h:<port>/@a http://h:{port}/@a http://h:your-port/@a http://h:%d/@a http://h:%PORT%/@a http://h:%(port)s/@a", "http://h:<port>/@a http://h:{port}/@a http://h:your-port/@a http://h:%d/@a http://h:%PORT%/@a http://h:%(port)s/@a"},
	{`ssh://github.com:org/repo@v1.2 git+ssh:\/\/github.com:org/repo@v1.2`, `ssh://github.com:org/repo@v1.2 git+ssh:\/\/github.com:org/repo@v1.2`},
	{"(http://host:x/y),@jane [http://host:x/y]@jane {http://host:x/y}@jane f(http://host:x)/@jane", "(http://host:x/y),@jane [http://host:x/y]@jane {http://host:x/y}@jane f(http://host:x)/@jane"},
	{"redis://app:passport/1@db amqp://app:$ecr3t/1@db amqp://j.doe:%2Fa/1@db", "redis://REDACTED:REDACTED@db amqp://REDACTED:REDACTED@db amqp://REDACTED:REDACTED@db"},
	// A password of digits passes for a port
	{"postgres://user:1234/S3cret99@host/db, redis://:1234?S3cret99@db:6379/0", "postgres://REDACTED:REDACTED@host/db, redis://REDACTED:REDACTED@db:6379/0"},
	{`{"u":"x\npostgresql+psycopg2:\/\/user:1234\/S3cret99@host\/db"}`, `{"u":"x\npostgresql+psycopg2:\/\/REDACTED:REDACTED@host\/db"}`},
	{"https://user:123456/S3cret99@host/x ftp://user:0123/S3cret99@host", "https://REDACTED:REDACTED@host/x ftp://REDACTED:REDACTED@host"},
	{"http://host:8080/path@x http://127.0.0.1:0/@vite/client oci://host:5000/image@sha256:abcd svn://host:3690/x@12", "http://host:8080/path@x http://127.0.0.1:0/@vite/client oci://host:5000/image@sha256:abcd svn://host:3690/x@12"},
	{"postgres://host:5432/a@b jdbc:postgresql://host:5433/db?user=jane@server postgres://host:5433/db", "postgres://host:5432/a@b jdbc:postgresql://host:5433/db?user=jane@server postgres://host:5433/db"},
	{"://", "://"},
	{"https://x.org/?monkey=1&turkey=2", "https://x.org/?monkey=1&turkey=2"},
	{"https://x.org/?mail=jane%40example.org", "https://x.org/?mail=[redacted:email]"},
	{join("https://hooks.slack.com", "/services/T0/B0/", alnum36), "https://hooks.slack.com/[redacted:slack_webhook]"},
	{join("https://discord.com", "/api/webhooks/1/", alnum36), "https://discord.com/api/webhooks/[redacted:discord_webhook]"},
	{join("bot123456789", ":AA", alnum36), "bot123456789:[redacted:telegram_token]"},
	{join(`{"u":"https:\/\/hooks.slack.com`, `\/services\/T012\/B012\/`, alnum36, `"}`), `{"u":"https:\/\/hooks.slack.com\/[redacted:slack_webhook]"}`},
	{join("hooks.slack.com", "/services/T012/B012/", alnum36, "."), "hooks.slack.com/[redacted:slack_webhook]."},
	{join("https://HOOKS.slack.com:443", "/services/T012/B012/", alnum36), "https://HOOKS.slack.com:443/[redacted:slack_webhook]"},
	{join("https://hooks.slack.com", "/triggers/T012/1/", hex32), "https://hooks.slack.com/[redacted:slack_webhook]"},
	{join("https://hooks.slack.com:443", "/triggers/T012/1/", hex32), "https://hooks.slack.com:443/[redacted:slack_webhook]"},
	{join("u=https%3A%2F%2Fhooks.slack.com", "%2Fservices%2FT012%2FB012%2F", alnum36, "&b=1"), "u=https%3A%2F%2Fhooks.slack.com%2F[redacted:slack_webhook]&b=1"},
	{join("u=https%3a%2f%2fhooks.slack.com", "%2fworkflows%2fT012%2fA012%2f1%2f", alnum36), "u=https%3a%2f%2fhooks.slack.com%2f[redacted:slack_webhook]"},
	{"https://hooks.slack.com/docs and services/T/B of it", "https://hooks.slack.com/docs and services/T/B of it"},
	{join("https://canary.discord.com", "/api/webhooks/1/", alnum36), "https://canary.discord.com/api/webhooks/[redacted:discord_webhook]"},
	{join("ptb.discordapp.com", "/api/v10/webhooks/1/", alnum36), "ptb.discordapp.com/api/v10/webhooks/[redacted:discord_webhook]"},
	{"webhooks/1/2 of discord.com/developers/docs/resources/webhook#x", "webhooks/1/2 of discord.com/developers/docs/resources/webhook#x"},
	{join("https://acme.webhook.office.com", "/webhookb2/", hex32, "@", hex32, "/IncomingWebhook/", hex32, "/x"), "https://acme.webhook.office.com/[redacted:teams_webhook]"},
	{join("https://acme.webhook.office.com:443", "/webhookb2/", hex32), "https://acme.webhook.office.com:443/[redacted:teams_webhook]"},
	{`{"u":"https:\/\/u:pw@h\/x"}`, `{"u":"https:\/\/REDACTED:REDACTED@h\/x"}`},
	{"git clone //u:pw@h/x and // a:b@c", "git clone //REDACTED:REDACTED@h/x and // a:b@c"},
	{`{"u":"https://x.org/?access_token\u003dabc\u0026b\u003d2"}`, `{"u":"https://x.org/?access_token\u003dREDACTED\u0026b\u003d2"}`},
	{`{"u":"password\u003dhunter2"}`, `{"u":"password\u003d[redacted:password]"}`},
	{"https%3A%2F%2Fx.org%2Fcb%23access_token%3Dabc%26b", "https%3A%2F%2Fx.org%2Fcb%23access_token%3DREDACTED%26b"},
	{"<password>hunter2</password><ns:apiKey>abcdefgh1</ns:apiKey><password/><b>password</b>", "<password>[redacted:password]</password><ns:apiKey>[redacted:api_key]</ns:apiKey><password/><b>password</b>"},
	{`"\u003cpassword\u003ehunter2 x\u003c/password\u003e"`, `"\u003cpassword\u003e[redacted:password]\u003c/password\u003e"`},
	{"a <token> of thanks, password> hunter2", "a <token> of thanks, password> hunter2"},
	// Assignments
	{"password=hunter2", "password=[redacted:password]"},
	{"DB_PASSWORD = 'correct horse battery'", "DB_PASSWORD = '[redacted:password]'"},
	{"password := `correct horse battery`", "password := `[redacted:password]`"},
	{`{"password": "hunter2", "user": "x"}`, `{"password": "[redacted:password]", "user": "x"}`},
	{`"{\"password\": \"hunter2\", \"a\": 1}"`, `"{\"password\": \"[redacted:password]\", \"a\": 1}"`},
	{`"{\\\"password\\\": \\\"hunter2\\\"}"`, `"{\\\"password\\\": \\\"[redacted:password]\\\"}"`},
	{`pw:\npassword: hunter22\nnext`, `pw:\npassword: [redacted:password]\nnext`},
	{`{"password": 12345678, "token":123456789012}`, `{"password": "[redacted:password]", "token":"[redacted:token]"}`},
	{`"{\"password\":12345678}"`, `"{\"password\":\"[redacted:password]\"}"`},
	{`[{"a":"the password:"}],"b":1`, `[{"a":"the password:"}],"b":1`},
	{"client_secret: abc123def", "client_secret: [redacted:secret]"},
	{"X-Api-Key: 0123456789", "X-Api-Key: [redacted:api_key]"},
	{"apiKey='abcdefgh1'", "apiKey='[redacted:api_key]'"},
	{"'password' => 'hunter2',", "'password' => '[redacted:password]',"},
	{"token := \"abcdefgh1\"", "token := \"[redacted:token]\""},
	{"user=jane&password=hunter2&next=/", "user=jane&password=REDACTED&next=/"},
	{"aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "aws_secret_access_key = [redacted:aws_secret_access_key]"},
	{"connect(password=hunter2)", "connect(password=[redacted:password])"},
	{"mysql --password hunter2 -u x", "mysql --password [redacted:password] -u x"},
	{"cli --token abcdefgh1 run", "cli --token [redacted:token] run"},
	{join("api_key=", "sk-", "ant-", alnum36), "api_key=[redacted:anthropic_key]"},
	{"the token: a sequence of letters", "the token: a sequence of letters"},
	{"password: string", "password: string"},
	{"password=${PASSWORD}", "password=${PASSWORD}"},
	{"prompt_tokens: 12345678", "prompt_tokens: 12345678"},
	{"secretary: Johnson", "secretary: Johnson"},
	{"password=[redacted:password]", "password=[redacted:password]"},
	{"DB_PASS=swordfish SMTP_PASS: hunter2 MYSQL_PW=hunter2", "DB_PASS=[redacted:password] SMTP_PASS: [redacted:password] MYSQL_PW=[redacted:password]"},
	{`{"pass":"hunter2","dbPass":"hunter2"}`, `{"pass":"[redacted:password]","dbPass":"[redacted:password]"}`},
	{"pass := isNil(object); PASS=hunter2(x", "pass := isNil(object); PASS=[redacted:password]"},
	{`bypass=anything {"compass": "north by east"} the second pass: compaction`, `bypass=anything {"compass": "north by east"} the second pass: compaction`},
	{"Ocp-Apim-Subscription-Key: 0123456789abcdef", "Ocp-Apim-Subscription-Key: [redacted:api_key]"},
	{"DD-APPLICATION-KEY: 0123456789abcdef, DD_APP_KEY=0123456789abcdef", "DD-APPLICATION-KEY: [redacted:api_key], DD_APP_KEY=[redacted:api_key]"},
	{"//registry.npmjs.org/:_auth=dXNlcjpwYXNzd29yZA==", "//registry.npmjs.org/:_auth=[redacted:basic_auth]"},
	{`{"auths":{"https://x.org/v1/":{"auth":"dXNlcjpwYXNzd29yZA=="}},"auth":"oauth2 or none"}`, `{"auths":{"https://x.org/v1/":{"auth":"[redacted:basic_auth]"}},"auth":"oauth2 or none"}`},
	// Quotes within quotes
	{`{"password":"abcd\"S3cret99","a":"b"}`, `{"password":"[redacted:password]","a":"b"}`},
	{`{"password":"ab\"S3cret99"}`, `{"password":"[redacted:password]"}`},
	{`{"password":"abcd\\","a":"\"S3cret99"}`, `{"password":"[redacted:password]\\","a":"\"S3cret99"}`}, // a backslash is its last letter
	{`"{\"password\":\"abcd\\\"S3cret99\",\"a\":1}"`, `"{\"password\":\"[redacted:password]\",\"a\":1}"`},
	{`"{\"a\":\"password=\\\"abcd\"}"`, `"{\"a\":\"password=\\\"[redacted:password]\"}"`},
	{`DB_PASS='ab"S3cret99' x`, `DB_PASS='[redacted:password]' x`},
	{`DB_PASS='"S3cret99"' x`, `DB_PASS='[redacted:password]' x`},
	{`{"c":"DB_PASS='ab\"S3cret99' x"}`, `{"c":"DB_PASS='[redacted:password]' x"}`},
	{`q := "AND password='" + pass + "'"`, `q := "AND password='" + pass + "'"`},
	{`{"c":"q := \"AND password='\" + pass + \"'\""}`, `{"c":"q := \"AND password='\" + pass + \"'\""}`},
	{`"password='"+pass+"'", "password='" . $pass . "'", "password='".$pass."'", "password='", pass`, `"password='"+pass+"'", "password='" . $pass . "'", "password='".$pass."'", "password='", pass`},
	{"x = \"password=`\" + pass + \"`\"", "x = \"password=`\" + pass + \"`\""},
	{`DB_PASS='"+S3cret99"' DB_PASS='".S3cret99'`, `DB_PASS='[redacted:password]' DB_PASS='[redacted:password]'`},
	{`DB_PASS='ab\'S3cret99' x`, `DB_PASS='[redacted:password]' x`},
	{`{"c":"DB_PASS='ab\\'S3cret99' x"}`, `{"c":"DB_PASS='[redacted:password]' x"}`},
	{`{"password":"it\\'s S3cret99"}`, `{"password":"[redacted:password]"}`},
	{`{"a":"password='abcdef","b":"it's"}`, `{"a":"password='[redacted:password]","b":"it's"}`}, // a string of JSON ends before the quote
	{`"{\"a\":\"password='abcdef\"\n}" it's`, `"{\"a\":\"password='[redacted:password]\"\n}" it's`},
	{`{"password":"ab\u0026S3cret99"}`, `{"password":"[redacted:password]"}`},
	{`{"Authorization":"Bearer abcdef\"S3cret99","Cookie":["a=b\"S3cret99"]}`, `{"Authorization":"Bearer [redacted:authorization]","Cookie":["[redacted:cookie]"]}`},
	// Lists and pairs of JSON
	{`{"X-Api-Key":["abcdefgh1", "abcdefgh2"],"Accept":["text/html"]}`, `{"X-Api-Key":["[redacted:api_key]", "[redacted:api_key]"],"Accept":["text/html"]}`},
	{`"{\"Cookie\":[\"a=b; c=d\"],\"Authorization\":[\"Bearer abcdef\",\"Basic dXNlcjpwYXNz\"]}"`, `"{\"Cookie\":[\"[redacted:cookie]\"],\"Authorization\":[\"Bearer [redacted:authorization]\",\"Basic [redacted:authorization]\"]}"`},
	{`{"tokens":["abcdefgh1"],"token":[],"password":[1, "x"]}`, `{"tokens":["abcdefgh1"],"token":[],"password":[1, "x"]}`},
	{"{\"password\": [\n    \"hunter2\"\n  ]}", "{\"password\": [\n    \"[redacted:password]\"\n  ]}"},
	{`{"name":"X-Api-Key","value":"abcdefgh1"},{"name": "Accept", "value": "text/html1"}`, `{"name":"X-Api-Key","value":"[redacted:api_key]"},{"name": "Accept", "value": "text/html1"}`},
	{`"{\"name\": \"Cookie\",\n  \"value\": \"a=b\"}"`, `"{\"name\": \"Cookie\",\n  \"value\": \"[redacted:cookie]\"}"`},
	{`{"kty":"EC","d":"` + alnum36 + `_-aB1cD2","x":"` + alnum36 + `_-aB1cD2"}`, `{"kty":"EC","d":"[redacted:jwk]","x":"` + alnum36 + `_-aB1cD2"}`},
	{`<path d="M0123456789 0123456789L01234567890123456789z"/> {"q":"a question","d":"2024"}`, `<path d="M0123456789 0123456789L01234567890123456789z"/> {"q":"a question","d":"2024"}`},
	// Headers
	{"Authorization:\tBearer\tabcdef", "Authorization:\tBearer\t[redacted:authorization]"},
	{`{"h":"Authorization:\tBearer\tabcdef"}`, `{"h":"Authorization:\tBearer\t[redacted:authorization]"}`},
	{"sent Bearer  abcdef123456, Bearer%20abcdef123456", "sent Bearer  [redacted:bearer_token], Bearer%20[redacted:bearer_token]"},
	{"Authorization: SSWS 00abcdef", "Authorization: SSWS [redacted:authorization]"},
	{"Authorization: Users must be signed in since 2024", "Authorization: Users must be signed in since 2024"},
	{"Authorization:\r\n Bearer abcdef\r\nX: y", "Authorization:\r\n Bearer [redacted:authorization]\r\nX: y"},
	{`"Authorization:\r\n\tBearer abcdef\r\nX: y"`, `"Authorization:\r\n\tBearer [redacted:authorization]\r\nX: y"`},
	{`Authorization: Digest username="x", response="` + hex32 + `", opaque="y"`, `Authorization: Digest username="x", response="[redacted:authorization]", opaque="y"`},
	{"Authorization: AWS4-HMAC-SHA256 Credential=" + join("AKIA", "QWERTYUIOPASDFGH") + "/2024/s3, Signature=" + hex32 + hex32, "Authorization: AWS4-HMAC-SHA256 Credential=[redacted:aws_access_key_id], Signature=[redacted:authorization]"},
	{"response=abc signature = deadbeef", "response=abc signature = deadbeef"},
	{"Authorization: Bearer abc.def-123456", "Authorization: Bearer [redacted:authorization]"},
	{"authorization: Basic dXNlcjpwYXNz", "authorization: Basic [redacted:authorization]"},
	{"sent bearer abcdef123456 to it", "sent bearer [redacted:bearer_token] to it"},
	{"Basic dXNlcjpwYXNzd29yZA==", "Basic [redacted:basic_auth]"},
	{"Basic understanding of bearer authentication", "Basic understanding of bearer authentication"},
	{"Set-Cookie: sid=abc123; Path=/\nX: y", "Set-Cookie: [redacted:cookie]\nX: y"},
	{"Cookies: small files", "Cookies: small files"},
	// People
	{"<@U42> and <@W0123ABCD>", "<@[redacted:slack_user]> and <@[redacted:slack_user]>"},
	{"\\u003c@U42\\u003e", "\\u003c@[redacted:slack_user]\\u003e"},
	{"<@U0123456789|jane.doe>, <@W42|Jürgen D. O’Neil> and <@U42|>", "<@[redacted:slack_user]>, <@[redacted:slack_user]> and <@[redacted:slack_user]>"},
	{`{"a":"\u003c@U42|jane doe\u003e","b":"<@U42|jane"}`, `{"a":"\u003c@[redacted:slack_user]\u003e","b":"<@[redacted:slack_user]"}`},
	{"<@U42|ja", "<@[redacted:slack_user]"},
	{`"\"<@U42|Jane \\\"JD\\\" Doe\\u003e\""`, `"\"<@[redacted:slack_user]\\\"JD\\\" Doe\\u003e\""`},
	{"<@U42|" + pem("PRIVATE KEY"), "<@[redacted:slack_user]|[redacted:private_key]"},
	{"<@U42|" + strings.Repeat("no name ", 50) + ">", "<@[redacted:slack_user]|" + strings.Repeat("no name ", 50) + ">"},
	{"https://x.slack.com/team/UABCDEFGH, https://x.slack.com/team/U0123456789?a", "https://x.slack.com/team/[redacted:slack_user], https://x.slack.com/team/[redacted:slack_user]?a"},
	{`{"u":"https:\/\/x.slack.com\/team\/WABCDEFGH"} %2Fteam%2FUABCDEFGH`, `{"u":"https:\/\/x.slack.com\/team\/[redacted:slack_user]"} %2Fteam%2F[redacted:slack_user]`},
	{"/team/UTAH /team/UNIVERSITY_PRESS /teams/UNIVERSITY steam/UNIVERSITY", "/team/UTAH /team/UNIVERSITY_PRESS /teams/UNIVERSITY steam/UNIVERSITY"},
	{"UNIVERSITY of WASHINGTON, UTF8 and C0123456789", "UNIVERSITY of WASHINGTON, UTF8 and C0123456789"},
	{"clone git@github.com:a/b and react@18.2.0, logo@2x.png, @decorator, a @ b", "clone git@github.com:a/b and react@18.2.0, logo@2x.png, @decorator, a @ b"},
	{"mailto:jane@example.org?subject=x", "mailto:[redacted:email]?subject=x"},
	{"jane@x.xn--p1ai, jane&#64;x.org jane&amp;#x40;x.org", "[redacted:email], [redacted:email] [redacted:email]"},
	{`"jane\u0040x.org" "\"jane\\u0040x.org\" \u0026 a\u0026#64;b.org"`, `"[redacted:email]" "\"[redacted:email]\" \u0026 [redacted:email]"`},
	{strings.Repeat("a", 64) + "@x.org " + strings.Repeat("b-", 90) + "b@x.org", "[redacted:email] [redacted:email]"},
	{`line\njane@example.org\n`, `line\n[redacted:email]\n`},
	// Prose behind a colon
	{"The secret: practice makes perfect", "The secret: practice makes perfect"},
	{"Password: please choose one. Password: Required!", "Password: please choose one. Password: Required!"},
	{"his credentials: everything was lost; her credentials: well-known", "his credentials: everything was lost; her credentials: well-known"},
	{"the pwd: prints… the secret: it’s", "the pwd: prints… the secret: it’s"},
	{"client_secret: obtained from the console", "client_secret: obtained from the console"},
	{"db_password: swordfish\nx: y", "db_password: [redacted:password]\nx: y"},
	{`{"yaml":"db_password: swordfish\nx: y"}`, `{"yaml":"db_password: [redacted:password]\nx: y"}`},
	{"password: hunter2", "password: [redacted:password]"},
	{"password: S3cr3t!", "password: [redacted:password]"},
	{"password: correctHorse", "password: [redacted:password]"},
	{"passphrase: horse!battery", "passphrase: [redacted:password]"},
	{"password: sword-Fish", "password: [redacted:password]"},
	{`"password": swordfish`, `"password": "[redacted:password]"`}, // YAML: no sentence has quotes around the name
	{"password=anything", "password=[redacted:password]"},
	{`{"secret": "practice makes perfect"}`, `{"secret": "[redacted:secret]"}`},
	// Words that look like tokens
	{`<a class="sk-estimator-doc-link fitted">, sk-toggleable-label-arrow, sk-container-id-12`, `<a class="sk-estimator-doc-link fitted">, sk-toggleable-label-arrow, sk-container-id-12`},
	{join("sk-", "dev-", alnum36[:20]), "[redacted:openai_key]"},
	{"task-abcdefghijklmnopqrstuvwxyz and risk-proj-abcdefghijklmnopqrst", "task-abcdefghijklmnopqrstuvwxyz and risk-proj-abcdefghijklmnopqrst"},
	{"-----BEGIN CERTIFICATE-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END CERTIFICATE-----"},
}

func TestPartsAreMasked(t *testing.T) {
	r := New(nil)
	for _, tc := range parts {
		if got := r.Text(tc.in); got != tc.want {
			t.Errorf("%q became %q, want %q", tc.in, got, tc.want)
		}
	}
}

// A text may have been cut anywhere before it gets here, so that what a rule looks at next may be missing.
func TestTextsMayBeCutAnywhere(t *testing.T) {
	r := New(nil)
	for _, tc := range parts {
		for at := range tc.in {
			for _, cut := range []string{tc.in[:at], tc.in[at:]} {
				once := r.Text(cut)
				if twice := r.Text(once); twice != once {
					t.Errorf("%q became %q, and that %q", cut, once, twice)
				}
			}
		}
	}
}

// JSON of people's texts has <, > and & as they are; rows and messages of earlier versions have them
// escaped. What is found in those is found in these.
func TestBothFormsOfJSONAreMaskedAlike(t *testing.T) {
	onlyPlain := map[string]bool{ // found where nothing is escaped
		"'password' => 'hunter2',":                            true,
		"jane@x.xn--p1ai, jane&#64;x.org jane&amp;#x40;x.org": true,
	}
	r := New(nil)
	unescaped := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&")
	seen := 0
	for _, tc := range parts {
		if !strings.ContainsAny(tc.in, "<>&") || strings.Contains(tc.in, `\u00`) {
			continue
		}
		seen++
		escaped, err := json.Marshal(map[string]string{"text": tc.in})
		if err != nil {
			t.Fatal(err)
		}
		want := unescaped.Replace(r.Text(string(escaped)))
		got := r.Text(unescaped.Replace(string(escaped)))
		if same := got == want; same == onlyPlain[tc.in] {
			t.Errorf("%s became\n%s\nescaped it became\n%s", tc.in, got, want)
		}
	}
	if seen < 20 {
		t.Errorf("only %d texts have such characters", seen)
	}
}

// The file of a Google service account is a private key, its id, and an address.
func TestServiceAccountKeysAreMasked(t *testing.T) {
	file, err := json.MarshalIndent(map[string]string{
		"type": "service_account", "project_id": "p", "private_key_id": hex32, "private_key": pem("PRIVATE KEY") + "\n",
		"client_email": "robot@p.iam.gserviceaccount.com", "client_id": "1",
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		got := New(nil).Text(string(file))
		if !json.Valid([]byte(got)) {
			t.Errorf("no JSON any more: %s", got)
		}
		for _, secret := range []string{hex32, pemBody[:20], pemBody[20:40], "robot@"} {
			if strings.Contains(got, secret) {
				t.Errorf("%s is left: %s", secret, got)
			}
		}
		if file, err = json.Marshal(map[string]string{"content": string(file)}); err != nil {
			t.Fatal(err)
		}
	}
}

// A key whose lines lie in several strings of JSON, or whose beginning or end is missing, is
// masked line by line, and the JSON stays.
func TestCutPrivateKeysAreMasked(t *testing.T) {
	r := New(nil)
	begin, end := join("-----BEGIN ", "PRIVATE KEY-----"), join("-----END ", "PRIVATE KEY-----")
	for _, text := range []string{
		`[{"id":"s1","content":"x ` + begin + ` ` + pemBody + `"},{"id":"s2","content":"` + pemBody + ` ` + pemBody + ` ` + end + ` y"}]`,
		`{"content":"` + begin + `\n` + pemBody + `\n` + pemBody + `"}`,
		`{"content":"` + pemBody + `\n` + pemBody + `\n` + end + `"}`,
		`{"code":"key := \"` + begin + `\\n\" +\n\t\"` + pemBody + `\\n\" +\n\t\"` + pemBody + `\\n\" +\n\t\"` + end + `\""}`,
	} {
		got := r.Text(text)
		if strings.Contains(got, pemBody[:20]) || !strings.Contains(got, "[redacted:private_key]") || !json.Valid([]byte(got)) {
			t.Errorf("%s became %s", text, got)
		}
	}
	if got, want := r.Text(begin+" is how it begins."), begin+" is how it begins."; got != want {
		t.Errorf("prose became %q", got)
	}
}

// A key may have been put into a URL, or be in the form of PuTTY.
func TestFurtherFormsOfPrivateKeys(t *testing.T) {
	r := New(nil)
	encoded := url.QueryEscape(pem("RSA PRIVATE KEY"))
	for _, form := range []string{encoded, strings.ReplaceAll(encoded, "+", "%20"), encoded[:len(encoded)-40]} {
		if got := r.Text("?k=" + form); strings.Contains(got, pemBody[8:28]) || strings.Contains(got, pemBody[len(pemBody)-10:]) {
			t.Errorf("%s became %s", form, got)
		}
	}
	ppk := "Public-Lines: 1\n" + alnum36 + "\nPrivate-Lines: 3\n" + pemBody + "\n" + pemBody + "\nq2w3e4==\nPrivate-MAC: x\n"
	want := "Public-Lines: 1\n" + alnum36 + "\nPrivate-Lines: 3" + strings.Repeat("\n[redacted:private_key]", 3) + "\nPrivate-MAC: x\n"
	if got := r.Text(ppk); got != want {
		t.Errorf("%s became %s", ppk, got)
	}
	inJSON, err := json.Marshal(ppk)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Text(string(inJSON)); got != strings.ReplaceAll(`"`+want+`"`, "\n", `\n`) {
		t.Errorf("%s became %s", inJSON, got)
	}
}

func TestPeopleGetTheSamePseudonymUnderOneKey(t *testing.T) {
	a, b := New(nil).WithKey(testKey), New(nil).WithKey("another")
	want := "hi <@" + Pseudonym(testKey, "U0123456789") + ">"
	if got := a.Text("hi <@U0123456789>"); got != want || b.Text("hi <@U0123456789>") == want {
		t.Errorf("pseudonyms are %q and %q", got, b.Text("hi <@U0123456789>"))
	}
}

func TestMasksAreCountedByRule(t *testing.T) {
	r := New(nil)
	r.Text("jane@example.org and joe@example.org, password=hunter2")
	r.Find("jane@example.org")
	got := map[string]int64{}
	r.Counts(func(rule string, n int64) { got[rule] = n })
	if len(got) != 2 || got["email"] != 2 || got["password"] != 1 {
		t.Errorf("counts are %v", got)
	}
}

func TestNilMasksNothing(t *testing.T) {
	var r *Redactor
	if got := r.WithKey("k").Text("jane@example.org"); got != "jane@example.org" || r.Find(got) != nil || r.Rules() != nil {
		t.Errorf("Text() = %q", got)
	}
	r.Counts(func(string, int64) { t.Error("a count") })
}

// A rule that notes a match whose beginning is left to the others reads no byte twice: a page of
// nothing but --token=, would be read to its end from each of them.
func TestMatchesThatAreNotedDoNotOverlap(t *testing.T) {
	own := New(parsed(t, "rules:\n  - {name: ref, regex: 'ref:(\\S+)', prefix: 'ref:'}\n  - {name: id, regex: 'id:\\S+', prefix: 'id:'}"))
	for _, piece := range []string{"--token=,", "--token={", "--token=${", "--password=,", "--api-key=,", "ref:,", "id:,", "password=ref:,"} {
		sc := scan{r: own, s: strings.Repeat(piece, 1000)}
		sc.run()
		read := 0
		for _, f := range sc.noted {
			read += f.End - f.Start
		}
		if read == 0 || read > 2*len(sc.s) { // in what another rule has found it is looked for once more
			t.Errorf("%q: %d matches of %d bytes in a text of %d", piece, len(sc.noted), read, len(sc.s))
		}
	}
}

func TestTextWithoutAFindingCostsNoAllocation(t *testing.T) {
	r := New(nil)
	s := strings.Repeat("a text with https://example.org/path?page=2, a: b, x=1, and tokens: 5; ", 1000)
	if n := testing.AllocsPerRun(10, func() { r.Text(s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// pieces of texts that make rules meet.
var pieces = []string{
	"://", "@", "?", "&", "=", ":", "#", "\"", "\\", "\\n", "\\u0026", "%3D", "%40", " ", "\n", "token", "password", "key", "sig", "U0123456789", "<@U42>", "<@U42|", ">", "/team/UABCDEFGH",
	"：", "＝", "　", "密码", "「", "API key", "key", "</password>", "<password a>", "<![CDATA[", "]]>", "**", "[None]", ": string = ", "\"password\"", "#61;", "name: password\n", "value", ": ", ";\r\n ", "X-Api-Key", hidden,
	"a", "b.org", "1", "REDACTED", "[redacted:email]", "bearer ", "Basic ", "dXNlcjpwYXNz", "authorization", "cookie", "é", "[", "]", ",", "\"token\":[\"", "\"name\":\"password\",\"value\":", "\\t", "\\r\\n ", "SSWS ", "signature", "%20", hex32, ":\\/\\/", "//", "\\u0040", "\\u003d", "\\u003e", "#64;", "<password>", "</", "hooks.slack.com", "/services/T0/B0/", "%2Fservices%2FT0%2FB0%2F",
	"discord.com/api/webhooks/1/", "a.webhook.office.com/", "Private-Lines: 2\n", "-----BEGIN%20PRIVATE%20KEY-----%0A", "\\/", "'", "`", ".", "-", "pass='", "pass=\"", "\"\"", "''", "\"\"pass\"\":\"\"a", "\\\"", "\\'",
	join("gh", "p_", alnum36), join("sk-", alnum36), join("eyJ", "hbGciOiJIUzI1NiJ9."), join("-----BEGIN ", "PRIVATE KEY-----"), join("-----END ", "PRIVATE KEY-----"), pemBody,
}

// text draws a text in which rules meet.
func text(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(pieces), rapid.StringN(0, 4, 8)), 0, 30).Draw(t, "pieces"), "")
}

// What is masked stays as it is when it is masked again. (With pieces of private keys, whose
// lines are told by their neighbours, more of a nonsense text may be masked.)
func TestMaskedTextIsStable(t *testing.T) {
	r := New(nil)
	check := func(t interface{ Errorf(string, ...any) }, s string) {
		once := r.Text(s)
		if twice := r.Text(once); twice != once {
			t.Errorf("%q became %q, then %q", s, once, twice)
		}
	}
	for _, s := range []string{"/services/T0/B0///:@", "/services/T0/B0/a//b:c@d", "https://hooks.slack.com/services/T0/B0//:@"} {
		check(t, s)
	}
	rapid.Check(t, func(t *rapid.T) { check(t, strings.ReplaceAll(text(t), "-----", "--")) })
}

// value draws what JSON may hold, under names that rules know.
func value(t *rapid.T, depth int) any {
	kind := rapid.IntRange(0, 6).Draw(t, "kind")
	switch {
	case kind == 0:
		return rapid.Int().Draw(t, "number")
	case kind == 1:
		return rapid.SampledFrom([]any{true, nil, 0.5}).Draw(t, "literal")
	case kind == 2 && depth > 0:
		return []any{value(t, depth-1), value(t, depth-1)}
	case kind == 3 && depth > 0:
		object := map[string]any{}
		for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"password", "token", "Authorization", "cookie", "key", "content", "private_key", "auth", "name", "value", "d", "db_pass"}), 0, 3).Draw(t, "names") {
			object[name] = value(t, depth-1)
		}
		return object
	}
	return text(t)
}

// shape is a value without its texts and numbers.
func shape(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, item := range v {
			v[name] = shape(item)
		}
		return v
	case []any:
		for i, item := range v {
			v[i] = shape(item)
		}
		return v
	}
	return nil
}

// JSON stays JSON of the same shape, however it is laid out and however often it was put into
// JSON before.
func TestMaskedJSONStaysJSON(t *testing.T) {
	r := New(nil).WithKey(testKey)
	rapid.Check(t, func(t *rapid.T) {
		marshal := json.Marshal
		if rapid.Bool().Draw(t, "indented") {
			marshal = func(v any) ([]byte, error) { return json.MarshalIndent(v, "", "  ") }
		}
		b, err := marshal(value(t, 3))
		layers := rapid.IntRange(0, 2).Draw(t, "layers")
		for range layers {
			b, err = marshal([]string{string(b)})
		}
		if err != nil {
			t.Fatal(err)
		}
		before, after := string(b), r.Text(string(b))
		for layer := range layers + 1 {
			var was, is any
			if err := errors.Join(json.Unmarshal([]byte(before), &was), json.Unmarshal([]byte(after), &is)); err != nil {
				t.Fatalf("%s became %s: %v", before, after, err)
			}
			if layer < layers {
				before, after = was.([]any)[0].(string), is.([]any)[0].(string)
			} else if !reflect.DeepEqual(shape(was), shape(is)) {
				t.Fatalf("%s became %s", before, after)
			}
		}
	})
}

// Findings are in order, apart from each other and whole runes, and masking is what they say.
func TestFindingsAreInOrder(t *testing.T) {
	r := New(nil).WithKey(testKey)
	rapid.Check(t, func(t *rapid.T) {
		s := text(t)
		end := 0
		var b strings.Builder
		for _, f := range r.Find(s) {
			if f.Start < end || f.End <= f.Start || f.End > len(s) {
				t.Fatalf("findings of %q: %v", s, r.Find(s))
			}
			b.WriteString(s[end:f.Start] + f.mask)
			end = f.End
		}
		if b.WriteString(s[end:]); b.String() != r.Text(s) {
			t.Errorf("%q: %q, but findings give %q", s, r.Text(s), b.String())
		}
	})
}
