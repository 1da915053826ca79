package redact

import (
	"encoding/json"
	"strings"
	"testing"
)

// hidden is a secret that is known by its name only.
const hidden = "Hx7kQ29zLmP4vT81nB"

// Secrets are known by names of several words, in other scripts, and however they are laid out: in a
// text, in JSON, and in JSON within JSON.
func TestFormsOfNamesAndValuesAreMasked(t *testing.T) {
	r := New(nil)
	for _, form := range []string{
		// Names of several words
		"API key: %", "API Key: %.", "Api Key = %", "Your API key: \"%\"", "'API key': '%'", "Secret key: %", "Access Key: %",
		"Secret access key: %", "AWS Secret Access Key [None]: %", "AWS Secret Access Key [****************ABCD]: %", "private key: %",
		// Full-width
		"password：%", "password　：　%", "password＝%", "password：「%」", "password：%。", "API Key：%、", "password: 「%」",
		"パスワード: %", "APIキー：%", "密码：%，", "비밀번호: %", "Пароль: %",
		// Layout
		"{\"password\":\n\"%\"}", "{\"password\"\n :\n \"%\"}", "{\"password\"\t:\t\"%\"}", "{\"password\"\r\n:\r\n[\"%\"]}", "'password':\n\t'%',",
		"{\"a\": 1,\n \"API key\"\n: \"%\"}", "{\"\"password\"\"\n:\n\"\"%\"\"}", "{'password'\n: '%'}", "{\"密码\"\n: \"%\"}",
		"password\t=\t%", "Password         : %",
		// XML
		"<password type=\"x\">%</password>", "<password>\n  %\n</password>", "<password><![CDATA[%]]></password>", "<ns:password a='b'>%</ns:password>",
		"<apiKey a=\"b\">\n\t<![CDATA[%]]>\n</apiKey>", "<p>x</p><password\n  a=\"b\"\n>%</password>",
		// Headers
		"Authorization: Bearer\r\n %", "Authorization:\r\n Bearer\r\n\t%", "X-Api-Key:\r\n %", "X-Api-Key: \n\t%\nX: y", "Cookie: a=b;\r\n c=%", "Cookie: a=b;\r\n c=d;\r\n e=%\r\nX: y",
		// Marks and types
		"*password*: %", "**password**: %", "**Password:** %", "**API key:** %", "password&#61;%", "password&#x3D;%",
		"const apiKey: string = \"%\"", "val apiKey: String = \"%\"", "let password: &str = \"%\"", "const TOKEN: &'static str = \"%\"",
		"password:string=\"%\"", "password: string   = \"%\"", "password: string|null=\"%\"",
		"password: Optional[str] = '%'", "api_key: str | None = \"%\"", "password: SecretStr = \"%\"",
		"- name: DB_PASSWORD\n  value: %", "- name: \"DB_PASSWORD\"\n  value: \"%\"", "- name: API_TOKEN\n  value: %\n- name: x",
		// Places of a map
		"config[\"password\"] = \"%\"", "app.config['SECRET_KEY'] = '%'", "$_SESSION['password']='%';", "x[\"api_key\"]=\"%\"", "os.environ[\"DB_PASSWORD\"] = '%'",
		// Commands
		"curl -u jane:%", "curl -sS -X POST -u 'jane:%' https://example.org", "curl --user \"jane:%\" x", "curl -u :% x",
		"curl -H \"Content-Type: text/xml; charset=utf-8\" -u jane:% x", "curl -A 'Mozilla/5.0 (X11; Linux)' -u jane:% x", "curl 'https://x/?a=b|c' -u jane:% x",
		"curl \\\r\n -u jane:% \\\r\n x", "$ curl \\\n  -u jane@example:% \\\n  x",
	} {
		text := strings.Replace(form, "%", hidden, 1)
		for layer := range 3 {
			got := r.Text(text)
			if strings.Contains(got, hidden) || !strings.Contains(got, "[redacted:") {
				t.Errorf("%d layers of JSON: %s became %s", layer, text, got)
			}
			if layer > 0 && !json.Valid([]byte(got)) {
				t.Errorf("no JSON any more: %s", got)
			}
			if twice := r.Text(got); twice != got {
				t.Errorf("%s became %s, then %s", text, got, twice)
			}
			b, err := json.Marshal([]string{text})
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
	}
}

// What stands around a secret stays.
func TestOnlyTheSecretOfAFormIsMasked(t *testing.T) {
	r := New(nil)
	for in, want := range map[string]string{
		"API key: %.":                                              "API key: [redacted:api_key].",
		"AWS Secret Access Key [None]: %":                          "AWS Secret Access Key [None]: [redacted:aws_secret_access_key]",
		"password：%。次へ":                                            "password：[redacted:password]。次へ",
		"password：「%」":                                             "password：「[redacted:password]」",
		"{\"password\"\n :\n \"%\", \"a\": 1}":                     "{\"password\"\n :\n \"[redacted:password]\", \"a\": 1}",
		"<password>\n  %\n</password>":                             "<password>\n  [redacted:password]\n</password>",
		"<password a=\"b\"><![CDATA[%]]></password>":               "<password a=\"b\"><![CDATA[[redacted:password]]]></password>",
		"<token>%</token><token a=\"b\">%</token>":                 "<token>[redacted:token]</token><token a=\"b\">[redacted:token]</token>",
		"Cookie: a=b;\r\n c=%\r\nX: y":                             "Cookie: [redacted:cookie]\r\n [redacted:cookie]\r\nX: y",
		"**Password:** % and":                                      "**Password:** [redacted:password] and",
		"'-o', 'Credentials:gs_host=' + gs_ip, '-o', token='%'":    "'-o', 'Credentials:[redacted:secret]' + gs_ip, '-o', token='[redacted:token]'",
		"密码：https://jane:%@example.org/?token=%":                   "密码：https://REDACTED:REDACTED@example.org/?token=REDACTED",
		"let password: Option<String> = \"%\";":                    "let password: Option<String> = \"[redacted:password]\";",
		"curl -s -u 'jane:%' x -u":                                 "curl -s -u 'jane:[redacted:password]' x -u",
		"curl -u ghp_0123456789abcdefghij:x-oauth-basic https://x": "curl -u [redacted:github_token]:[redacted:password] https://x",
		"curl -u jane@example.org:% x":                             "curl -u [redacted:email]:[redacted:password] x",
		"curl --user \"AKIAIOSFODNN7EXAMPLE:%\" x":                 "curl --user \"[redacted:aws_access_key_id]:[redacted:password]\" x",
		"config[\"password\"] = \"%\"":                             "config[\"password\"] = \"[redacted:password]\"",
		"\"password\"\n: \"%\"":                                    "\"password\"\n: \"[redacted:password]\"",
		"**Token**: https://jane:%@example.org/":                   "**Token**: https://REDACTED:REDACTED@example.org/",
		"const apiKey: string = \"%\";":                            "const apiKey: string = \"[redacted:api_key]\";",
		"- name: DB_PASSWORD\n  value: swordfish\n- name: x":       "- name: DB_PASSWORD\n  value: [redacted:password]\n- name: x",
	} {
		if got := r.Text(strings.ReplaceAll(in, "%", hidden)); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// The same forms without a secret, as pages and code have them.
func TestFormsWithoutASecretAreLeft(t *testing.T) {
	r := New(nil)
	for _, same := range []string{
		"The API key: what it is", "Get an API key: https://example.org/v1/keys2", "API key: YOUR_API_KEY", "Private key: ~/.ssh/id_ed25519", "private key: /etc/ssl/private/server1.key",
		"Encryption key: AES-256-GCM", "private key: 2048-bit", "Access key: Alt+Shift+1", "The secret key: practice", "primary key: customer_id_2024", "public key: " + hidden,
		"the key: " + hidden, "Foreign key = " + hidden, `{"API key": "the key that you were given"}`, "API key = os.getenv(name)",
		"password：请输入您的密码，密码长度为8位以上，并且必须包含字母和数字，不能与用户名相同", "密码：必须", "パスワード：8文字以上で入力してください", "API Key：请在8小时内使用", "注意：" + hidden, "пароль: введите",
		"\"password\":\n  user: x1", "\"password\":\n", "password\n: hunter22", "token\n= abcdefgh1",
		"<password type=\"x\"></password>", "<token a=\"b\"> thanks", "<b a=\"c\">" + hidden + "</b>", "<p>" + hidden + "</password>", "<password><a>x</a>\n</password>", "</password>", "a/password> " + hidden,
		"authorization: basic\n  username: jane1", "X-Api-Key:\n  required: true1", "x-token:\n  a sentence of 2024", "token:\n  " + hidden + "-file", "Cookie: small\n files",
		"**Note:** " + hidden, "**password:** required", "*password*: please", "apiKey: string", "apiKey: string = null", "errExpiredToken         = \"expired_token\"", "password: str = Field(min_length=8)", "password: a == \"hunter22\"",
		`Password: <input type="password" name="x1">`, `Token: <a href="https://example.org/docs/tokens">`, `secret: <a href="/docs/secrets.html">`, `Password: <span class="hint-text">`,
		`Password: <img src="login.png">`, "The password: it has to be = 'word' then", `The secret: use x = "hello world"`, `The token: we say x = "abcdefgh1"`, `password: if a then b = "hello"`,
		":class:`~botocore.credentials.Credentials`\n    :param region: the region1", "cond\n ? \"password\"\n : \"plain text\"", "cond\n ? 'token'\n : 'plain text 1'", "case \"password\"\n: return y_1",
		"API密钥：https://example.com/apikeys2", "APIキー：https://console.example.com/v1/keys2", "APIキー: 12345678", "パスワード：https://example.com/reset2", "密码：https:\\/\\/example.com\\/reset2",
		"- **Token**: https://example.org/tokens/v2", "**Credentials**: https://eu.api.ovh.com/console/?a=b", "**Token:** https://example.org/tokens/v2", "**Your token**: http://example.org/tokens/v2",
		"- name: LOG_LEVEL\n  value: debug1234", "- name: DB_PASSWORD\n  valueFrom: secret1", "name: DB_PASSWORD value: hunter22", "value: " + hidden,
		"errors['password'] = 'Your password is too short'", "x[\"token\"] = tokens[\"a1b2c3d4\"]", "config['password'] = secrets.get(name1)", "x[\"names\"] = \"" + hidden + "\"", "a[i] = \"" + hidden + "\"",
		"docker run -u jane:" + hidden + " x", "curl x\ndocker run -u jane:" + hidden + "\n", "curl x\r\ndocker run -u jane:" + hidden, "curl x; docker run -u jane:" + hidden, "curl x | sudo -u jane:" + hidden, "apt-get install -y curl && docker run -u node:nodejs x", "apt-get install -y curl wget && docker run -u node:nodejs x",
		"Tools: curl, jq. Run `docker exec -u root:root web sh`", "<p>curl x</p><p>docker run --user nginx:nginx</p>", "rsync, curl: sudo -u postgres:postgres psql", "curl x &amp;&amp; docker run -u node:nodejs x", "curl -u jane:$PASSWORD x", "curl -u 1000:1000 x", "curl -u jane:<password>", "curl -u jane x:" + hidden,
	} {
		text := same
		for range 3 {
			if got := r.Text(text); got != text {
				t.Errorf("%s became %s", text, got)
			}
			b, err := json.Marshal(text)
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
	}
}

// The value of a name may hold names with values in turn. A text of many is not looked at anew for each.
func TestValuesWithinAValueAreNotLookedAt(t *testing.T) {
	r := New(nil)
	for _, piece := range []string{"token#61;", "token&#61;", `token\u003d`, "token#x3d;", "bearer+", "Bearer+"} {
		text := strings.Repeat(piece, 1000)
		few := testing.AllocsPerRun(5, func() { r.Text(text[:10*len(piece)]) })
		if many := testing.AllocsPerRun(5, func() { r.Text(text) }); many > few+50 {
			t.Errorf("%s: 10 of it cost %v allocations, 1000 of it %v", piece, few, many)
		}
	}
}
