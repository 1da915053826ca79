package httpaddress

import (
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	for _, c := range []struct{ in, host, path string }{
		{"http://127.0.0.1:5000", "127.0.0.1:5000", ""},
		{"https://user:p%2Fw@mlflow.example.org/prefix", "mlflow.example.org", "/prefix"},
	} {
		if u, err := Parse(c.in); err != nil || u.Host != c.host || u.Path != c.path {
			t.Errorf("%s: %v, %v", c.in, u, err)
		}
	}
	for _, in := range []string{
		"", "mlflow:5000", "ftp://host", "http://", "http://:5000", "http://host:0", "http://host:70000", "http://host?a=b", "http://host#a",
	} {
		if u, err := Parse(in); err == nil || !strings.Contains(err.Error(), "is not an address: want http://") {
			t.Errorf("%q: %v, %v", in, u, err)
		}
	}
}

// A password shows in no error, however the address is misspelt.
func TestErrorsTellNoPassword(t *testing.T) {
	for _, in := range []string{
		"ftp://user:s3cr3t@host", "http://user:/s3cr3t@host", "http://user:?s3cr3t@host", "http://user:#s3cr3t@host", "http://user:s3cr3t%zz@host",
	} {
		if _, err := Parse(in); err == nil || strings.Contains(err.Error(), "s3cr3t") || !strings.Contains(err.Error(), "%2F") {
			t.Errorf("%s: %v", in, err)
		}
	}
}
