package mlflow

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

const artifactAPI = "/api/2.0/mlflow-artifacts/artifacts/"

// MaxUpload is what UploadArtifact takes at most, in bytes.
const MaxUpload = 10 << 20

// ArtifactURL gives the address to which files below artifactURI are PUT, and false when
// the server does not serve that place (a local path, a bucket).
func (c *Client) ArtifactURL(artifactURI string) (string, bool) {
	u, err := url.Parse(artifactURI)
	if err != nil {
		return "", false
	}
	switch u.Scheme {
	case "mlflow-artifacts":
		path := artifactAPI + strings.Trim(u.EscapedPath(), "/")
		if u.Host == "" || u.Host == c.base.Host {
			return path, true
		}
		return c.base.Scheme + "://" + u.Host + path, true
	case "http", "https":
		return strings.TrimRight(artifactURI, "/"), true
	}
	return "", false
}

// PutArtifact writes a file below an address that ArtifactURL gave, replacing what is
// there. It is atomic and idempotent.
func (c *Client) PutArtifact(ctx context.Context, dir, path string, content []byte) error {
	return c.put(ctx, request{
		method: http.MethodPut, path: dir + "/" + escapePath(path), body: content,
		header: http.Header{"Content-Type": {"application/octet-stream"}},
	})
}

// UploadArtifact lets the server write a file of a run to wherever the run's artifacts
// are. It is the endpoint behind MLflow's own UI and takes at most MaxUpload bytes.
func (c *Client) UploadArtifact(ctx context.Context, runID, path string, content []byte) error {
	return c.put(ctx, request{
		method: http.MethodPost, path: ajaxAPI + "/upload-artifact",
		query:  url.Values{"run_uuid": {runID}, "path": {path}},
		header: http.Header{"Content-Type": {"application/octet-stream"}}, body: content,
	})
}

// File is one entry of a directory of artifacts.
type File struct {
	Path  string `json:"path"` // relative to the run's artifact root
	IsDir bool   `json:"is_dir"`
	Size  int64  `json:"file_size"`
}

// ListArtifacts lists a directory of a run; dir is "" for its root.
func (c *Client) ListArtifacts(ctx context.Context, runID, dir string) ([]File, error) {
	q := url.Values{"run_id": {runID}}
	if dir != "" {
		q.Set("path", dir)
	}
	var all []File
	for {
		var out struct {
			Files []File `json:"files"`
			Next  string `json:"next_page_token"`
		}
		if err := c.call(ctx, http.MethodGet, api2+"/artifacts/list", q, nil, &out); err != nil {
			return nil, err
		}
		all = append(all, out.Files...)
		if out.Next == "" {
			return all, nil
		}
		q.Set("page_token", out.Next)
	}
}

// GetArtifact reads a file of a run through the server, wherever it is, up to 64 MiB.
func (c *Client) GetArtifact(ctx context.Context, runID, path string) ([]byte, error) {
	b, _, err := c.do(ctx, request{method: http.MethodGet, path: "/get-artifact", query: url.Values{"run_uuid": {runID}, "path": {path}}})
	return b, err
}

// ReadArtifact reads a file below an address that ArtifactURL gave.
func (c *Client) ReadArtifact(ctx context.Context, dir, path string) ([]byte, error) {
	b, _, err := c.do(ctx, request{method: http.MethodGet, path: dir + "/" + escapePath(path)})
	return b, err
}

// RemoveArtifacts removes a file, or a directory with all that is in it, below an address that
// ArtifactURL gave. MLflow's own log-in lets those do so who may manage the experiment.
func (c *Client) RemoveArtifacts(ctx context.Context, dir, path string) error {
	_, _, err := c.do(ctx, request{method: http.MethodDelete, path: dir + "/" + escapePath(path)})
	return err
}

// escapePath escapes each segment of a relative path.
func escapePath(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}
