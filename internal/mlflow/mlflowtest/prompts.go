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
	handle(s, "POST "+api2+"/registered-models/create", func(in mlflow.Prompt, _ *http.Request) (any, error) {
		if s.prompts[in.Name] != nil {
			return nil, failure{http.StatusBadRequest, mlflow.CodeAlreadyExists, "Prompt (name=" + in.Name + ") already exists."}
		}
		s.prompts[in.Name] = []mlflow.ModelVersion{}
		in.Aliases = nil
		s.models[in.Name] = &in
		return nil, nil
	})
	s.modelRoutes()
	handle(s, "POST "+api2+"/model-versions/create", func(in mlflow.ModelVersion, _ *http.Request) (any, error) {
		in.Version, in.Created = strconv.Itoa(len(s.prompts[in.Name])+1), s.tick()
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
			if id := v.Name + "/" + v.Version; s.ShortLinks && len([]rune(id)) > 36 {
				return nil, failure{http.StatusBadRequest, "BAD_REQUEST", "(psycopg2.errors.StringDataRightTruncation) value too long for type character varying(36)"}
			}
		}
		for _, v := range in.Versions {
			if !slices.Contains(t.prompts, v) {
				t.prompts = append(t.prompts, v)
			}
		}
		return nil, nil
	})
}

// modelRoutes are those about a prompt as a whole, and tags of its versions.
func (s *Server) modelRoutes() {
	find := func(name string) (*mlflow.Prompt, error) {
		if m := s.models[name]; m != nil {
			return m, nil
		}
		return nil, notFound("Registered Model with name=%s not found", name)
	}
	handle(s, "GET "+api2+"/registered-models/get", func(_ struct{}, r *http.Request) (any, error) {
		m, err := find(r.URL.Query().Get("name"))
		return map[string]any{"registered_model": m}, err
	})
	handle(s, "PATCH "+api2+"/registered-models/update", func(in mlflow.Prompt, _ *http.Request) (any, error) {
		m, err := find(in.Name)
		if err == nil {
			m.Description = in.Description
		}
		return nil, err
	})
	type change struct{ Name, Version, Alias, Key, Value string }
	handle(s, "POST "+api2+"/registered-models/set-tag", func(in change, _ *http.Request) (any, error) {
		m, err := find(in.Name)
		if err == nil {
			m.Tags = withTag(m.Tags, in.Key, in.Value)
		}
		return nil, err
	})
	handle(s, "POST "+api2+"/registered-models/alias", func(in change, _ *http.Request) (any, error) {
		m, err := find(in.Name)
		if err != nil {
			return nil, err
		}
		if n, _ := strconv.Atoi(in.Version); n < 1 || n > len(s.prompts[in.Name]) {
			return nil, notFound("Model Version (name=%s, version=%s) not found", in.Name, in.Version)
		}
		m.Aliases = slices.DeleteFunc(m.Aliases, func(a mlflow.Alias) bool { return a.Alias == in.Alias })
		m.Aliases = append(m.Aliases, mlflow.Alias{Alias: in.Alias, Version: in.Version})
		return nil, nil
	})
	handle(s, "POST "+api2+"/model-versions/set-tag", func(in change, _ *http.Request) (any, error) {
		n, _ := strconv.Atoi(in.Version)
		if n < 1 || n > len(s.prompts[in.Name]) {
			return nil, notFound("Model Version (name=%s, version=%s) not found", in.Name, in.Version)
		}
		v := &s.prompts[in.Name][n-1]
		v.Tags = withTag(v.Tags, in.Key, in.Value)
		return nil, nil
	})
}

func withTag(tags []mlflow.KeyValue, key, value string) []mlflow.KeyValue {
	tags = slices.DeleteFunc(slices.Clone(tags), func(t mlflow.KeyValue) bool { return t.Key == key })
	return append(tags, mlflow.KeyValue{Key: key, Value: value})
}
