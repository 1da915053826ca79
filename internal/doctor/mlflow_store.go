package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/technoshare/commentator/internal/mlflow"
)

// localServer is an MLflow server on this host, by its processes.
type localServer struct {
	Workers int    // 0: it does not show
	Store   string // one of mlflow.Store…; empty: it does not show
	Where   string // path of a database file; empty: none
}

// server looks for MLflow among the processes of this host, once. Nil: it is not here, or does
// not show.
func (p *Patient) server(ctx context.Context) *localServer {
	if p.looked {
		return p.local
	}
	p.looked = true
	base := p.MLflow.Base()
	if base.Port() != "" && onThisHost(ctx, base.Hostname()) {
		p.local = findServer(base.Port())
	}
	return p.local
}

// readServer is what the command lines of the processes that listen, and of those that started
// them, say of a server.
func readServer(commands [][]string) *localServer {
	s := &localServer{}
	ours := false
	for _, args := range commands {
		ours = ours || strings.Contains(strings.Join(args, " "), "mlflow")
		if n := option(args, "--workers", "-w"); n != "" && s.Workers == 0 {
			_, _ = fmt.Sscan(n, &s.Workers) // else it does not show
		}
		uri := option(args, "--backend-store-uri")
		if uri == "" || s.Store != "" {
			continue
		}
		switch scheme, rest, found := strings.Cut(uri, "://"); {
		case strings.HasPrefix(uri, "sqlite"):
			s.Store, s.Where = mlflow.StoreSQLite, strings.TrimPrefix(rest, "/")
		case strings.HasPrefix(uri, "postgres"):
			s.Store = mlflow.StorePostgreSQL
		case !found || scheme == "file":
			s.Store = mlflow.StoreFiles
		default:
			s.Store = mlflow.StoreSQL
		}
	}
	if !ours {
		return nil
	}
	return s
}

// option is the value of an option on a command line, written as one word or two; of several
// the last one holds.
func option(args []string, names ...string) (value string) {
	for i, arg := range args {
		for _, name := range names {
			if after, found := strings.CutPrefix(arg, name+"="); found {
				value = after
			}
			if arg == name && i+1 < len(args) {
				value = args[i+1]
			}
		}
	}
	return value
}

// storeKind is where the server keeps runs, and who says so.
func (p *Patient) storeKind(ctx context.Context) (kind, by string, err error) {
	kind, err = p.MLflow.StoreKind(ctx)
	if kind != "" {
		return kind, "by the words of an error", nil
	}
	if s := p.server(ctx); s != nil && s.Store != "" {
		return s.Store, "by the command line of its process", nil
	}
	if info, infoErr := p.MLflow.ServerInfo(ctx); infoErr == nil {
		switch info.StoreType {
		case "FileStore":
			return mlflow.StoreFiles, "as it says", nil
		case "SqlStore":
			return mlflow.StoreSQL, "as it says", nil
		}
	}
	return "", "", err
}

func probeStore(ctx context.Context, p *Patient) Finding {
	kind, by, err := p.storeKind(ctx)
	switch {
	case kind == "" && err != nil:
		return skip("it cannot be asked: %v", err)
	case kind == "":
		return skip("the server does not show it")
	case kind == mlflow.StoreFiles:
		return p.traceless(Finding{
			Found: "a file store (" + by + ")",
			Means: "It holds no traces from OpenTelemetry, is slow with many runs, and MLflow from 3.13 on does not start with it.",
			Fix:   "Move to a database: mlflow migrate-filestore, then start MLflow with --backend-store-uri sqlite:///mlflow.db or a PostgreSQL address.",
		})
	}
	return ok("%s (%s)", kind, by)
}

func probeWorkers(ctx context.Context, p *Patient) Finding {
	kind, _, err := p.storeKind(ctx)
	if err != nil {
		return skip("the kind of database does not show: %v", err)
	}
	if kind != mlflow.StoreSQLite {
		return ok("%s takes several writers", kind)
	}
	s := p.server(ctx)
	if s == nil || s.Workers == 0 {
		return skip("MLflow is on SQLite, and its processes do not show from here; start it with --workers 2")
	}
	if s.Workers > p.Limits.Workers {
		return Finding{
			Status: Warn, Found: fmt.Sprintf("%d workers on SQLite", s.Workers),
			Means: "Only one of them can write at a time; under load the others wait up to 20 s and answer 503 (database is locked), and each takes half a gigabyte of memory.",
			Fix:   fmt.Sprintf("Start MLflow with --workers %d (its own default is 4), or move to PostgreSQL.", p.Limits.Workers),
		}
	}
	return ok("%d on SQLite", s.Workers)
}
