package mlflowtest

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
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

// put writes a file below the artifact root. As on a disk, a name is that of a file or of a folder, unless
// the store has no folders.
func (s *Server) put(path string, content []byte) error {
	if s.IntoFolders && s.folders[path] > 0 {
		path += path[strings.LastIndex(path, "/"):]
	}
	above := folders(path)
	isFile := func(dir string) bool { return s.files[dir] != nil }
	if !s.NoFolders && (s.folders[path] > 0 || slices.ContainsFunc(above, isFile)) {
		return failure{http.StatusInternalServerError, "INTERNAL_ERROR", "[Errno 20] Not a directory"}
	}
	if s.files[path] == nil {
		for _, dir := range above {
			s.folders[dir]++
		}
	}
	s.files[path] = append([]byte{}, content...) // never nil
	return nil
}

// remove removes a file below the artifact root, and the folders that are empty then.
func (s *Server) remove(path string) {
	for _, dir := range folders(path) {
		if s.folders[dir]--; s.folders[dir] == 0 {
			delete(s.folders, dir)
		}
	}
	delete(s.files, path)
}

// folders are those that a file is in.
func folders(path string) (dirs []string) {
	for i, c := range path {
		if c == '/' {
			dirs = append(dirs, path[:i])
		}
	}
	return dirs
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
