package mlflowtest

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/technoshare/commentator/internal/mlflow"
)

const artifactPath = "/api/2.0/mlflow-artifacts/artifacts/"

func (s *Server) artifactRoutes() {
	s.mux.HandleFunc("PUT "+artifactPath+"{path...}", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the file stays as it was
		}
		path := r.PathValue("path")
		if strings.Contains(path, "..") || strings.Contains(path, "#") {
			answer(w, nil, invalid("Invalid path"))
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		answer(w, nil, s.put(path, body))
	})
	s.mux.HandleFunc("POST /ajax-api/2.0/mlflow/upload-artifact", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		run, err := s.run(r.URL.Query().Get("run_uuid"))
		if err == nil && len(body) > mlflow.MaxUpload {
			err = invalid("Artifact size is too large. Max size is 10MB.")
		}
		if err == nil {
			err = s.store(run.info.ArtifactURI, r.URL.Query().Get("path"), body)
		}
		answer(w, nil, err)
	})
	s.mux.HandleFunc("GET /get-artifact", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		run, err := s.run(r.URL.Query().Get("run_uuid"))
		if err != nil {
			answer(w, nil, err)
			return
		}
		_, _ = w.Write(s.list(run.info.ArtifactURI)[r.URL.Query().Get("path")])
	})
	handle(s, "GET "+api2+"/artifacts/list", func(_ struct{}, r *http.Request) (any, error) {
		run, err := s.run(r.URL.Query().Get("run_id"))
		if err != nil {
			return nil, err
		}
		dir := r.URL.Query().Get("path")
		if dir != "" {
			dir += "/"
		}
		files := []mlflow.File{}
		dirs := map[string]bool{}
		for path, content := range s.list(run.info.ArtifactURI) {
			rest, ok := strings.CutPrefix(path, dir)
			if !ok {
				continue
			}
			if top, _, nested := strings.Cut(rest, "/"); nested {
				if !dirs[top] {
					dirs[top] = true
					files = append(files, mlflow.File{Path: dir + top, IsDir: true})
				}
				continue
			}
			files = append(files, mlflow.File{Path: path, Size: int64(len(content))})
		}
		return map[string]any{"files": files}, nil
	})
}

// store writes below an artifact address, as the server would with its own rights.
func (s *Server) store(uri, path string, content []byte) error {
	if !filepath.IsAbs(uri) {
		return s.put(strings.TrimPrefix(uri, "mlflow-artifacts:/")+"/"+path, content)
	}
	name := filepath.Join(uri, path)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, content, 0o600)
}

// put writes a file below the artifact root. As on a disk, a name is that of a file or of a folder.
func (s *Server) put(path string, content []byte) error {
	for other := range s.files {
		if strings.HasPrefix(other, path+"/") || strings.HasPrefix(path, other+"/") {
			return failure{http.StatusInternalServerError, "INTERNAL_ERROR", "[Errno 20] Not a directory"}
		}
	}
	s.files[path] = content
	return nil
}

// list gives the files below an artifact address.
func (s *Server) list(uri string) map[string][]byte {
	out := map[string][]byte{}
	if !filepath.IsAbs(uri) {
		dir := strings.TrimPrefix(uri, "mlflow-artifacts:/")
		for path, content := range s.files {
			if rest, ok := strings.CutPrefix(path, dir+"/"); ok {
				out[rest] = content
			}
		}
		return out
	}
	_ = filepath.WalkDir(uri, func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(uri, name)
			out[filepath.ToSlash(rel)], _ = os.ReadFile(name)
		}
		return nil
	})
	return out
}
