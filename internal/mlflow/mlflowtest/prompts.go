package mlflowtest

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"

	"github.com/technoshare/commentator/internal/mlflow"
)

var promptFilter = regexp.MustCompile("^name = '([^']*)' AND tags\\.`" + regexp.QuoteMeta(mlflow.TagIsPrompt) + "` = 'true'$")

func (s *Server) promptRoutes() {
	handle(s, "POST "+api2+"/registered-models/create", func(in struct{ Name string }, _ *http.Request) (any, error) {
		if s.prompts[in.Name] != nil {
			return nil, failure{http.StatusBadRequest, mlflow.CodeAlreadyExists, "Prompt (name=" + in.Name + ") already exists."}
		}
		s.prompts[in.Name] = []mlflow.ModelVersion{}
		return nil, nil
	})
	handle(s, "POST "+api2+"/model-versions/create", func(in mlflow.ModelVersion, _ *http.Request) (any, error) {
		in.Version = strconv.Itoa(len(s.prompts[in.Name]) + 1)
		s.prompts[in.Name] = append(s.prompts[in.Name], in)
		return map[string]any{"model_version": in}, nil
	})
	handle(s, "GET "+api2+"/model-versions/search", func(_ struct{}, r *http.Request) (any, error) {
		m := promptFilter.FindStringSubmatch(r.URL.Query().Get("filter"))
		if m == nil {
			return nil, invalid("Invalid filter %q", r.URL.Query().Get("filter"))
		}
		newest := slices.Clone(s.prompts[m[1]])
		slices.Reverse(newest)
		const page = 2 // small, so that clients meet more than one
		from, _ := strconv.Atoi(r.URL.Query().Get("page_token"))
		out := map[string]any{"model_versions": newest[min(from, len(newest)):min(from+page, len(newest))]}
		if from+page < len(newest) {
			out["next_page_token"] = strconv.Itoa(from + page)
		}
		return out, nil
	})
	handle(s, "POST "+api2+"/traces/link-prompts", func(in struct {
		TraceID  string                 `json:"trace_id"`
		Versions []mlflow.PromptVersion `json:"prompt_versions"`
	}, _ *http.Request,
	) (any, error) {
		t := s.traces[in.TraceID]
		if t == nil {
			return nil, notFound("Trace with ID '%s' not found.", in.TraceID)
		}
		for _, v := range in.Versions {
			if !slices.Contains(t.prompts, v) {
				t.prompts = append(t.prompts, v)
			}
		}
		return nil, nil
	})
}
