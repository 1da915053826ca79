package validate

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestUptimeIsAskedOfPrometheus(t *testing.T) {
	for name, c := range map[string]struct {
		answer, wrong string
		share         float64
	}{
		"known":      {answer: `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1795680000.1,"0.9975"]}]}}`, share: 0.9975},
		"not known":  {answer: `{"status":"success","data":{"resultType":"vector","result":[]}}`, wrong: "127.0.0.1:8888"},
		"refused":    {answer: `{"status":"error","errorType":"bad_data","error":"parse error"}`, wrong: "parse error"},
		"a web page": {answer: `<html>`, wrong: "no answer of Prometheus"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked string
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = r.URL.Path + " " + r.URL.Query().Get("query")
				_, _ = io.WriteString(w, c.answer)
			}))
			defer s.Close()
			share, err := Uptime(t.Context(), s.URL+"/")
			if share != c.share || (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%v, %v", share, err)
			}
			if asked != "/api/v1/query "+uptimeQuery {
				t.Errorf("asked %s", asked)
			}
		})
	}
}
