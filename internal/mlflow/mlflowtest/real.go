//go:build unix

package mlflowtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/test/sandbox"
)

// patience is how long a real server may take to start; the first time on a busy machine is
// the slowest.
const patience = 5 * time.Minute

// RealConfig says which MLflow to start, and how.
type RealConfig struct {
	// Python has mlflow installed. Required.
	Python string
	// Store is the address of the database; empty means SQLite in the server's directory.
	Store string
	// Args are further arguments of `mlflow server`.
	Args []string
	// Env is added to the environment.
	Env []string
	// Dir, if set, holds database and artifacts, there already or not, and stays after Stop.
	Dir string
	// Reach is how clients reach the server, where Endpoint is its --static-prefix.
	Reach mlflow.Config
}

// BasicAuth is MLflow's own log-in: user admin with a password, and a permission such as READ for
// others. Its files lie in dir.
func BasicAuth(dir, password, permission string) (RealConfig, error) {
	ini := filepath.Join(dir, "auth.ini")
	text := "[mlflow]\ndefault_permission = " + permission + "\ndatabase_uri = sqlite:///" + filepath.Join(dir, "auth.db") +
		"\nadmin_username = admin\nadmin_password = " + password + "\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
	if err := os.WriteFile(ini, []byte(text), 0o600); err != nil {
		return RealConfig{}, err
	}
	cfg := RealConfig{Args: []string{"--app-name", "basic-auth"}, Env: []string{"MLFLOW_AUTH_CONFIG_PATH=" + ini, "MLFLOW_FLASK_SERVER_SECRET_KEY=test"}}
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth("admin", password)
	cfg.Reach.Headers = map[string]string{"Authorization": r.Header.Get("Authorization")}
	return cfg, nil
}

// Real is a real MLflow server in a directory of its own.
type Real struct {
	URL     string // with the prefix
	Version string

	dir   string // database and artifacts
	stays bool
	reach mlflow.Config
	cmd   *exec.Cmd
	done  chan struct{}
}

// StartReal starts MLflow on loopback and returns when it answers. With one worker there is
// no supervisor that kills workers which a busy machine keeps from answering.
func StartReal(ctx context.Context, cfg RealConfig) (*Real, error) {
	if cfg.Python == "" {
		return nil, errors.New("start MLflow: no Python with mlflow installed is named")
	}
	r := &Real{dir: cfg.Dir, stays: cfg.Dir != "", reach: cfg.Reach, done: make(chan struct{})}
	if !r.stays {
		var err error
		if r.dir, err = os.MkdirTemp("", "mlflow-real-*"); err != nil {
			return nil, fmt.Errorf("start MLflow: %w", err)
		}
	}
	if err := r.start(cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("start MLflow: %w", err), r.clear())
	}
	if err := r.wait(ctx); err != nil {
		text, _ := os.ReadFile(r.log()) // what there is of it
		r.Stop()
		return nil, fmt.Errorf("start MLflow: %w\n%s", err, text)
	}
	return r, nil
}

func (r *Real) log() string { return filepath.Join(r.dir, "server.log") }

func (r *Real) start(cfg RealConfig) error {
	ports, err := sandbox.FreePorts(1)
	if err != nil {
		return err
	}
	port := strconv.Itoa(ports[0])
	r.URL = "http://127.0.0.1:" + port + cfg.Reach.Endpoint
	r.reach.Endpoint = r.URL
	out, err := os.Create(r.log())
	if err != nil {
		return err
	}
	defer out.Close()
	store := cmp.Or(cfg.Store, "sqlite:///"+r.Database())
	args := append([]string{
		"-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1",
		"--backend-store-uri", store, "--artifacts-destination", r.Artifacts(),
	}, cfg.Args...)
	r.cmd = exec.Command(cfg.Python, args...)
	r.cmd.Dir, r.cmd.Stdout, r.cmd.Stderr = r.dir, out, out
	r.cmd.Env = append(r.cmd.Environ(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false") // as start_mlflow.sh does
	r.cmd.Env = append(r.cmd.Env, cfg.Env...)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.cmd.Start(); err != nil {
		return err
	}
	go r.collect()
	return nil
}

// collect waits for the end of the program.
func (r *Real) collect() {
	_ = r.cmd.Wait() // how it ended is in its log
	close(r.done)
}

// wait waits until the server answers, its database included.
func (r *Real) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := r.Client()
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		if r.Version, err = client.Version(ctx); err == nil {
			if _, err = client.GetExperimentByName(ctx, "Default"); err == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		case <-r.done:
			return errors.New("it ended")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Client makes a client of the server.
func (r *Real) Client() (*mlflow.Client, error) { return mlflow.New(r.reach) }

// Database is the file of its database, unless RealConfig names another store.
func (r *Real) Database() string { return filepath.Join(r.dir, "mlflow.db") }

// Artifacts is the directory of the artifacts that it serves.
func (r *Real) Artifacts() string { return filepath.Join(r.dir, "artifacts") }

// clear removes what is the server's own.
func (r *Real) clear() error {
	if r.stays {
		return nil
	}
	return os.RemoveAll(r.dir)
}

// Stop ends the server and removes its directory, unless RealConfig named it.
func (r *Real) Stop() {
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-r.done:
	case <-time.After(20 * time.Second):
	}
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
	<-r.done
	_ = r.clear()
}
