package main

import (
	"bytes"
	"net/url"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/technoshare/commentator/internal/redact"
)

// maskIn lets the command `print-config` mask users and passwords in addresses, unless it is asked
// for them. The Collector masks only what has a type of its own for that, such as headers.
func maskIn(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		if sub.Name() != "print-config" {
			continue
		}
		printed := sub.RunE
		sub.RunE = func(cmd *cobra.Command, args []string) error {
			if mode := cmd.Flag("mode"); mode != nil && strings.EqualFold(mode.Value.String(), "unredacted") {
				return printed(cmd, args)
			}
			out := cmd.OutOrStdout()
			var text bytes.Buffer
			cmd.SetOut(&text)
			err := printed(cmd, args)
			cmd.SetOut(out)
			if _, failed := out.Write(withoutUsers(text.Bytes())); err == nil {
				err = failed
			}
			return err
		}
	}
}

// userInfo is the beginning of an address up to the @ before its host. A / in a password ends the
// host for every parser, so no address that the exporter takes has one.
var userInfo = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#]*@`)

// withoutUsers masks the users and passwords of addresses in the form that other commands have. Patterns
// that look for some are left.
func withoutUsers(text []byte) []byte {
	return userInfo.ReplaceAllFunc(text, func(found []byte) []byte {
		u, err := url.Parse(string(found) + "host")
		if err != nil {
			return found
		}
		mask := redact.Redacted
		if _, password := u.User.Password(); password {
			mask += ":" + redact.Redacted
		}
		return []byte(u.Scheme + "://" + mask + "@")
	})
}
