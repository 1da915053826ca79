package openaitest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const format = `"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":{"type":"object","additionalProperties":false,"properties":{}}}}`

// What a real server would refuse is refused, with a reason.
func TestRefusals(t *testing.T) {
	user := `"model":"gpt-4o","messages":[{"role":"user","content":"{}"}]`
	cases := map[string]struct {
		path, key, body string
		status          int
		says            string
	}{
		"good":               {body: "{" + user + "," + format + "}", status: 200},
		"other path":         {path: "/v1/models", body: "{}", status: 404, says: "there is no POST /v1/models"},
		"no key":             {key: "-", body: "{" + user + "," + format + "}", status: 401, says: "Incorrect API key"},
		"no JSON":            {body: "{", status: 400, says: "can't be decoded"},
		"no model":           {body: `{"messages":[{"role":"user","content":""}],` + format + "}", status: 400, says: "model is missing"},
		"no messages":        {body: `{"model":"m",` + format + "}", status: 400, says: "messages is empty"},
		"no schema":          {body: "{" + user + "}", status: 400, says: "strict json_schema"},
		"loose schema":       {body: "{" + user + "," + strings.Replace(format, `"strict":true`, `"strict":false`, 1) + "}", status: 400, says: "strict json_schema"},
		"open schema":        {body: "{" + user + "," + strings.Replace(format, `"additionalProperties":false,`, "", 1) + "}", status: 400, says: "without additionalProperties"},
		"no schema at all":   {body: "{" + user + "," + strings.Replace(format, `"properties":{}`, `"properties":{"a":{"type":"wrong"}}`, 1) + "}", status: 400, says: "response_format: "},
		"loose tool":         {body: "{" + user + "," + format + `,"tools":[{"type":"function","function":{"name":"search"}}]}`, status: 400, says: "strict functions"},
		"unasked tool":       {body: `{"model":"m","messages":[{"role":"tool","tool_call_id":"1"}],` + format + "}", status: 400, says: "answers no tool call"},
		"unanswered at last": {body: `{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"1"}]}],` + format + "}", status: 400, says: "were not answered"},
		"unanswered before":  {body: `{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"1"}]},{"role":"user"}],` + format + "}", status: 400, says: "was not answered"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := &Handler{Key: "sk-x"}
			path := "/v1/chat/completions"
			if tc.path != "" {
				path = tc.path
			}
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(tc.body))
			if tc.key == "" {
				r.Header.Set("Authorization", "Bearer sk-x")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tc.status {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			var answer struct{ Error struct{ Message string } }
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(answer.Error.Message, tc.says) {
				t.Errorf("%q doesn't say %q", answer.Error.Message, tc.says)
			}
		})
	}
}
