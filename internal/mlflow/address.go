package mlflow

import "strings"

// Call is the call of MLflow's API that the path of a request is of, such as runs/create, whatever
// prefix the server has in front; "" when it is of none.
func Call(path string) string {
	call, found := "", -1
	for _, api := range []string{api2, api3, ajaxAPI} {
		if i := strings.LastIndex(path, api+"/"); i > found {
			call, found = path[i+len(api)+1:], i
		}
	}
	return call
}

// IsArtifact reports whether the path of a request is that of a file which goes through the server.
func IsArtifact(path string) bool {
	return strings.Contains(path, artifactAPI) || Call(path) == "upload-artifact"
}
