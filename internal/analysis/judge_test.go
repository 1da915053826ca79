package analysis

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/commentator"
)

// A judge gets the rubric, the snippets and the comment, answers by a schema, and may correct itself.
func TestJudge(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, string(body))
		answer := `{"faithful": true, "useful": false, "reason": "It says little."}`
		if len(asked) == 1 {
			answer = `{"faithful": "yes"}`
		}
		content, _ := json.Marshal(answer)
		fmt.Fprintf(w, `{"choices": [{"message": {"role": "assistant", "content": %s}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}`, content)
	}))
	defer server.Close()
	d, err := data.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	o, err := NewOpenAI(OpenAIConfig{APIKey: "test", BaseURL: server.URL, ModelStageA: "a", ModelStageB: "b"}, d)
	if err != nil {
		t.Fatal(err)
	}
	e := commentator.Evidence{Snippets: []commentator.Snippet{{ID: "s1", Content: "What the page says."}}}
	said, used, err := o.Judge(t.Context(), "judge-1", "The rubric.", e, commentator.Comment{TLDR: []string{"What the comment says."}})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Judgement{Faithful: true, Reason: "It says little."}); said != want {
		t.Errorf("said %+v, want %+v", said, want)
	}
	if used.Model != "judge-1" || used.Usage.Calls != 2 || used.Usage.Input != 200 {
		t.Errorf("used %+v", used)
	}
	for _, piece := range []string{`"model":"judge-1"`, "The rubric.", "What the page says.", "What the comment says.", `"name":"judgement"`} {
		if !strings.Contains(asked[0], piece) {
			t.Errorf("the request lacks %s", piece)
		}
	}
}
