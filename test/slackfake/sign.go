package slackfake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// Signature is that of a request of the Events API; see
// https://docs.slack.dev/authentication/verifying-requests-from-slack.
func Signature(secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte("v0:" + timestamp + ":")) // never fails
	_, _ = mac.Write(body)
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}
